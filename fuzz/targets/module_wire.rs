//! The module's view of whatever stands behind the socket: bytes. None of them is a yes, for none has the nonce.
#![no_main]

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
    sync::{Mutex, OnceLock},
    thread,
};

use libfuzzer_sys::fuzz_target;
use pam_twinlock::{
    application::{Application, Circumstances, ConversationFailed, Echo},
    dialogue::{self, Phase},
    options::Options,
    outcome::Outcome,
    wire::Daemon,
};
use zeroize::Zeroizing;

static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A socket of root's whose other end says what [`SAID`] has, and hangs up.
fn socket() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder").keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
        let path = folder.join("login.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let said = SAID.lock().expect("no panic").clone();
                let _ = stream.and_then(|mut stream| stream.write_all(&said));
            }
        });
        path
    })
}

struct Person;

impl Application for Person {
    fn ask(&mut self, _: &str, _: Echo) -> Result<Zeroizing<Vec<u8>>, ConversationFailed> {
        Ok(Zeroizing::new(b"123456".to_vec()))
    }
    fn tell(&mut self, _: &str) {}
    fn user_is(&self, _: &str) -> bool {
        true
    }
    fn is_password(&self, _: &[u8]) -> bool {
        false
    }
}

fuzz_target!(|bytes: &[u8]| {
    let path = socket();
    *SAID.lock().expect("no panic") = bytes.to_vec();
    let login = Circumstances { user: "alice".into(), service: "sshd".into(), ..Circumstances::default() };
    let options = Options::parse([]).expect("no argument is good");
    let nonce = *b"\x9d\x01\xfe\x33nobody-knows";
    let outcome =
        dialogue::converse(Phase::Auth, &mut Person, &mut Daemon::at(path), &login, &options, nonce);
    assert!(matches!(outcome, Outcome::Unavailable(_)), "{outcome:?}");
});
