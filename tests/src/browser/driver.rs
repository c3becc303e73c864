//! The WebDriver of Chromium's: JSON over HTTP, which says yes only when the page is there.

use std::{
    fs::{self, File},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use super::Scripts;
use crate::{wait, world};

/// A driver and its only session, until dropped.
pub(super) struct Driver {
    child: Child,
    session: String,
}

/// A picture of a long page is large.
const MAX_ANSWER: u64 = 100 << 20;
static PORT: AtomicU16 = AtomicU16::new(9515);

impl Driver {
    /// Starts a driver, and a browser by it.
    pub(super) fn start(scripts: Scripts) -> Self {
        world::sh("chroot /browser install -d -o nobody /home/visitor");
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        let log = format!("/tmp/chromedriver-{port}.log");
        let out = File::create(&log).unwrap();
        let child = Command::new("chroot")
            .args(["--userspec=nobody:nogroup", "/browser", "chromedriver", &format!("--port={port}")])
            .env("HOME", "/home/visitor")
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .expect("the browser is installed");
        wait::until("chromedriver", 10, || TcpStream::connect(("127.0.0.1", port)).ok());
        let mut driver = Self { child, session: format!("http://127.0.0.1:{port}/session") };
        let started = driver
            .try_post("", &wanted(scripts))
            .unwrap_or_else(|error| panic!("{error}\n{}", fs::read_to_string(log).unwrap_or_default()));
        driver.session = format!("{}/{}", driver.session, started["sessionId"].as_str().unwrap());
        driver
    }

    /// What `path` of the session is.
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The same; why not, if it cannot be said.
    pub(super) fn try_get(&self, path: &str) -> Result<Value, String> {
        value(agent().get(self.session.clone() + path).call())
    }

    /// Asks for something to be done.
    #[track_caller]
    pub(super) fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body).unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    /// The same; why not, if it cannot be done.
    pub(super) fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        value(agent().post(self.session.clone() + path).send(body.to_string()))
    }

    /// A command of Chromium's own protocol for developers.
    #[track_caller]
    pub(super) fn develop(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = agent().delete(&self.session).call();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the driver is asked for.
fn wanted(scripts: Scripts) -> Value {
    let mut settings = json!({
        "net.network_prediction_options": 2, // connections only for what is opened
        "credentials_enable_service": false,
    });
    if scripts == Scripts::Off {
        settings["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    let arguments = [
        "headless",
        "remote-debugging-pipe",
        // It needs namespaces of its own, which a program in a chroot may not make.
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "host-resolver-rules=MAP * 127.0.0.1",
    ];
    json!({"capabilities": {"alwaysMatch": {
        "goog:chromeOptions": {"binary": "/usr/lib/chromium/chromium", "args": arguments, "prefs": settings},
        "goog:loggingPrefs": {"browser": "ALL"},
    }}})
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_secs(60))).build().new_agent()
}

/// The value that is answered, or the error.
fn value(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
    let read = |mut answer: ureq::http::Response<ureq::Body>| {
        answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string()
    };
    let text = answer.and_then(read).map_err(|error| error.to_string())?;
    let mut json: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let value = json["value"].take();
    match (value["error"].as_str(), value["message"].as_str()) {
        (Some(error), Some(message)) => Err(format!("{error}: {message}")),
        _ => Ok(value),
    }
}
