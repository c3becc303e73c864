//! Who is calling: from the kernel (SO_PEERCRED, taken when the connection is accepted) to a capability. A method
//! that does something takes the capability as an argument, so that one without a check does not compile.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
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
}

/// The process at the other end, as the kernel says. The pid is for logs only: it may be another's by now.
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

fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    let caller = request.extensions().get::<Caller>();
    let caller = caller.ok_or_else(|| Status::unauthenticated("no peer credentials"))?;
    caller.begun.store(true, Ordering::Relaxed);
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
        (Entrance::Login | Entrance::Admin, _) => Err(refused()),
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
        Entrance::Login | Entrance::Admin => Err(refused()),
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
        (Entrance::Admin | Entrance::Login | Entrance::User, _) => Err(refused()),
    }
}

fn refused() -> Status {
    Status::permission_denied("not allowed on this socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(entrance: Entrance, uid: u32) -> Request<()> {
        let mut request = Request::new(());
        request.extensions_mut().insert(Caller { entrance, uid, pid: None, begun: Arc::default() });
        request
    }

    #[test]
    fn each_socket_gives_its_own_capability_and_no_other() {
        for uid in [0, 1000] {
            for entrance in [Entrance::Login, Entrance::User, Entrance::Admin] {
                let request = request(entrance, uid);
                let host = matches!(applicant(&request), Ok(Applicant::Host(_)));
                let own = matches!(applicant(&request), Ok(Applicant::Own(Owner { uid: of })) if of == uid);
                assert_eq!(host, entrance == Entrance::Login && uid == 0);
                assert_eq!(own, entrance == Entrance::User);
                assert_eq!(owner(&request).is_ok(), entrance == Entrance::User);
                assert_eq!(administrator(&request).is_ok(), entrance == Entrance::Admin && uid == 0);
            }
        }
    }

    #[test]
    fn without_credentials_nothing_is_allowed() {
        let request = Request::new(());
        assert!(applicant(&request).is_err() && owner(&request).is_err() && administrator(&request).is_err());
    }

    #[test]
    fn a_claim_is_kept_printable() {
        let mut request = request(Entrance::Admin, 0);
        let claim = "loginuid=1000 sudo=alice ".parse().unwrap();
        request.metadata_mut().insert(CLAIMED_BY, claim);
        assert_eq!(administrator(&request).unwrap().claimed_by(), "loginuid=1000 sudo=alice ");
    }
}
