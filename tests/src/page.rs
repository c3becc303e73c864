//! The enrollment page: twinlock-web as it is run, and a browser's way to it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{wait, world};

/// Where links lead.
pub const URL: &str = "https://twofactor.example.test:8443";
/// The host of it.
pub const HOST: &str = "twofactor.example.test";
/// What the configuration says of it.
pub const WEB: &str = "[web]\nurl = 'https://twofactor.example.test:8443'\nlisten = '127.0.0.1:8443'\n\
                       certificate = '/etc/twinlock/web/cert.pem'\nkey = '/etc/twinlock/web/key.pem'\n";
/// The authority that vouches for its certificate.
pub const AUTHORITY: &str = "/etc/twinlock/web/ca.pem";
/// Where its log goes.
const LOG: &str = "/var/log/twinlock-web.log";

/// A running page, which is stopped when dropped.
pub struct Page {
    child: Child,
}

/// Makes an authority and, in the same folder, a certificate of it for [`HOST`]: `ca.pem`, `cert.pem`, `key.pem`.
pub fn certify(folder: &str) {
    world::sh(&format!(
        "mkdir -p {folder} && cd {folder} && exec 2>/dev/null && new='openssl req -x509 -newkey rsa:2048 -nodes -days 30' && \
         $new -subj /CN=authority -keyout ca-key.pem -out ca.pem && \
         $new -subj /CN=page -keyout key.pem -out cert.pem -CA ca.pem -CAkey ca-key.pem \
         -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:{HOST}"
    ));
}

/// Makes the user that the page runs as, and its certificate. Before the daemon starts, which makes the socket for that user.
pub fn prepare() {
    world::sh("useradd --system --shell /usr/sbin/nologin twinlock-web");
    certify("/etc/twinlock/web");
    world::sh("chgrp twinlock-web /etc/twinlock/web/key.pem && chmod 0640 /etc/twinlock/web/key.pem");
}

impl Page {
    /// Starts it as its own user, logging everything, and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        let log = fs::File::create(LOG).unwrap();
        let child = Command::new("setpriv")
            .args(["--reuid=twinlock-web", "--regid=twinlock-web", "--clear-groups"])
            .args(["twinlock-web", "--log-level", "trace"])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("twinlock-web is installed");
        let page = Self { child };
        wait::until("the page", 20, || (page.get("/robots.txt", &[]).0 == 200).then_some(()));
        page
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(LOG).unwrap()
    }

    /// GET, by curl: status and body.
    #[must_use]
    pub fn get(&self, path: &str, options: &[&str]) -> (u16, String) {
        self.curl(path, options)
    }

    /// A request with these options of curl's: status and body, 0 if there was no answer.
    #[must_use]
    pub fn curl(&self, path: &str, options: &[&str]) -> (u16, String) {
        let resolve = format!("{HOST}:8443:127.0.0.1");
        let out = Command::new("curl")
            .args(["--silent", "--max-time", "30", "--resolve", &resolve, "--cacert", AUTHORITY])
            .args(["--write-out", "\n%{http_code}"])
            .args(options)
            .arg(format!("{URL}{path}"))
            .output()
            .expect("curl is installed");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let (body, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of a link of ours.
#[must_use]
#[track_caller]
pub fn path_of(link: &str) -> String {
    assert!(Path::new(link).starts_with(URL), "{link}");
    link[URL.len()..].to_owned()
}
