//! Enrollment at a login: makes the key that is shown, and has the store take in what was confirmed.

use twinlock_proto::qr;

use super::{Ports, policy::InForce, status::Undecided};
use crate::{
    accounts::Account,
    audit,
    engine::{
        conversation::Turn,
        enrolling::{Confirmed, Offer},
        enrollment::{Pending, Proof, choose_label},
        prompt,
        proof::{self, Enrolled},
    },
    factor::totp,
    random,
    secret::Secret,
};

impl Ports {
    /// A new key for somebody who has none.
    pub(super) fn offer(&self, force: &InForce, account: &Account) -> Result<Offer, Undecided> {
        let parameters = force.config.totp.parameters();
        let key = Secret::new(random::bytes(self.random.as_ref(), parameters.algorithm.key_length())?);
        let full = totp::uri(&key, parameters, &force.issuer, &account.name)
            .map_err(|_| Undecided::Malformed("a name that no link can hold"))?;
        let (picture, link) = draw(full, force.config.enrollment.login_qr.into());
        let text = Secret::new(data_encoding::BASE32_NOPAD.encode(key.expose()));
        let label = choose_label("", &[]).map_err(Undecided::Conflict)?;
        let pending = Pending { key, parameters, label };
        Ok(Offer { pending, key: text, link, picture, window: force.config.totp.accepted() })
    }

    /// Stores the factor together with its recovery codes: both or neither.
    pub(super) async fn take_in(
        &self,
        confirmed: Confirmed,
        account: &Account,
        recovery: bool,
    ) -> Result<Turn, Undecided> {
        let (pending, matched, storing) = confirmed.split();
        let (codes, rows) = if recovery { self.new_recovery_set().await? } else { (Vec::new(), Vec::new()) };
        let new =
            self.new_factor((&account.name, account.uid), pending, Proof::FirstFactor(matched), rows)?;
        let record = audit::Record {
            time: self.clock.now(),
            event: audit::Event::Enroll,
            subject: storing.subject().clone(),
            method: "totp",
            outcome: audit::Outcome::Granted,
            reason: new.id.0.clone(),
        };
        let audit::Subject { user, service, rhost, .. } = record.subject.clone();
        let enrolled = proof::enroll(self.store.as_ref(), new, matched, record).await?;
        if let Enrolled::Passed(_) = &enrolled {
            tracing::warn!(user, service, rhost, "somebody set up a factor at a login");
        }
        Ok(storing.stored(enrolled, &codes))
    }
}

/// Picture and link that fit a terminal together, if any do: a link may leave out the issuer that its label begins with,
/// and every app still reads it.
fn draw(full: Secret<String>, form: qr::Form) -> (Vec<String>, Secret<String>) {
    let short = Secret::new(totp::without_issuer(full.expose()));
    let rows = |link: &Secret<String>| qr::draw(link.expose(), form).unwrap_or_default();
    let (large, small) = (rows(&full), rows(&short));
    if prompt::fits(large.len(), full.expose()) {
        (large, full)
    } else if prompt::fits(small.len(), full.expose()) {
        (small, full)
    } else {
        (small, short)
    }
}
