//! A file that its owner could have put anything in place of: links to other people's files, pipes, devices, a file without
//! end. A child process of this command opens it as the owner, with the owner's rights and no others, so that nothing comes
//! back that the owner could not read; and it is given up where the owner's home does not answer. The owner may do with such
//! a process what one may with one's own: it has nothing of this command's but the line to answer on (reader.rs).

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt, OpenOptionsExt},
            net::UnixStream as Pair,
            process::CommandExt,
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::fcntl::OFlag;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::reader;

/// The largest file: what pam_google_authenticator reads, in bytes.
pub(super) const LARGEST: usize = 64 * 1024;
/// How long a home may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest word about a file, in bytes.
const HEAD: usize = 512;

/// A file that is taken for one.
pub struct Owned {
    pub text: Zeroizing<Vec<u8>>,
    /// Others than its owner may read it.
    pub open: bool,
}

/// What is at a path.
pub enum Found {
    Absent,
    File(Owned),
    /// Something that is not taken for one, and why.
    Refused(String),
}

/// Reads a file as its owner does.
pub async fn read(path: &Path, uid: u32, gid: u32) -> Found {
    let (ours, theirs) = match Pair::pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, theirs))
    }) {
        Ok(pair) => pair,
        Err(error) => return Found::Refused(error.to_string()),
    };
    let child = Command::new("/proc/self/exe")
        .arg0(reader::NAME)
        .args([uid.to_string(), gid.to_string()]) // which it becomes itself: from the start it would be the owner's to trace
        .arg(path)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Found::Refused(format!("it cannot be read as its owner: {error}")),
    };
    let answer = tokio::time::timeout(PATIENCE, all_of(&ours)).await;
    end(&mut child, answer.is_ok());
    match answer {
        Ok(Ok(answer)) => understood(&answer),
        Ok(Err(error)) => Found::Refused(format!("it cannot be read as its owner: {error}")),
        Err(_) => Found::Refused(format!("it could not be read within {} s", PATIENCE.as_secs())),
    }
}

/// Whoever hangs in a dead file system is not waited for.
fn end(child: &mut Child, answered: bool) {
    let _ = child.kill();
    let _ = if answered { child.wait().map(drop) } else { child.try_wait().map(drop) };
}

async fn all_of(from: &UnixStream) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut answer = Zeroizing::new(vec![0; HEAD + LARGEST + 1]);
    let mut length = 0;
    loop {
        from.readable().await?;
        let Some(room) = answer.get_mut(length..).filter(|room| !room.is_empty()) else {
            return Err(io::Error::other("it has no end"));
        };
        match from.try_read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    answer.truncate(length);
    Ok(answer)
}

/// What the child said: a line, and behind it the file.
fn understood(answer: &[u8]) -> Found {
    let strange = || Found::Refused("it cannot be read as its owner: the process for it ended".to_owned());
    let Some(end) = answer.iter().take(HEAD).position(|byte| *byte == b'\n') else { return strange() };
    let (head, file) = answer.split_at(end);
    let text = Zeroizing::new(file.get(1..).unwrap_or_default().to_vec());
    match str::from_utf8(head) {
        Ok("absent") => Found::Absent,
        Ok("private") => Found::File(Owned { text, open: false }),
        Ok("open") => Found::File(Owned { text, open: true }),
        Ok(said) => said.strip_prefix("refused ").map_or_else(strange, |why| Found::Refused(why.to_owned())),
        Err(_) => strange(),
    }
}

