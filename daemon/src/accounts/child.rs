//! A child process of this program, on the other end of a socket pair, talking JSON lines.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as Pair},
    process::{Child, Command, Stdio},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};
use zeroize::Zeroizing;

use super::helper::Kind;

/// Longest answer: the names of a few hundred thousand users.
const ANSWER: u64 = 8 * 1024 * 1024;

/// The child and the line to it. Dropping it kills it.
pub(super) struct Helper {
    child: Child,
    line: Line,
}

/// Questions out, answers in.
pub(super) struct Line(BufReader<UnixStream>);

impl Helper {
    pub(super) fn start(kind: Kind) -> io::Result<Self> {
        let (ours, theirs) = Pair::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new("/proc/self/exe")
            .args(["--helper", kind.name()])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child, line: Line::over(UnixStream::from_std(ours)?) })
    }

    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, question: &Q) -> io::Result<A> {
        self.line.ask(question).await
    }
}

impl Line {
    pub(super) fn over(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, question: &Q) -> io::Result<A> {
        let mut text = Zeroizing::new(serde_json::to_vec(question)?);
        text.push(b'\n');
        self.0.get_mut().write_all(&text).await?;
        let mut answer = Vec::new();
        (&mut self.0).take(ANSWER).read_until(b'\n', &mut answer).await?;
        if answer.last() != Some(&b'\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the helper process ended"));
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // A killed process is gone at once, unless the kernel holds it (a dead NFS server): the thread that serves
        // does not wait for that.
        for _ in 0..3 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::yield_now();
        }
        reap_later(self.child.id());
    }
}

/// A thread of its own waits; there are as many as there are stuck children.
fn reap_later(pid: u32) {
    let Ok(pid) = i32::try_from(pid).map(nix::unistd::Pid::from_raw) else { return };
    let waiter = std::thread::Builder::new().name("reaper".to_owned());
    let _ = waiter.spawn(move || nix::sys::wait::waitpid(pid, None));
}
