//! Who is calling: from the kernel (SO_PEERCRED, taken when the connection is accepted) to a capability. A method
//! that does something takes the capability as an argument, so that one without a check does not compile.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tonic::{Request, Status};
use twinlock_proto::CLAIMED_BY;

use crate::names::printable;

/// Which socket a connection came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// `login.sock`.
    Login,
    /// `user.sock`.
    User,
    /// `admin.sock`.
    Admin,
    /// `web.sock`.
    Web {
        /// The uid that the page runs as: the owner of the socket.
        page: u32,
    },
}

/// The process at the other end, as the kernel says. The pid may be another's by now, unless it is our own.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Where it came in.
    pub entrance: Entrance,
    /// Effective uid when it connected.
    pub uid: u32,
    /// Its pid then.
    pub pid: Option<i32>,
    /// Set by the first request: until then the connection is on probation.
    pub begun: Arc<AtomicBool>,
    /// What its uid may still ask, over all its connections.
    pub allowance: Arc<Allowance>,
}

/// Requests of one uid: 60 at once, and one more each second. Root has no limit; the enrollment page looks at
/// links for many.
#[derive(Debug)]
pub struct Allowance {
    /// At once, and a minute.
    most: Option<f64>,
    left: Mutex<(f64, Instant)>,
}

const OF_USER: f64 = 60.0;
const OF_PAGE: f64 = 1200.0;

impl Allowance {
    /// A whole one.
    #[must_use]
    pub fn of(entrance: Entrance, uid: u32, now: Instant) -> Self {
        let most = match (entrance, uid) {
            (Entrance::Web { .. }, _) => Some(OF_PAGE),
            (_, 0) => None,
            (Entrance::Login | Entrance::User | Entrance::Admin, _) => Some(OF_USER),
        };
        Self { most, left: Mutex::new((most.unwrap_or_default(), now)) }
    }

    /// Takes one request; false when there is none.
    pub fn take(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(most) = self.most else {
            left.1 = now;
            return true;
        };
        let refilled = now.saturating_duration_since(left.1).as_secs_f64() * most / 60.0;
        *left = ((left.0 + refilled).min(most), now);
        if left.0 >= 1.0 {
            left.0 -= 1.0;
            return true;
        }
        false
    }

    /// Whether nothing was taken lately, so that it need not be remembered.
    #[must_use]
    pub fn is_whole(&self, now: Instant) -> bool {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(left.1) > Duration::from_secs(60)
    }
}

/// A program that runs as root and authenticates others: what it says about a login is believed.
#[derive(Debug)]
pub struct PamHost(());

/// Somebody, for their own account.
#[derive(Debug)]
pub struct Owner {
    uid: u32,
}

/// Root.
#[derive(Debug)]
pub struct Administrator {
    actor: String,
    claimed_by: String,
}

/// The process that shows the enrollment page.
#[derive(Debug)]
pub struct EnrollmentPage(());

/// This daemon, which asks itself whether it lives.
#[derive(Debug)]
pub struct Itself(());

/// Who may log somebody in.
#[derive(Debug)]
pub enum Applicant {
    /// An application that runs as root.
    Host(PamHost),
    /// An application that runs as the user (screen lockers): for that user only.
    Own(Owner),
}

impl Owner {
    /// Whose account.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// For the trail.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("uid {}", self.uid)
    }
}

impl Administrator {
    /// For the trail.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Who stood behind root, as the command says.
    #[must_use]
    pub fn claimed_by(&self) -> &str {
        &self.claimed_by
    }
}

fn peer<T>(request: &Request<T>) -> Result<&Caller, Status> {
    let caller = request.extensions().get::<Caller>();
    let caller = caller.ok_or_else(|| Status::unauthenticated("no peer credentials"))?;
    caller.begun.store(true, Ordering::Relaxed);
    Ok(caller)
}

fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    let caller = peer(request)?;
    if !caller.allowance.take(Instant::now()) {
        return Err(Status::resource_exhausted("too many requests; try again in a minute"));
    }
    Ok(caller)
}

/// The capability to log somebody in.
///
/// # Errors
///
/// When the caller may not.
pub fn applicant<T>(request: &Request<T>) -> Result<Applicant, Status> {
    let caller = caller(request)?;
    match (caller.entrance, caller.uid) {
        (Entrance::Login, 0) => Ok(Applicant::Host(PamHost(()))),
        (Entrance::User, uid) => Ok(Applicant::Own(Owner { uid })),
        (Entrance::Login | Entrance::Admin | Entrance::Web { .. }, _) => Err(refused()),
    }
}

/// The capability to manage one's own account.
///
/// # Errors
///
/// When the caller may not.
pub fn owner<T>(request: &Request<T>) -> Result<Owner, Status> {
    let caller = caller(request)?;
    match caller.entrance {
        Entrance::User => Ok(Owner { uid: caller.uid }),
        Entrance::Login | Entrance::Admin | Entrance::Web { .. } => Err(refused()),
    }
}

