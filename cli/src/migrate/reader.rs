//! The child process that reads a file as its owner. It begins as root and lets go of everything that the owner could take
//! over with it - the terminal that root sits at, open files, privileges of programs to come - before it becomes the owner.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use nix::{
    errno::Errno,
    sys::{prctl, resource, signal::Signal, stat},
    unistd::{self, Gid, Uid},
};
use zeroize::Zeroizing;

use super::owned::{LARGEST, Owned, look_at};

/// The name by which the child is called: no command that anybody would be offered.
pub(super) const NAME: &str = "twinlock-read-own";

/// What the child is asked for.
pub struct Errand {
    uid: Uid,
    gid: Gid,
    path: PathBuf,
}

/// The errand, in the child; none in a command that somebody called.
pub fn errand() -> Option<Errand> {
    let mut arguments = env::args_os();
    arguments.next().filter(|name| name == NAME)?;
    let mut number = || arguments.next().as_ref().and_then(|text: &OsString| text.to_str()?.parse().ok());
    let (uid, gid) = (Uid::from_raw(number()?), Gid::from_raw(number()?));
    Some(Errand { uid, gid, path: arguments.next()?.into() })
}

/// Says on standard output what is at a path.
pub fn read_own(errand: &Errand) -> ExitCode {
    let Errand { uid, gid, path } = errand;
    let read = || {
        let_go().and_then(|()| become_owner(*uid, *gid)).map_err(|error| error.to_string())?;
        look_at(path, uid.as_raw(), LARGEST)
    };
    let (head, file) = match read() {
        Ok(Some(Owned { text, open })) => (if open { "open" } else { "private" }.to_owned(), text),
        Ok(None) => ("absent".to_owned(), Zeroizing::default()),
        Err(why) => (format!("refused {why}"), Zeroizing::default()),
    };
    let mut stdout = io::stdout().lock();
    let said =
        writeln!(stdout, "{head}").and_then(|()| stdout.write_all(&file)).and_then(|()| stdout.flush());
    said.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Lets go of what whoever called the command had: files that programs before it left open, and the terminal, into which the
/// owner could type for root otherwise (TIOCSTI).
fn let_go() -> io::Result<()> {
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
    let open: Vec<OsString> =
        fs::read_dir(Path::new("/proc/self/fd"))?.map(name).collect::<Result<_, _>>()?;
    for number in open.iter().filter_map(|name| name.to_str()?.parse::<i32>().ok()) {
        if number > 2 {
            match unistd::close(number) {
                Ok(()) | Err(Errno::EBADF) => {} // the one that the folder was read by is closed already
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    unistd::setsid()?;
    prctl::set_no_new_privs()?;
    resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0)?;
    stat::umask(stat::Mode::from_bits_truncate(0o077));
    Ok(())
}

/// Every right but the owner's is gone for good.
fn become_owner(uid: Uid, gid: Gid) -> io::Result<()> {
    unistd::setgroups(&[])?;
    unistd::setresgid(gid, gid, gid)?;
    unistd::setresuid(uid, uid, uid)?;
    // The owner is not to trace it: what was root's may still lie in its memory. (A change of uid undoes both of these.)
    prctl::set_dumpable(false)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}
