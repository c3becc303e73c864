//! Owners and modes of our files, the clock of this host, its people.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    process::Command,
};

use twinlock_proto::{ADMIN_SOCKET, LOGIN_SOCKET, USER_SOCKET};

use super::{finding::Finding, sshd};

/// Where the daemon's configuration and store are unless somebody says otherwise.
const CONFIG: &str = "/etc/twinlock";
const STATE: &str = "/var/lib/twinlock";

/// Looks at files and clock.
pub fn look(runtime_dir: &Path) -> Vec<Finding> {
    files(runtime_dir).into_iter().filter_map(|file| file.judge()).chain(clock()).collect()
}

/// A file of ours, and the bits of its mode that must not be set.
struct Expected {
    path: PathBuf,
    forbidden: u32,
    /// The widest mode it may have.
    right: u32,
}

fn files(runtime_dir: &Path) -> Vec<Expected> {
    let of = |path: PathBuf, right: u32| Expected { path, forbidden: !right & 0o777, right };
    let mut all = vec![of(CONFIG.into(), 0o755), of(Path::new(CONFIG).join("twinlock.toml"), 0o640)];
    let drop_ins = fs::read_dir(Path::new(CONFIG).join("twinlock.d")).into_iter().flatten().flatten();
    let toml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    all.extend(drop_ins.map(|entry| entry.path()).filter(toml).map(|path| of(path, 0o640)));
    all.push(of(STATE.into(), 0o700));
    all.extend(["twinlock.db", "key"].map(|name| of(Path::new(STATE).join(name), 0o600)));
    all.push(of(runtime_dir.to_owned(), 0o755));
    all.extend(
        [(LOGIN_SOCKET, 0o600), (ADMIN_SOCKET, 0o600), (USER_SOCKET, 0o666)]
            .map(|(name, mode)| of(runtime_dir.join(name), mode)),
    );
    all
}

impl Expected {
    fn judge(&self) -> Option<Finding> {
        let place = self.path.display().to_string();
        let about = match fs::symlink_metadata(&self.path) {
            Ok(about) => about,
            // What is not there yet is said elsewhere, or made when it is needed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                return Some(Finding::warning(
                    place,
                    format!("it cannot be looked at: {error}"),
                    "look by hand",
                ));
            }
        };
        let mode = about.mode() & 0o7777;
        if about.uid() != 0 {
            let sentence = format!("it belongs to uid {}, who can change it", about.uid());
            return Some(Finding::error(&place, sentence, format!("run chown root: {place}")));
        }
        if mode & self.forbidden != 0 {
            let sentence = format!("its mode is {mode:04o}: others may do more with it than they should");
            return Some(Finding::error(&place, sentence, format!("run chmod {:04o} {place}", self.right)));
        }
        // connect(2) needs the right to write.
        if about.file_type().is_socket() && mode & self.right != self.right {
            let sentence = format!("its mode is {mode:04o}, so those whom it is for cannot reach twinlockd");
            return Some(Finding::error(&place, sentence, "restart twinlockd".to_owned()));
        }
        None
    }
}

/// Whether something sets the clock: time codes are right only as long as it is.
fn clock() -> Option<Finding> {
    let asked = Command::new("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]).output();
    let said = asked.ok().filter(|out| out.status.success());
    match said.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).as_deref() {
        Some("yes") => None,
        Some(_) => Some(Finding::warning(
            "clock",
            "nothing keeps the clock of this host right, and time codes are wrong when it is half a minute off",
            "run timedatectl set-ntp true, or install chrony",
        )),
        None => Some(Finding::warning(
            "clock",
            "it cannot be told whether the clock of this host is kept right (timedatectl does not answer)",
            "see that chrony or another time service runs",
        )),
    }
}

/// Users and groups as getent(1) lists them.
pub struct People;

fn entries(database: &str) -> Vec<Vec<String>> {
    let out = Command::new("getent").arg(database).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}

impl sshd::People for People {
    fn groups(&self) -> Vec<String> {
        entries("group").into_iter().filter_map(|fields| fields.into_iter().next()).collect()
    }

    fn members(&self, group: &str) -> Vec<String> {
        let Some(fields) =
            entries("group").into_iter().find(|fields| fields.first().is_some_and(|name| name == group))
        else {
            return Vec::new();
        };
        let listed = fields.get(3).map(String::as_str).unwrap_or_default();
        let mut members: Vec<String> =
            listed.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        // passwd(5): name, password, uid, gid.
        let primary = |user: &Vec<String>| user.get(3).is_some() && user.get(3) == fields.get(2);
        members
            .extend(entries("passwd").into_iter().filter(primary).filter_map(|user| user.into_iter().next()));
        members
    }

    /// Nobody's Match block names nobody, as it may name the people of this host.
    fn ordinary(&self) -> Option<String> {
        Some("nobody".to_owned())
    }
}
