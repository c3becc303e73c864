//! Users and groups from NSS, and the confirmation of passwords by PAM. Neither can be cancelled and both run
//! code that administrators choose, so both run in child processes that are killed at a deadline.

mod child;
pub mod helper;
mod lane;
mod password;

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    engine::policy::{Ids, Named},
    names::UserName,
};

/// How long a look-up may take: the PAM module waits 5 s for an answer of the daemon.
const LOOK_UP: Duration = Duration::from_secs(3);
/// How long a list of everybody may take.
const LIST: Duration = Duration::from_secs(60);
/// How long the confirmation of a password may take (a directory, a delay after a wrong one).
const CONFIRM: Duration = Duration::from_secs(30);
/// Confirmations at the same time.
const CONFIRMATIONS: usize = 4;

/// An account as NSS knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The canonical name, which may differ from the one that was asked for.
    pub name: String,
    /// Its uid.
    pub uid: u32,
    /// gids of all its groups, the primary one too; `None` when they could not be looked up, which is not the
    /// same as having none.
    pub groups: Option<Vec<u32>>,
    /// What the names meant that were asked for with it; `None` when they could not be looked up.
    pub ids: Option<Ids>,
}

/// NSS could not say. Never to be read as "there is no such user".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryError(pub String);

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "users cannot be looked up: {}", self.0)
    }
}

impl std::error::Error for DirectoryError {}

/// Which child a look-up goes to: one is kept for logins, so that others cannot slow them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// `login.sock`.
    Login,
    /// `admin.sock`.
    Admin,
    /// Everything else.
    Other,
}

/// Users and groups.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The account that this name means, if any; and what these other names mean.
    async fn by_name(
        &self,
        lane: Lane,
        name: &UserName,
        named: &Named,
    ) -> Result<Option<Account>, DirectoryError>;

    /// The account of this uid, if any; and what these names mean.
    async fn by_uid(&self, lane: Lane, uid: u32, named: &Named) -> Result<Option<Account>, DirectoryError>;

    /// What these names mean.
    async fn ids(&self, lane: Lane, named: &Named) -> Result<Ids, DirectoryError>;

    /// Names of everybody who can log in: whom NSS lists (a directory may not), and whom these names mean.
    async fn everybody(&self, named: &Named) -> Result<BTreeSet<String>, DirectoryError>;

    /// Whether this is the account's password, as PAM service `twinlock-password` says.
    async fn confirm_password(&self, user: &str, password: &str) -> Result<bool, DirectoryError>;
}

/// What the looking-up child is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Question {
    Name(String, Named),
    Uid(u32, Named),
    Ids(Named),
    Everybody(Named),
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Found(Account),
    Ids(Ids),
    Everybody(BTreeSet<String>),
    Absent,
    Failed(String),
}

/// What came of confirming a password.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Confirmed {
    Right,
    Wrong,
    /// PAM could not say.
    Failed(String),
}

/// What the confirming child is asked. No `Debug`: it holds a password.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Confirmation {
    user: String,
    password: String,
}

/// NSS and PAM of this host, in child processes of this program; PAM in one of systemd's, where that is set up.
pub struct System {
    login: Arc<lane::Lane>,
    admin: Arc<lane::Lane>,
    other: Arc<lane::Lane>,
    /// For lists of everybody, which take long.
    everybody: Arc<lane::Lane>,
    confirmations: tokio::sync::Semaphore,
    password_helper: PathBuf,
}

impl System {
    /// No child is started before it is needed. `password_helper`: the socket of `twinlock-password.socket`, if it is there.
    #[must_use]
    pub fn new(password_helper: PathBuf) -> Self {
        let confirmations = tokio::sync::Semaphore::new(CONFIRMATIONS);
        Self {
            login: Arc::default(),
            admin: Arc::default(),
            other: Arc::default(),
            everybody: Arc::default(),
            confirmations,
            password_helper,
        }
    }

    async fn ask(&self, lane: Lane, question: Question) -> Result<Reply, DirectoryError> {
        let lane = Arc::clone(match lane {
            Lane::Login => &self.login,
            Lane::Admin => &self.admin,
            Lane::Other => &self.other,
        });
        // In a task of its own: a caller that goes away must not take a helper process with it.
        let looking = tokio::spawn(async move { lane.ask(&question, LOOK_UP).await });
        match looking.await.map_err(|error| DirectoryError(error.to_string()))?? {
            Reply::Failed(why) => Err(DirectoryError(why)),
            reply => Ok(reply),
        }
    }

    async fn account(&self, lane: Lane, question: Question) -> Result<Option<Account>, DirectoryError> {
        match self.ask(lane, question).await? {
            Reply::Found(account) => Ok(Some(account)),
            Reply::Absent => Ok(None),
            Reply::Ids(_) | Reply::Everybody(_) | Reply::Failed(_) => Err(confused()),
        }
    }
}

fn confused() -> DirectoryError {
    DirectoryError("the helper process answered something else".to_owned())
}

#[async_trait]
impl Directory for System {
    async fn by_name(
        &self,
        lane: Lane,
        name: &UserName,
        named: &Named,
    ) -> Result<Option<Account>, DirectoryError> {
        self.account(lane, Question::Name(name.as_str().to_owned(), named.clone())).await
    }

    async fn by_uid(&self, lane: Lane, uid: u32, named: &Named) -> Result<Option<Account>, DirectoryError> {
        self.account(lane, Question::Uid(uid, named.clone())).await
    }

    async fn ids(&self, lane: Lane, named: &Named) -> Result<Ids, DirectoryError> {
        if *named == Named::default() {
            return Ok(Ids::default());
        }
        match self.ask(lane, Question::Ids(named.clone())).await? {
            Reply::Ids(ids) => Ok(ids),
            Reply::Found(_) | Reply::Everybody(_) | Reply::Absent | Reply::Failed(_) => Err(confused()),
        }
    }

    async fn everybody(&self, named: &Named) -> Result<BTreeSet<String>, DirectoryError> {
        let lane = Arc::clone(&self.everybody);
        let question = Question::Everybody(named.clone());
        let asking = tokio::spawn(async move { lane.ask(&question, LIST).await });
        match asking.await.map_err(|error| DirectoryError(error.to_string()))?? {
            Reply::Failed(why) => Err(DirectoryError(why)),
            Reply::Everybody(names) => Ok(names),
            Reply::Found(_) | Reply::Ids(_) | Reply::Absent => Err(confused()),
        }
    }

    async fn confirm_password(&self, user: &str, password: &str) -> Result<bool, DirectoryError> {
        let _permit =
            self.confirmations.acquire().await.map_err(|error| DirectoryError(error.to_string()))?;
        let confirmation = Confirmation { user: user.to_owned(), password: password.to_owned() };
        password::confirm(&self.password_helper, &confirmation, CONFIRM).await
    }
}
