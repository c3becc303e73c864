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
pub fn look(runtime_dir: &Path, modules: &[PathBuf]) -> Vec<Finding> {
    files(runtime_dir, modules).into_iter().filter_map(|file| file.judge()).chain(clock()).collect()
}

/// A file of ours, and the bits of its mode that must not be set.
struct Expected {
    path: PathBuf,
    forbidden: u32,
    /// The widest mode it may have.
    right: u32,
}

fn files(runtime_dir: &Path, modules: &[PathBuf]) -> Vec<Expected> {
    let of = |path: PathBuf, right: u32| Expected { path, forbidden: !right & 0o777, right };
    let mut all = vec![of(CONFIG.into(), 0o755), of(Path::new(CONFIG).join("twinlock.toml"), 0o640)];
    // What decides who is asked is root's alone to change.
    all.extend(
        ["/etc/pam.d", "/etc/ssh/sshd_config", "/usr/sbin/twinlockd"].map(|path| of(path.into(), 0o755)),
    );
    let stacks = fs::read_dir("/etc/pam.d").into_iter().flatten().flatten();
    all.extend(stacks.map(|entry| of(entry.path(), 0o755)));
    all.extend(modules.iter().map(|path| of(path.clone(), 0o755)));
    let drop_ins = fs::read_dir(Path::new(CONFIG).join("twinlock.d")).into_iter().flatten().flatten();
    let toml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    all.extend(drop_ins.map(|entry| entry.path()).filter(toml).map(|path| of(path, 0o640)));
    let credentials = fs::read_dir(Path::new(CONFIG).join("credentials")).into_iter().flatten().flatten();
    all.push(of(Path::new(CONFIG).join("credentials"), 0o700));
    all.extend(credentials.map(|entry| of(entry.path(), 0o600)));
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
        // A link says nothing by its mode; who may change it, its folder says.
        let about = match fs::metadata(&self.path) {
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
            // A file that may be read stays as it is but for that.
            let only_writable = mode & self.forbidden & !0o022 == 0;
            let mode = if only_writable { "go-w".to_owned() } else { format!("{:04o}", self.right) };
            return Some(Finding::error(&place, sentence, format!("run chmod {mode} {place}")));
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
    let asked = program("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]).output();
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

/// Users and groups as getent(1) lists them, read once.
pub struct People {
    groups: Vec<Vec<String>>,
    users: Vec<Vec<String>>,
}

/// A program of the system, whatever the environment of root's shell says.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command
}

/// The first sentence of what a program complained of.
pub fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given").to_owned()
}

/// Whether systemd runs this host: sd_booted(3).
pub fn systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

fn entries(arguments: &[&str]) -> Vec<Vec<String>> {
    let out = program("getent").args(arguments).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}

impl People {
    pub fn read() -> Self {
        Self { groups: entries(&["group"]), users: entries(&["passwd"]) }
    }
}

impl sshd::People for People {
    fn groups(&self) -> Vec<String> {
        self.groups.iter().filter_map(|fields| fields.first().cloned()).collect()
    }

    fn members(&self, group: &str) -> Vec<String> {
        let is_it = |fields: &&Vec<String>| fields.first().is_some_and(|name| name == group);
        // A directory that lists nothing still answers when it is asked by name.
        let found = self.groups.iter().find(is_it).cloned();
        let Some(fields) = found.or_else(|| entries(&["group", "--", group]).into_iter().next()) else {
            return Vec::new();
        };
        let listed = fields.get(3).map(String::as_str).unwrap_or_default();
        let mut members: Vec<String> =
            listed.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        // passwd(5): name, password, uid, gid.
        let primary = |user: &&Vec<String>| user.get(3).is_some() && user.get(3) == fields.get(2);
        members.extend(self.users.iter().filter(primary).filter_map(|user| user.first().cloned()));
        members
    }

    /// Nobody's Match block names nobody, as it may name the people of this host.
    fn ordinary(&self) -> Option<String> {
        Some("nobody".to_owned())
    }
}

/// Running servers that were started with options or a file of their own: what they do was not looked at.
pub fn other_servers() -> Vec<Finding> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|entry| {
        let said = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&said).replace('\0', " ");
        let listens = line.contains("sshd") && line.contains("[listener]");
        let own = [" -f ", " -o "].iter().any(|option| line.contains(option));
        (listens && own).then(|| format!("process {}", entry.file_name().to_string_lossy()))
    });
    lines
        .map(|place| {
            Finding::warning(
                place,
                "this sshd was started with -f or -o, and only the usual configuration was looked at",
                "look through what it was given by hand, or move it to /etc/ssh/sshd_config",
            )
        })
        .collect()
}
