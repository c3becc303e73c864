//! Runs futures in the calling thread, with poll(2) on the one socket whenever nothing else can go on.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use hyper::client::conn::http2;
use tonic::body::Body;

use super::socket::Socket;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Queue = Mutex<Vec<Task>>;

/// The futures of one connection and the socket that they wait for.
pub(super) struct Executor {
    tasks: Vec<Task>,
    spawned: Arc<Queue>,
    woken: Arc<Woken>,
    socket: Socket,
}

impl Executor {
    pub(super) fn new(socket: Socket) -> Self {
        Self { tasks: Vec::new(), spawned: Arc::default(), woken: Arc::default(), socket }
    }

    /// Where hyper leaves the tasks that it wants run.
    pub(super) fn spawner(&self) -> Spawner {
        // Weak: a task holds its spawner, and must not keep the queue that holds the task.
        Spawner(Arc::downgrade(&self.spawned))
    }

    pub(super) fn spawn_connection(&mut self, connection: http2::Connection<Socket, Body, Spawner>) {
        self.tasks.push(Box::pin(async move {
            // Its error reaches the streams too, which report it.
            let _ = connection.await;
        }));
    }

    /// Runs until `future` is ready; `None` when the deadline passes first.
    pub(super) fn run<F: Future>(&mut self, future: F, deadline: Instant) -> Option<F::Output> {
        let mut future = pin!(future);
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        loop {
            self.woken.0.store(false, Ordering::Relaxed);
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                self.poll_tasks(&mut cx); // what it queued leaves with the next wait
                return Some(output);
            }
            self.poll_tasks(&mut cx);
            if self.woken.0.load(Ordering::Relaxed) || !lock(&self.spawned).is_empty() {
                continue;
            }
            if !self.socket.wait(deadline) {
                return None;
            }
        }
    }

    fn poll_tasks(&mut self, cx: &mut Context<'_>) {
        self.tasks.append(&mut lock(&self.spawned));
        self.tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
    }
}

/// hyper's executor: it queues, [`Executor::run`] polls.
#[derive(Clone)]
pub(super) struct Spawner(Weak<Queue>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, future: F) {
        if let Some(queue) = self.0.upgrade() {
            lock(&queue).push(Box::pin(future));
        }
    }
}

fn lock(queue: &Queue) -> std::sync::MutexGuard<'_, Vec<Task>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Set when some future can go on. Which one does not matter: there are three.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