/// The capability to administer.
///
/// # Errors
///
/// When the caller may not.
pub fn administrator<T>(request: &Request<T>) -> Result<Administrator, Status> {
    let caller = caller(request)?;
    match (caller.entrance, caller.uid) {
        (Entrance::Admin, 0) => {
            let claim = request.metadata().get(CLAIMED_BY).and_then(|value| value.to_str().ok());
            let claimed_by = printable(claim.unwrap_or_default(), 128);
            Ok(Administrator { actor: format!("uid {}", caller.uid), claimed_by })
        }
        (Entrance::Admin | Entrance::Login | Entrance::User | Entrance::Web { .. }, _) => Err(refused()),
    }
}

/// The capability to ask for what the enrollment page shows. What it needs for those who enroll has no limit here: it limits
/// each browser.
///
/// # Errors
///
/// When the caller may not.
pub fn enrollment_page<T>(request: &Request<T>) -> Result<EnrollmentPage, Status> {
    let caller = peer(request)?;
    match caller.entrance {
        Entrance::Web { page } if caller.uid == page => Ok(EnrollmentPage(())),
        Entrance::Web { .. } | Entrance::Login | Entrance::User | Entrance::Admin => Err(refused()),
    }
}

/// The same for looking at links, which anybody may invent: in all, no more than is bearable.
///
/// # Errors
///
/// When the caller may not, or not now.
pub fn looking_page<T>(request: &Request<T>) -> Result<EnrollmentPage, Status> {
    caller(request)?;
    enrollment_page(request)
}

/// The capability to ask for a sign of life.
///
/// # Errors
///
/// When the caller may not.
pub fn itself<T>(request: &Request<T>) -> Result<Itself, Status> {
    let caller = caller(request)?;
    match caller.entrance {
        Entrance::Login if is_us(caller.pid) => Ok(Itself(())),
        Entrance::Login | Entrance::User | Entrance::Admin | Entrance::Web { .. } => Err(refused()),
    }
}

/// Whether a connection is our own.
#[must_use]
pub fn is_us(pid: Option<i32>) -> bool {
    pid.and_then(|pid| u32::try_from(pid).ok()) == Some(std::process::id())
}

fn refused() -> Status {
    Status::permission_denied("not allowed on this socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(entrance: Entrance, uid: u32) -> Request<()> {
        let mut request = Request::new(());
        let allowance = Arc::new(Allowance::of(entrance, uid, Instant::now()));
        request.extensions_mut().insert(Caller {
            entrance,
            uid,
            pid: None,
            begun: Arc::default(),
            allowance,
        });
        request
    }

    #[test]
    fn each_socket_gives_its_own_capability_and_no_other() {
        for uid in [0, 1000] {
            for entrance in [Entrance::Login, Entrance::User, Entrance::Admin, Entrance::Web { page: 1000 }] {
                let request = request(entrance, uid);
                let host = matches!(applicant(&request), Ok(Applicant::Host(_)));
                let own = matches!(applicant(&request), Ok(Applicant::Own(Owner { uid: of })) if of == uid);
                assert_eq!(host, entrance == Entrance::Login && uid == 0);
                assert_eq!(own, entrance == Entrance::User);
                assert_eq!(owner(&request).is_ok(), entrance == Entrance::User);
                assert_eq!(administrator(&request).is_ok(), entrance == Entrance::Admin && uid == 0);
                let page = entrance == Entrance::Web { page: 1000 } && uid == 1000;
                assert_eq!(enrollment_page(&request).is_ok(), page, "root is not the page either");
                assert!(itself(&request).is_err());
            }
        }
    }

    #[test]
    fn a_sign_of_life_is_for_the_daemon_itself_on_the_socket_of_logins() {
        for entrance in [Entrance::Login, Entrance::User, Entrance::Admin, Entrance::Web { page: 0 }] {
            let mut request = request(entrance, 0);
            let caller = request.extensions_mut().get_mut::<Caller>().unwrap();
            caller.pid = i32::try_from(std::process::id()).ok();
            assert_eq!(itself(&request).is_ok(), entrance == Entrance::Login);
        }
    }

    #[test]
    fn a_uid_has_60_requests_and_one_more_each_second_and_root_has_no_limit() {
        let start = Instant::now();
        let allowance = Allowance::of(Entrance::User, 1000, start);
        assert_eq!((0..100).filter(|_| allowance.take(start)).count(), 60);
        assert!(allowance.take(start + Duration::from_secs(1)));
        assert!(!allowance.take(start + Duration::from_secs(1)));
        let root = Allowance::of(Entrance::Login, 0, start);
        assert!((0..1000).all(|_| root.take(start)));
        let page = Allowance::of(Entrance::Web { page: 33 }, 33, start);
        assert_eq!((0..2000).filter(|_| page.take(start)).count(), 1200);
    }

    #[test]
    fn without_credentials_nothing_is_allowed() {
        let request = Request::new(());
        assert!(applicant(&request).is_err() && owner(&request).is_err() && administrator(&request).is_err());
        assert!(enrollment_page(&request).is_err());
    }

    #[test]
    fn a_claim_is_kept_printable() {
        let mut request = request(Entrance::Admin, 0);
        let claim = "loginuid=1000 sudo=alice ".parse().unwrap();
        request.metadata_mut().insert(CLAIMED_BY, claim);
        assert_eq!(administrator(&request).unwrap().claimed_by(), "loginuid=1000 sudo=alice ");
    }
}
