//! Where codes can be sent to: setting it, and sending a code there.

use twinlock_proto::v1::{self, ContactRequest};

use super::{
    Ports,
    accounts::{Named, other_uid},
    contact_enrollment,
    status::Undecided,
};
use crate::{
    access::Administrator,
    accounts::Account,
    audit,
    delivery::Contact,
    engine::{
        delivery::ContactKind,
        enrollment::{Added, Voucher},
        policy::Method,
    },
    factor::delivered::KEY,
    names::{FactorId, UserName, printable},
    random,
    seal::{Binding, COURIER, courier_id},
    secret::Secret,
    store::{NewContact, Portfolio},
};

impl Ports {
    /// What an administrator says of a user's contacts.
    pub(super) async fn set_contacts(
        &self,
        by: &Administrator,
        request: &ContactRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        if !request.remove.is_empty() {
            self.drop_contact(by, (&account, portfolio.as_ref()), &request.remove).await?;
        }
        let mut wanted = Vec::new();
        for (text, method) in [(&request.email, Method::Email), (&request.phone, Method::Sms)] {
            if !text.is_empty() {
                wanted.push(contact_enrollment::parse(text, method).await.map_err(Undecided::Conflict)?);
            }
        }
        let counts = |kind| {
            portfolio
                .iter()
                .flat_map(|known| &known.contacts)
                .any(|known| known.verified && known.kind == kind)
        };
        if let Some(contact) = wanted.iter().find(|contact| !request.verified && counts(contact.kind())) {
            let (word, kind) = (contact_enrollment::word(contact.kind()), contact.kind().name());
            return Err(Undecided::Conflict(format!(
                "{} has a confirmed {word}, and one that is not would let nobody in: add --verified if you know that it is right, or take the old one away first (--remove {kind})",
                account.name
            )));
        }
        for contact in wanted {
            let told = format!("{}{}", contact.masked(), if request.verified { ", verified" } else { "" });
            let record = self.record(by, audit::Event::Contact, &account.name, contact.kind().name(), &told);
            let how = (request.verified, Voucher::Administrator);
            if self.store_contact(&account, &contact, how, record).await? != Added::Stored {
                return Err(other_uid(&account.name));
            }
        }
        self.show(by, &v1::AccountRequest { user: account.name.clone() }).await
    }

    async fn drop_contact(
        &self,
        by: &Administrator,
        (account, portfolio): (&Account, Option<&Portfolio>),
        kind: &str,
    ) -> Result<(), Undecided> {
        let found = ContactKind::ALL.into_iter().find(|known| known.name() == kind);
        let kind = found
            .ok_or_else(|| Undecided::Usage(format!("there is no contact \"{}\"", printable(kind, 16))))?;
        let removed = match portfolio {
            Some(portfolio) => {
                let record = self.record(by, audit::Event::Contact, &account.name, kind.name(), "removed");
                self.store.remove_contact(portfolio.account, kind, record).await?
            }
            None => false,
        };
        if removed {
            return Ok(());
        }
        let what = match kind {
            ContactKind::Email => "mail address",
            ContactKind::Phone => "telephone number",
        };
        Err(Undecided::NotFound(format!("{} has no {what} here", account.name)))
    }

    /// Seals an address and what its codes will be computed from, and stores both.
    pub(super) async fn store_contact(
        &self,
        account: &Account,
        contact: &Contact,
        (verified, voucher): (bool, Voucher),
        record: audit::Record,
    ) -> Result<Added, Undecided> {
        let user = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let mut bits = [0; 5];
        self.random.fill(&mut bits)?;
        let (id, kind) = (FactorId::from_bits(bits), contact.kind());
        let uid = account.uid;
        let binding = Binding { user: &user, uid, factor: &id, kind: kind.name() };
        let text = Secret::new(contact.as_str().as_bytes().to_vec());
        let sealed = self.sealer.seal(&text, binding, self.random.as_ref())?;
        let key = Secret::new(random::bytes(self.random.as_ref(), KEY)?);
        let courier_id = courier_id();
        let binding = Binding { user: &user, uid, factor: &courier_id, kind: COURIER };
        let courier = self.sealer.seal(&key, binding, self.random.as_ref())?;
        let (masked, line) = (contact.masked(), contact.line().cloned());
        let contact = NewContact { id, kind, line, masked, sealed, verified, voucher, courier };
        Ok(self.store.set_contact(&user, uid, contact, self.clock.now(), record).await?)
    }
}
