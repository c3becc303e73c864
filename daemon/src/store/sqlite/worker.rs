//! The threads that own the connections. The writer takes whatever verbs have queued up, runs each in a
//! savepoint of one transaction, commits once, and only then lets any of them answer: a durable commit costs the
//! same for one login as for sixty.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::unavailable;
use crate::store::StoreError;

/// How long SQLite waits for a lock that somebody else holds.
pub(super) const BUSY: Duration = Duration::from_secs(3);
/// How long a verb may take in all before its caller gives up; under the 5 s that the PAM module waits.
const PATIENCE: Duration = Duration::from_secs(4);
/// Verbs in one commit.
const BATCH: usize = 256;
/// With nothing to do for so long, the writer moves the log into the database.
const IDLE: Duration = Duration::from_millis(500);
/// Commits (of some five pages) after which that is worth it when idle, and is done even while somebody waits.
const CHECKPOINT_IDLE: u32 = 50;
const CHECKPOINT_BUSY: u32 = 150;

/// A verb in the queue.
trait Job: Send {
    /// Runs it in the transaction.
    fn run(&mut self, connection: &Connection);
    /// Tells its caller, after the commit or because there was none.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Verb<T, F> {
    verb: Option<F>,
    result: Result<T, StoreError>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, StoreError> + Send> Job for Verb<T, F> {
    fn run(&mut self, connection: &Connection) {
        // Who gave up waiting was told that nothing could be decided: let it be true.
        if self.caller.is_closed() {
            return;
        }
        if let Some(verb) = self.verb.take() {
            self.result = in_savepoint(connection, verb);
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // Nobody waits any more if the caller gave up: it was told that nothing could be decided.
        let _ = self.caller.send(committed.and(self.result));
    }
}

/// The writing thread.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel();
        let thread = spawn("store-writer", move || write_loop(&connection, &jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs a verb; the answer comes after it is on disk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        patiently(self.queue(verb)?).await
    }

    /// The same for who waits for the answer as long as it takes.
    pub(super) async fn run_long<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(verb)?.await.map_err(|_| StoreError::Stopped)?
    }

    fn queue<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (caller, answer) = oneshot::channel();
        let job = Verb { verb: Some(verb), result: Err(StoreError::Stopped), caller };
        let queue = self.queue.as_ref().ok_or(StoreError::Stopped)?;
        queue.send(Box::new(job)).map_err(|_| StoreError::Stopped)?;
        Ok(answer)
    }
}

impl Drop for Writer {
    /// Waits until what is queued is on disk.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_loop(connection: &Connection, jobs: &mpsc::Receiver<Box<dyn Job>>) {
    let mut commits = 0;
    loop {
        let idle = match jobs.recv_timeout(IDLE) {
            Ok(first) => {
                let batch = std::iter::once(first).chain(jobs.try_iter().take(BATCH - 1)).collect();
                commit(connection, batch);
                commits += 1;
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => {
                checkpoint(connection);
                return;
            }
        };
        if commits >= CHECKPOINT_BUSY || (idle && commits >= CHECKPOINT_IDLE) {
            checkpoint(connection);
            commits = 0;
        }
    }
}

/// One transaction for all of them. If it cannot be begun or committed, every verb in it failed.
fn commit(connection: &Connection, mut batch: Vec<Box<dyn Job>>) {
    let mut outcome = control(connection, "BEGIN IMMEDIATE");
    if outcome.is_ok() {
        for job in &mut batch {
            // An error may have rolled everything back (SQLITE_FULL, SQLITE_IOERR): nothing more may run then.
            if !connection.is_autocommit() {
                job.run(connection);
            }
        }
        outcome = control(connection, "COMMIT");
        if outcome.is_err() {
            // COMMIT may leave the transaction open (SQLITE_BUSY, SQLITE_FULL).
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    for job in batch {
        job.answer(outcome.clone());
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    verb: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    control(connection, "SAVEPOINT verb")?;
    let result = verb(connection);
    if result.is_err() {
        control(connection, "ROLLBACK TO verb")?;
    }
    control(connection, "RELEASE verb")?;
    result
}

/// A statement that begins or ends something; prepared once, not at every login.
pub(super) fn control(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(unavailable)
}

/// Moves the log into the database as far as readers allow.
fn checkpoint(connection: &Connection) {
    let moved: rusqlite::Result<i64> =
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2));
    if let Err(error) = moved {
        tracing::warn!(%error, "the log of the store was not moved into it");
    }
}

type Reading = Box<dyn FnOnce(&Connection) + Send>;

/// A reading thread, for what may take long.
pub(super) struct Reader {
    queue: mpsc::Sender<Reading>,
}

impl Reader {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (queue, verbs) = mpsc::channel::<Reading>();
        let body = move || {
            for verb in verbs {
                verb(&connection);
            }
        };
        drop(spawn("store-archive", body)?); // it ends with its queue

        Ok(Self { queue })
    }

    /// Runs a verb that only reads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        patiently(self.queue(verb)?).await
    }

    /// Runs one that takes as long as the store is large.
    pub(super) async fn run_long<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(verb)?.await.map_err(|_| StoreError::Stopped)?
    }

    fn queue<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let verb = Box::new(move |connection: &Connection| {
            let _ = sender.send(verb(connection));
        });
        self.queue.send(verb).map_err(|_| StoreError::Stopped)?;
        Ok(receiver)
    }
}

async fn patiently<T>(receiver: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, receiver).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(StoreError::Stopped),
        Err(_) => Err(StoreError::Unavailable("it did not answer in time".to_owned())),
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, StoreError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))
}
