//! Secrets of another program, taken over from a file of it: each in a commit of its own, and told as it happens.

use std::collections::HashMap;

use subtle::ConstantTimeEq;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use twinlock_proto::v1::{Migration, MigrationFile, migration::Outcome};
use zeroize::{Zeroize, Zeroizing};

use super::{Ports, accounts::anothers, policy::Place, status::Undecided};
use crate::{
    access::Administrator,
    accounts::{Account, Lane},
    audit,
    engine::{
        clock_guard::Trust,
        enrollment::{Added, MOST_FACTORS, NewFactor, Proof, free_label},
    },
    factor::Kind,
    migration::{Found, Line, Program},
    names::{UserName, printable},
    seal::Binding,
    secret::Secret,
    store::Portfolio,
};

/// A file of another program, read.
pub(super) struct Former {
    program: Program,
    lines: Vec<Line>,
    dry_run: bool,
}

/// What a dry run would have stored, by user: keys and labels.
type Planned = HashMap<UserName, Vec<(Secret<Vec<u8>>, String)>>;

/// Why a secret is not taken over, or that it is here.
enum Left {
    Present(String),
    Refused(String),
}

impl Ports {
    /// Takes a file in, and reads it.
    pub(super) async fn former_file(
        &self,
        _: &Administrator,
        mut parts: Streaming<MigrationFile>,
    ) -> Result<Former, Undecided> {
        let broken =
            |_: Status| Undecided::Conflict("the file did not come whole; nothing is taken over".to_owned());
        let mut first = parts.message().await.map_err(broken)?.ok_or(Undecided::Malformed("no file"))?;
        let program = Program::ALL.into_iter().find(|program| program.name() == first.format);
        let program = program.ok_or(Undecided::Malformed("no such program is known"))?;
        // As large as it may become: what grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(program.max_file()));
        text.extend_from_slice(&first.data);
        first.data.zeroize();
        while let Some(mut part) = parts.message().await.map_err(broken)? {
            if text.len() + part.data.len() > program.max_file() {
                let kib = program.max_file() >> 10;
                return Err(Undecided::Conflict(format!("the file is larger than {kib} KiB")));
            }
            text.extend_from_slice(&part.data);
            part.data.zeroize();
        }
        if self.trust_in_clock() != Trust::Believed {
            // Which codes were used, and which lie ahead, only the time says.
            return Err(Undecided::Conflict(
                "the clock of this host is not believed: set it right, then twinlock clock accept".to_owned(),
            ));
        }
        let (user, dry_run, now) = (first.user.clone(), first.dry_run, self.clock.now());
        let read = tokio::task::spawn_blocking(move || program.read(&text, &user, now));
        let read = read.await.map_err(|_| Undecided::Malformed("a file of another program"))?;
        let lines = read.map_err(|fault| Undecided::Conflict(format!("{fault}; nothing is taken over")))?;
        Ok(Former { program, lines, dry_run })
    }

    /// Takes the secrets over, one by one.
    pub(super) async fn take_over(
        &self,
        by: &Administrator,
        former: Former,
        sender: &mpsc::Sender<Result<Migration, Status>>,
    ) -> Result<(), Undecided> {
        let Former { program, lines, dry_run } = former;
        let mut planned = dry_run.then(Planned::new);
        for Line { number, user, found } in lines {
            let mut said = Migration {
                line: u32::try_from(number).unwrap_or(u32::MAX),
                user: printable(&user, 64),
                ..Migration::default()
            };
            let left = match found {
                Ok(found) => self.take_over_one(by, (program, &user), found, &mut planned, &mut said).await?,
                Err(why) => Some(Left::Refused(why)),
            };
            let outcome = match left {
                None => Outcome::Taken,
                Some(Left::Present(label)) => {
                    said.label = label;
                    Outcome::Present
                }
                Some(Left::Refused(why)) => {
                    said.reason = why;
                    Outcome::Refused
                }
            };
            said.set_outcome(outcome);
            if sender.send(Ok(said)).await.is_err() {
                return Ok(()); // nobody listens any more: what was taken over was told
            }
        }
        Ok(())
    }

