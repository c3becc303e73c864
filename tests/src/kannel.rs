//! A real SMS gateway: Kannel, with an SMS centre that prints what arrives.

use std::{
    fs::{self, File},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use crate::{daemon::Daemon, delivery, ssh::Sshd, wait, world::World};

/// The password of its user `twinlock`.
pub const PASSWORD: &str = "sms horse";
/// What arrived.
const ARRIVED: &str = "/tmp/smsc.log";

/// A running Kannel, which is stopped when dropped.
pub struct Kannel(Vec<Child>);

impl Kannel {
    /// Starts it on loopback, and the centre behind it.
    #[must_use]
    pub fn start() -> Self {
        let config = format!(
            "group = core\nadmin-port = 13000\nadmin-password = x\nsmsbox-port = 13001\nbox-allow-ip = 127.0.0.1\nlog-level = 0\n\
             \ngroup = smsc\nsmsc = fake\nsmsc-id = fake\nport = 10000\nconnect-allow-ip = 127.0.0.1\n\
             \ngroup = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = 13013\nglobal-sender = 13013\nlog-level = 0\n\
             \ngroup = sendsms-user\nusername = twinlock\npassword = \"{PASSWORD}\"\n\
             \ngroup = sms-service\nkeyword = default\ntext = x\n"
        );
        fs::write("/tmp/kannel.conf", config).unwrap();
        let start = |program: &str, arguments: &[&str], log: &str| {
            let log = File::create(log).unwrap();
            let both = log.try_clone().unwrap();
            let child =
                Command::new(program).args(arguments).stdin(Stdio::null()).stdout(log).stderr(both).spawn();
            child.expect("kannel is installed")
        };
        let listens = |port: u16| wait::until("kannel", 10, || TcpStream::connect(("127.0.0.1", port)).ok());
        let mut started = vec![start("bearerbox", &["/tmp/kannel.conf"], "/tmp/bearerbox.log")];
        listens(13000);
        started.push(start(
            "/usr/lib/kannel/test/fakesmsc",
            &["-H", "127.0.0.1", "-r", "10000", "-m", "0", "1 2 text x"],
            ARRIVED,
        ));
        started.push(start("smsbox", &["/tmp/kannel.conf"], "/tmp/smsbox.log"));
        listens(13013);
        Self(started)
    }
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The messages that arrived, oldest first: `FROM TO text TEXT`.
#[must_use]
pub fn messages() -> Vec<String> {
    let text = fs::read_to_string(ARRIVED).unwrap_or_default();
    let message = |line: &str| {
        let (_, message) = line.split_once("Got message ")?.1.split_once(": <")?;
        message.strip_suffix('>').map(str::to_owned)
    };
    text.lines().filter_map(message).collect()
}

/// Waits for message number `count`.
#[must_use]
pub fn message(count: usize) -> String {
    wait::until("the SMS", 15, || messages().into_iter().nth(count - 1))
}

/// The code in a message: the first word of its text.
#[must_use]
pub fn code_in(message: &str) -> String {
    let text = message.split_once(" text ").expect("a text").1;
    text.split(' ').next().expect("a word").to_owned()
}

/// bob's telephone.
pub const NUMBER: &str = "+4915112345678";
/// What he is asked whose telephone is all that he has.
pub const ASK: &str = "Send a code by sms to +49*******78? Press Enter: ";
/// And when a code is on its way.
pub const SENT: &str = "Code sent by sms to +49*******78. Verification code (or type resend): ";
/// This gateway, as a provider.
pub const CONFIG: &str = "[sms]\nregions = ['DE', 'FR']\n[[provider]]\nname = 'house'\npreset = 'kannel'\nfrom = '4900'\n\
                          user = 'twinlock'\nsecret = 'sms'\n";
/// The key of other providers, as the credential `key`.
pub const KEY: &str = "provider-horse";

/// Writes the configuration, and the credentials of gateway and providers.
pub fn configure(text: &str) {
    delivery::configure(text, &[("sms", PASSWORD), ("key", KEY)]);
}

/// The same, and bob with his telephone at an sshd.
#[must_use]
pub fn ready(world: &World, config: &str) -> (Daemon, Sshd) {
    configure(config);
    delivery::reachable(world, ["--phone", NUMBER])
}