/// A regular file of this owner under one name, which nobody else can write.
pub fn look_at(path: &Path, owner: u32, largest: usize) -> Result<Option<Owned>, String> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) => {
            return match error.raw_os_error().map(nix::errno::Errno::from_raw) {
                // Where a name on the way is no folder, there is no file either.
                Some(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => Ok(None),
                Some(nix::errno::Errno::ELOOP) => Err("it is a symbolic link".to_owned()),
                Some(nix::errno::Errno::ENXIO) => Err("it is no regular file".to_owned()), // a socket
                _ => Err(error.to_string()),
            };
        }
    };
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if about.uid() != owner {
        return Err(format!("it is owned by uid {}, not {owner}", about.uid()));
    }
    if about.nlink() != 1 {
        return Err("it has another name too (a hard link)".to_owned());
    }
    if about.mode() & 0o022 != 0 {
        return Err("others than its owner can write it".to_owned());
    }
    let large = || format!("it is larger than {} KiB", largest / 1024);
    if about.len() > largest as u64 {
        return Err(large());
    }
    // As large as it may become: what grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(largest + 1));
    file.take(largest as u64 + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() > largest {
        return Err(large());
    }
    Ok(Some(Owned { text, open: about.mode() & 0o044 != 0 }))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, Permissions},
        os::unix::{
            fs::{PermissionsExt, symlink},
            net::UnixListener,
        },
    };

    use super::*;

    /// The text and whether others can read it, or why not.
    fn told(path: &Path, owner: u32) -> Result<Option<(Vec<u8>, bool)>, String> {
        look_at(path, owner, 100).map(|found| found.map(|Owned { text, open }| (text.to_vec(), open)))
    }

    #[test]
    fn only_a_file_of_the_owners_own_is_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let (at, me) = (|name: &str| folder.path().join(name), nix::unistd::geteuid().as_raw());
        let make = |name: &str, mode: u32, text: &[u8]| {
            fs::write(at(name), text).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        make("private", 0o400, b"text");
        make("open", 0o644, &[b'x'; 100]);
        make("group", 0o660, b"text");
        make("world", 0o602, b"text");
        make("twin", 0o600, b"text");
        make("large", 0o600, &[b'x'; 101]);
        fs::hard_link(at("twin"), at("other")).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        symlink(at("private"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        assert_eq!(told(&at("private"), me), Ok(Some((b"text".to_vec(), false))));
        assert_eq!(told(&at("open"), me), Ok(Some((vec![b'x'; 100], true))));
        assert_eq!(told(&at("absent"), me), Ok(None));
        assert_eq!(told(&at("private/below"), me), Ok(None));
        for (name, why) in [
            ("group", "others than its owner can write it"),
            ("world", "others than its owner can write it"),
            ("twin", "a hard link"),
            ("large", "larger than"),
            ("sparse", "larger than"),
            ("link", "a symbolic link"),
            ("pipe", "no regular file"),
            ("socket", "no regular file"),
            ("", "no regular file"),
        ] {
            let said = told(&at(name), me).unwrap_err();
            assert!(said.contains(why), "{name}: {said}");
        }
        assert!(told(&at("private"), me + 1).unwrap_err().starts_with("it is owned by uid"));
        assert!(told(Path::new("/dev/zero"), 0).unwrap_err().contains("no regular file"));
        // The kernel says that it is empty, and then goes on and on.
        assert!(look_at(Path::new("/proc/self/maps"), me, 10).err().unwrap().contains("larger than"));
    }

    #[test]
    fn whatever_the_child_says_it_is_understood_or_refused() {
        let word = |answer: &[u8]| match understood(answer) {
            Found::Absent => "absent".to_owned(),
            Found::File(Owned { text, open }) => format!("{open} {}", String::from_utf8_lossy(&text)),
            Found::Refused(why) => why,
        };
        assert_eq!(word(b"absent\n"), "absent");
        assert_eq!(word(b"private\nrefused x\n"), "false refused x\n");
        assert_eq!(word(b"open\n"), "true ");
        assert_eq!(word(b"refused it is a link\n"), "it is a link");
        for answer in [&b""[..], b"private", b"\n", b"\xff\n", b"yes\n", &[b'x'; 70_000]] {
            assert!(word(answer).contains("the process for it ended"));
        }
    }
}