    /// Takes one over, unless something speaks against it.
    async fn take_over_one(
        &self,
        by: &Administrator,
        (program, user): (Program, &str),
        found: Found,
        planned: &mut Option<Planned>,
        said: &mut Migration,
    ) -> Result<Option<Left>, Undecided> {
        let refused = |why: String| Ok(Some(Left::Refused(why)));
        let Some(account) = self.known(user).await? else {
            return refused("there is no such user".to_owned());
        };
        said.user = printable(&account.name, 64);
        let name = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let before = self.store.portfolio(&name).await?;
        let strangers =
            |of: &Portfolio| of.uid != account.uid && !(of.factors.is_empty() && of.contacts.is_empty());
        if before.as_ref().is_some_and(strangers) {
            return refused(anothers(&account.name));
        }
        let portfolio = before.filter(|of| of.uid == account.uid);
        let would = planned.as_ref().and_then(|planned| planned.get(&name)).map_or(&[][..], Vec::as_slice);
        let twin = would.iter().find(|(key, _)| key.expose().ct_eq(found.key.expose()).into());
        let held = self.holder_of(&found.key, portfolio.as_ref())?;
        if let Some(label) = held.or_else(|| twin.map(|(_, label)| label.clone())) {
            return Ok(Some(Left::Present(label)));
        }
        if program == Program::GoogleAuthenticator && portfolio.as_ref().is_some_and(|of| !of.is_empty()) {
            return refused(beside());
        }
        let own = portfolio.iter().flat_map(|of| &of.factors).map(|factor| factor.label.as_str());
        let taken: Vec<&str> = own.chain(would.iter().map(|(_, label)| label.as_str())).collect();
        if taken.len() >= MOST_FACTORS {
            return refused(format!("the user has {MOST_FACTORS} factors already: remove one"));
        }
        said.label = free_label(program.name(), &taken);
        self.describe_found(&account, portfolio.as_ref(), &found, said);
        match planned {
            Some(planned) => {
                planned.entry(name).or_default().push((found.key, said.label.clone()));
                Ok(None)
            }
            None => self.store_found(by, (program, &account), found, said).await,
        }
    }

    /// The account that a file names; only one that NSS knows gets a factor.
    async fn known(&self, user: &str) -> Result<Option<Account>, Undecided> {
        let Ok(name) = UserName::parse(user) else { return Ok(None) };
        Ok(self.directory.by_name(Lane::Admin, &name, &self.in_force().named).await?)
    }

    fn describe_found(
        &self,
        account: &Account,
        portfolio: Option<&Portfolio>,
        found: &Found,
        said: &mut Migration,
    ) {
        let (kind, parameters) = (found.kind, found.parameters);
        said.kind = kind.name().to_owned();
        said.digits = u32::from(parameters.digits);
        said.period_s = if kind == Kind::Totp { u32::from(parameters.period) } else { 0 };
        said.notes.clone_from(&found.notes);
        let decision = self.decide(&self.in_force(), account, portfolio, Place::default());
        if !decision.methods.iter().any(|method| method.name() == kind.name()) {
            said.notes.push(format!("policy does not let it count: the role's methods lack {}", kind.name()));
        }
    }

    async fn store_found(
        &self,
        by: &Administrator,
        (program, account): (Program, &Account),
        found: Found,
        said: &mut Migration,
    ) -> Result<Option<Left>, Undecided> {
        let user = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let (id, uid, Found { kind, parameters, key, counted, .. }) =
            (self.new_factor_id()?, account.uid, found);
        let binding = Binding { user: &user, uid, factor: &id, kind: kind.name() };
        let sealed = self.sealer.seal(&key, binding, self.random.as_ref())?;
        let proof = match program {
            // Whoever has the password could have written it.
            Program::GoogleAuthenticator => Proof::OwnFile,
            Program::Oath => Proof::Administrator { active: true },
        };
        let told = format!("{} {}", id.0, program.name());
        let record = self.record(by, audit::Event::Migrate, &account.name, kind.name(), &told);
        let new = NewFactor {
            id: id.clone(),
            user,
            uid,
            label: said.label.clone(),
            kind,
            token: None,
            counted,
            parameters,
            sealed,
            proof,
            recovery: Vec::new(),
            now: self.clock.now(),
        };
        Ok(match self.store.add_factor(new, record).await? {
            Added::Stored => {
                said.factor = id.0;
                None
            }
            Added::NotFirst => Some(Left::Refused(beside())),
            Added::OtherUid => Some(Left::Refused(anothers(&account.name))),
            Added::TooMany | Added::LabelTaken | Added::NoToken => {
                Some(Left::Refused("the user's factors changed meanwhile; try again".to_owned()))
            }
        })
    }
}

/// A home is the user's to write: what stands there vouches for no second factor beside one that counts.
fn beside() -> String {
    "the user has a factor or a contact already, and this file is one that the user's password is enough to write".to_owned()
}
