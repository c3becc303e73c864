//! One looking-up child and those who wait for it.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use super::{DirectoryError, Question, Reply, child::Helper, helper::Kind};

/// A child that is started when needed and replaced when it fails or is late.
#[derive(Default)]
pub(super) struct Lane {
    helper: Mutex<Option<Helper>>,
}

impl Lane {
    /// Asks, one after another. Who waited too long behind a slow look-up gives up too, so nothing piles up.
    pub(super) async fn ask(&self, question: &Question, within: Duration) -> Result<Reply, DirectoryError> {
        let deadline = Instant::now() + within;
        let late = |_| DirectoryError(format!("no answer within {} s", within.as_secs()));
        let mut slot = tokio::time::timeout_at(deadline, self.helper.lock()).await.map_err(late)?;
        // Taken out while it works: if it is late, it is killed, and no answer of one look-up is ever read as that of
        // the next. One that died while it had nothing to do costs nobody a login: the second try has a new one.
        let mut idle = slot.take();
        loop {
            let (mut helper, fresh) = match idle.take() {
                Some(helper) => (helper, false),
                None => (start()?, true),
            };
            match tokio::time::timeout_at(deadline, helper.ask(question)).await.map_err(late)? {
                Ok(reply) => {
                    *slot = Some(helper);
                    return Ok(reply);
                }
                Err(error) if fresh => return Err(DirectoryError(error.to_string())),
                Err(_) => {}
            }
        }
    }
}

fn start() -> Result<Helper, DirectoryError> {
    Helper::start(Kind::Accounts).map_err(|error| DirectoryError(format!("no helper process: {error}")))
}
