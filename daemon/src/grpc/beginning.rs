//! What a login begins with: who it is, what is known of them, what policy says.

use std::sync::Arc;

use twinlock_proto::v1::Open;

use super::{
    Ports,
    login::append,
    origin::{asked_of, client, evidence, from_sshd, subject},
    policy::{InForce, Place},
    status::Undecided,
};
use crate::{
    access::Applicant,
    accounts::{Account, Lane},
    audit,
    engine::{
        conversation::{self, FirstFactor, Offered},
        policy::{self, Decision, Method},
        throttle::{Account as Charged, Budget, Standing},
    },
    names::{UserName, printable},
    store::Portfolio,
};

/// What a login begins with.
pub(super) struct Beginning {
    pub(super) login: conversation::Login,
    pub(super) decision: Decision,
    pub(super) standing: Standing,
    pub(super) account: Option<Account>,
    pub(super) portfolio: Option<Portfolio>,
    pub(super) force: Arc<InForce>,
}

pub(super) async fn begin(ports: &Ports, applicant: &Applicant, open: &Open) -> Result<Beginning, Undecided> {
    let name = UserName::parse(&open.user).map_err(|_| Undecided::Malformed("that is not a user name"))?;
    let force = ports.in_force();
    let (account, stored) = match applicant {
        Applicant::Host(_) => {
            // What the store has of the name as it was typed, while the directory is asked.
            let stored = async {
                tokio::task::yield_now().await; // the question leaves first
                ports.store.portfolio(&name).await
            };
            let (account, stored) =
                tokio::join!(ports.directory.by_name(Lane::Login, &name, &force.named), stored);
            (account?, Some(stored?))
        }
        // Everybody else's account is that of a stranger, known or not; and nobody's names are looked up for them.
        Applicant::Own(owner) => {
            let own = ports.directory.by_uid(Lane::Other, owner.uid(), &force.named).await?;
            (own.filter(|account| account.name == open.user), None)
        }
    };
    let Record { own: stored, foreign } = match (&account, stored) {
        (Some(account), Some(stored)) if account.name == name.as_str() => {
            belonging(ports, account, stored, open)
        }
        (Some(account), _) => {
            let canonical = UserName::parse(&account.name)
                .map_err(|_| Undecided::Malformed("that is not a user name"))?;
            belonging(ports, account, ports.store.portfolio(&canonical).await?, open)
        }
        (None, _) => Record::default(),
    };
    let (first_factor, source) = evidence(applicant, open);
    let decision = match &account {
        None => policy::stranger(),
        Some(account) => {
            let decision = ports.decide(&force, account, stored.as_ref(), place(applicant, open));
            if foreign { decision.without_enrollment() } else { decision }
        }
    };
    let id = stored.as_ref().map(|portfolio| portfolio.account);
    let budgets = match (applicant, id, first_factor) {
        (Applicant::Own(owner), ..) => ports.own_budgets(owner.uid()),
        (Applicant::Host(_), Some(id), FirstFactor::Known) => {
            vec![Budget { account: Charged::User(id), rule: force.config.limits.user() }]
        }
        _ => ports.unproven_budgets(source.clone(), id),
    };
    let standing = ports.store.standing(budgets.clone(), ports.clock.now()).await?;
    let login = conversation::Login {
        account: id,
        key_missing: open.after_key && !(open.publickey && from_sshd(applicant, open)),
        first_factor,
        asked_of: asked_of(applicant, account.as_ref(), open),
        budgets,
        source,
        subject: subject(applicant, account.as_ref(), open),
        usual_length: usize::from(force.config.totp.digits),
        offers: offers(first_factor, &decision, stored.as_ref(), &force),
        has_codes: stored.as_ref().is_none_or(|p| !p.factors.is_empty() || p.recovery_left > 0 || p.bypass),
        tries: u32::from(force.config.codes.tries),
        resumed: open.resumed,
        began: ports.clock.now(),
    };
    Ok(Beginning { login, decision, standing, account, portfolio: stored, force })
}

/// What of its circumstances is believed.
pub(super) fn place<'a>(applicant: &Applicant, open: &'a Open) -> Place<'a> {
    match applicant {
        Applicant::Host(_) => Place { service: Some(&open.service), address: client(applicant, open) },
        Applicant::Own(_) => Place::default(), // claims
    }
}

/// What the store has of a name.
#[derive(Default)]
struct Record {
    /// This account's.
    own: Option<Portfolio>,
    /// There are factors of somebody who had the name with another uid.
    foreign: bool,
}

/// A record of another uid is somebody else's.
fn belonging(ports: &Ports, account: &Account, found: Option<Portfolio>, open: &Open) -> Record {
    let Some(found) = found else { return Record::default() };
    if found.uid == account.uid {
        return Record { own: Some(found), foreign: false };
    }
    tracing::warn!(user = %account.name, was = found.uid, is = account.uid, "the uid of an enrolled user changed");
    let subject = audit::Subject {
        user: account.name.clone(),
        service: printable(&open.service, 32),
        ..audit::Subject::default()
    };
    let reason = format!("uid {} was {}", account.uid, found.uid);
    append(ports, audit::Event::UidChanged, subject, audit::Outcome::Denied, &reason);
    Record { own: None, foreign: !found.factors.is_empty() }
}

/// Where codes can be sent to, in the order of the policy; what the user prefers first. Nothing is sent for a stranger.
fn offers(
    first_factor: FirstFactor,
    decision: &Decision,
    portfolio: Option<&Portfolio>,
    force: &InForce,
) -> Vec<Offered> {
    let (FirstFactor::Known, Some(portfolio)) = (first_factor, portfolio) else {
        return Vec::new();
    };
    let of = |method: &Method| {
        let contact = portfolio.contacts.iter().find(|contact| force.ways(contact).contains(method))?;
        Some(Offered { method: *method, masked: contact.masked.clone() })
    };
    let mut offers: Vec<Offered> = decision.methods.iter().filter_map(of).collect();
    offers.sort_by_key(|offered| Some(offered.method.name()) != portfolio.preferred.as_deref());
    offers
}
