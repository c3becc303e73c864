//! A page that listens, a daemon behind it, and a browser's side of HTTP, written out by hand.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use twinlock_proto::v1::Settings;
use twinlock_web::{LogLevel, LogTo, Options};

use crate::fake::{Fake, TOKEN};

pub const HOST: &str = "mfa.example.com";
pub const ORIGIN: &str = "https://mfa.example.com";
/// Nothing takes longer than the longest limit.
pub const LONG: Duration = Duration::from_secs(45);

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub struct Bed {
    pub folder: tempfile::TempDir,
    pub fake: Fake,
    pub address: SocketAddr,
    daemon: Option<Runtime>,
    page: Option<JoinHandle<()>>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.stop_daemon();
        if let Some(page) = self.page.take() {
            page.abort();
        }
    }
}

/// A folder that is root's alone and that others can look into, with a certificate.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    write_pair(folder.path(), HOST);
    folder
}

/// Writes a new certificate for `name`, and its key.
pub fn write_pair(folder: &std::path::Path, name: &str) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
}

pub fn settings(folder: &tempfile::TempDir) -> Settings {
    let path = |name: &str| folder.path().join(name).display().to_string();
    Settings {
        url: format!("{ORIGIN}/id"),
        certificate: path("cert.pem"),
        key: path("key.pem"),
        issuer: "Example Corp".to_owned(),
        host: "web1".to_owned(),
        language: "en".to_owned(),
        ..Settings::default()
    }
}

impl Bed {
    /// With its own certificate.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Behind a proxy at 127.0.0.1, without TLS of its own.
    pub async fn proxied() -> Self {
        Self::with(|settings| {
            settings.certificate.clear();
            settings.key.clear();
            settings.proxies = vec!["127.0.0.1".to_owned(), "10.0.0.0/8".to_owned()];
        })
        .await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = folder();
        let mut settings = settings(&folder);
        change(&mut settings);
        let mut bed = Self::without_daemon(folder, settings);
        bed.start_daemon();
        bed.ready().await;
        bed
    }

    /// A folder with settings, for a page that is started otherwise.
    pub fn without_page(folder: tempfile::TempDir, settings: Settings) -> Self {
        let address = SocketAddr::new([127, 0, 0, 1].into(), 0);
        Self { fake: Fake::new(settings), folder, address, daemon: None, page: None }
    }

    /// The page alone: nobody is behind it yet.
    pub fn without_daemon(folder: tempfile::TempDir, settings: Settings) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let options = Options {
            runtime_dir: folder.path().to_owned(),
            log_level: LogLevel::Info,
            log_to: LogTo::Stderr,
        };
        let page = tokio::spawn(async move { twinlock_web::run(&options, Some(listener)).await.unwrap() });
        Self { fake: Fake::new(settings), folder, address, daemon: None, page: Some(page) }
    }

    pub fn start_daemon(&mut self) {
        self.daemon = Some(self.fake.listen(self.folder.path()));
    }

    pub fn stop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            // A runtime must not be waited for within another one.
            let ended = std::thread::spawn(move || daemon.shutdown_timeout(LONG));
            ended.join().unwrap();
        }
    }

    /// Until the page answers.
    pub async fn ready(&self) {
        let tls = !self.fake.0.lock().unwrap().settings.certificate.is_empty();
        let asked = async {
            loop {
                let ask = Ask::get("/id/style.css").header("x-forwarded-proto", "https");
                let ask = if tls { ask } else { ask.plain() };
                if self.try_send(&ask).await.is_some_and(|reply| reply.status == 200) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(LONG, asked).await.expect("the page does not answer");
    }

    fn trust(&self) -> TlsConnector {
        let pem = fs::read(self.folder.path().join("cert.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        for certificate in <CertificateDer<'_> as rustls::pki_types::pem::PemObject>::pem_slice_iter(&pem) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    /// A connection from `from`, over TLS unless `plain`.
    pub async fn connect(&self, from: IpAddr, plain: bool) -> Option<Box<dyn Stream>> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        let stream: TcpStream = socket.connect(self.address).await.ok()?;
        if plain {
            return Some(Box::new(stream));
        }
        let name = HOST.try_into().unwrap();
        let stream =
            timeout(LONG, self.trust().connect(name, stream)).await.expect("a handshake that hangs").ok()?;
        Some(Box::new(stream))
    }

    /// `None`: the connection is closed without an answer.
    pub async fn try_send(&self, ask: &Ask) -> Option<Reply> {
        let mut stream = self.connect(ask.from, ask.plain).await?;
        let _ = stream.write_all(ask.bytes().as_bytes()).await;
        read(&mut stream).await
    }

    pub async fn send(&self, ask: &Ask) -> Reply {
        self.try_send(ask).await.expect("no answer")
    }

    /// The form, as a browser opens it: its cookie and what the form carries.
    pub async fn open(&self) -> Opened {
        let reply = self.send(&Ask::get(&format!("/id/enroll/{TOKEN}"))).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        Opened::of(&reply)
    }

    pub async fn open_body(&self) -> String {
        self.send(&Ask::get(&format!("/id/enroll/{TOKEN}"))).await.body
    }

    /// The second page.
    pub async fn prove(&self) -> (Opened, Reply) {
        let opened = self.open().await;
        let reply = self.send(&opened.binding("ab12 cd34")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        (Opened::of(&reply), reply)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Reads an answer to the end of the connection.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Reply> {
    let mut bytes = Vec::new();
    // A close without TLS's goodbye is an error behind the answer.
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.expect("an answer that never ends");
    Reply::parse(&bytes)
}

/// What a browser holds after a page with a form.
pub struct Opened {
    pub cookie: String,
    pub seal: String,
}

impl Opened {
    pub fn of(reply: &Reply) -> Self {
        let cookie = reply.headers["set-cookie"].split(';').next().unwrap().to_owned();
        let seal =
            reply.body.split("name=\"seal\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        Self { cookie, seal }
    }

    pub fn binding(&self, typed: &str) -> Ask {
        self.post(&format!("/id/enroll/{TOKEN}"), typed)
    }

    pub fn code(&self, typed: &str) -> Ask {
        self.post("/id/confirm", typed)
    }

    fn post(&self, path: &str, typed: &str) -> Ask {
        let typed = typed.replace(' ', "+");
        Ask::post(path, &format!("seal={}&code={typed}", self.seal))
            .header("cookie", &self.cookie)
            .header("origin", ORIGIN)
            .header("sec-fetch-site", "same-origin")
    }
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub from: IpAddr,
    pub plain: bool,
}

impl Ask {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("host".to_owned(), HOST.to_owned())],
            body: String::new(),
            from: [127, 0, 0, 1].into(),
            plain: false,
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str, body: &str) -> Self {
        let ask = Self::new("POST", target).header("content-type", "application/x-www-form-urlencoded");
        Self { body: body.to_owned(), ..ask }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn instead(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    pub fn plain(self) -> Self {
        Self { plain: true, ..self }
    }

    pub fn from(self, from: [u8; 4]) -> Self {
        Self { from: from.into(), ..self }
    }

    fn bytes(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method == "POST" {
            text.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        text + "\r\n" + &self.body
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let before = headers.insert(name.to_ascii_lowercase(), value.to_owned());
            assert!(before.is_none(), "{name} is there twice");
        }
        Some(Self { status, headers, body: body.to_owned() })
    }

    pub fn title(&self) -> &str {
        self.body.split("<title>").nth(1).unwrap().split("</title>").next().unwrap()
    }
}
