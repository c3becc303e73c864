//! The sockets that the daemon serves: those that systemd passed, else our own.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt, chown},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
};

use nix::sys::stat;
use tokio::net::UnixListener;
use twinlock_proto::{ADMIN_SOCKET, LOGIN_SOCKET, USER_SOCKET, WEB_SOCKET, WEB_USER};

use super::Failure;
use crate::{
    access::Entrance,
    accounts::{Directory, Lane},
    engine::policy::Named,
    names::UserName,
};

/// What is listened on.
pub(super) struct Sockets {
    pub(super) listeners: Vec<(Entrance, UnixListener)>,
    /// Made by us, and not by systemd: then that of the page is too.
    pub(super) own: bool,
    /// Where logins come in.
    pub(super) login: PathBuf,
}

/// What systemd passed, taken before the first child process is started: none inherits it then.
pub(super) fn passed() -> Result<Vec<StdListener>, Failure> {
    let mut passed = listenfd::ListenFd::from_env();
    let taken = (0..passed.len()).map(|index| passed.take_unix_listener(index));
    let taken: io::Result<Vec<_>> = taken.filter_map(Result::transpose).collect();
    taken.map_err(|error| Failure::Io("a passed socket".to_owned(), error))
}

/// The sockets that systemd passed, each known by its file name; else our own.
pub(super) fn listeners(folder: &Path, passed: Vec<StdListener>) -> Result<Sockets, Failure> {
    let failed = |what: &str, error| Failure::Io(what.to_owned(), error);
    let mut listeners = Vec::new();
    let mut login = folder.join(LOGIN_SOCKET);
    for listener in passed {
        let address = listener.local_addr().map_err(|error| failed("a passed socket", error))?;
        let name = address.as_pathname().and_then(Path::file_name).and_then(|name| name.to_str());
        let entrance = match name {
            Some(LOGIN_SOCKET) => {
                login = address.as_pathname().unwrap_or(&login).to_owned();
                Entrance::Login
            }
            Some(USER_SOCKET) => Entrance::User,
            Some(ADMIN_SOCKET) => Entrance::Admin,
            Some(WEB_SOCKET) => {
                let path = address.as_pathname().unwrap_or(Path::new(WEB_SOCKET));
                let file = stat::stat(path).map_err(|error| failed("a passed socket", error.into()))?;
                Entrance::Web { page: file.st_uid }
            }
            name => {
                let error = io::Error::other(format!("{} is none of ours", name.unwrap_or("an unnamed one")));
                return Err(failed("a passed socket", error));
            }
        };
        listeners.push((entrance, adopt(listener).map_err(|error| failed("a passed socket", error))?));
    }
    let own = listeners.is_empty();
    if own {
        make_folder(folder, 0o755)?;
        for (entrance, name, mode) in [
            (Entrance::Login, LOGIN_SOCKET, 0o600),
            (Entrance::User, USER_SOCKET, 0o666),
            (Entrance::Admin, ADMIN_SOCKET, 0o600),
        ] {
            let path = folder.join(name);
            let listener = bind(&path, mode).and_then(adopt);
            listeners.push((entrance, listener.map_err(|error| failed(&path.display().to_string(), error))?));
        }
    }
    Ok(Sockets { listeners, own, login })
}

/// The socket of the enrollment page, if there is a user to run that. Asked when logins are served already: a directory may
/// take its time.
pub(super) async fn for_page(folder: &Path, directory: &dyn Directory) -> Option<(Entrance, UnixListener)> {
    let path = folder.join(WEB_SOCKET);
    let user = UserName::parse(WEB_USER).ok()?;
    let uid = match directory.by_name(Lane::Admin, &user, &Named::default()).await {
        Ok(Some(account)) => account.uid,
        Ok(None) => {
            let _ = fs::remove_file(&path);
            return None;
        }
        Err(error) => {
            tracing::error!(%error, "there is no enrollment page until twinlockd is started again");
            return None;
        }
    };
    let made = bind(&path, 0o600).and_then(|listener| {
        chown(&path, Some(uid), None)?;
        adopt(listener)
    });
    match made {
        Ok(listener) => Some((Entrance::Web { page: uid }, listener)),
        Err(error) => {
            tracing::error!(%error, "{}: there is no enrollment page", path.display());
            None
        }
    }
}

/// Binds in a folder that is root's alone; the umask keeps the socket closed until it has its mode.
fn bind(path: &Path, mode: u32) -> io::Result<StdListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = StdListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

fn adopt(listener: StdListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

pub(super) fn make_folder(path: &Path, mode: u32) -> Result<(), Failure> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            // The umask may have taken bits away that others need to reach user.sock.
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(path, permissions)
                .map_err(|error| Failure::Io(format!("cannot set the mode of {}", path.display()), error))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Failure::Io(format!("cannot make {}", path.display()), error)),
    }
}
