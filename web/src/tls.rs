//! TLS with the administrator's certificate, which is read again when its files change.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;
use twinlock_proto::WEB_USER;

/// Certificate and key that are in force, and what their files looked like when they were read.
pub struct Tls {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
    seen: Mutex<Option<Looks>>,
}

/// Paths, and what was seen there; nothing where there is no file.
#[derive(PartialEq, Eq)]
struct Looks {
    paths: (PathBuf, PathBuf),
    files: [Option<[i64; 6]>; 2],
}

impl Tls {
    /// Without a certificate yet.
    ///
    /// # Errors
    ///
    /// When `ring` has no protocol version in common with us: never.
    pub fn new() -> Result<Self, rustls::Error> {
        let pair = Arc::new(Pair(RwLock::new(None)));
        let resolver: Arc<dyn ResolvesServerCert> = pair.clone();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS12, &TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), pair, seen: Mutex::new(None) })
    }

    /// For a connection; `None` as long as there is no certificate.
    pub fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.pair.current().is_some().then_some(&self.acceptor)
    }

    /// Reads the files if they look other than last time. A pair that cannot be used leaves the old one in force.
    pub fn look(&self, paths: &(PathBuf, PathBuf)) {
        let looks = Looks { paths: paths.clone(), files: [look_of(&paths.0), look_of(&paths.1)] };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref() == Some(&looks) {
            return;
        }
        *seen = Some(looks);
        match read(&paths.0, &paths.1) {
            Ok(pair) => {
                *self.pair.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pair));
                tracing::info!(certificate = %paths.0.display(), "certificate read");
            }
            Err(fault) if self.acceptor().is_some() => {
                tracing::error!("{fault}; the certificate from before stays in force");
            }
            Err(fault) => tracing::error!("{fault}; all connections are closed until there is a certificate"),
        }
    }
}

/// Times, size and place: a file that was replaced differs in one of them.
fn look_of(path: &Path) -> Option<[i64; 6]> {
    let meta = fs::metadata(path).ok()?;
    let place = [meta.size(), meta.ino()].map(u64::cast_signed);
    Some([meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), place[0], place[1]])
}

/// Why a pair cannot be used.
enum Fault {
    Unreadable(PathBuf, io::Error),
    NotPem(PathBuf, &'static str),
    Unusable(PathBuf, rustls::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "cannot read {}: {error}; the user {WEB_USER} has to be able to", path.display())
            }
            Self::NotPem(path, what) => write!(f, "{} holds no {what} in PEM form", path.display()),
            Self::Unusable(path, error) => {
                write!(
                    f,
                    "the key {} is not of the certificate, or of no kind that is known: {error}",
                    path.display()
                )
            }
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, Fault> {
    let bytes = |path: &Path| fs::read(path).map_err(|error| Fault::Unreadable(path.to_owned(), error));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| Fault::NotPem(certificate.to_owned(), "certificates"))?;
    if chain.is_empty() {
        return Err(Fault::NotPem(certificate.to_owned(), "certificate"));
    }
    let secret = PrivateKeyDer::from_pem_slice(&bytes(key)?)
        .map_err(|_| Fault::NotPem(key.to_owned(), "private key without a passphrase"))?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider())
        .map_err(|error| Fault::Unusable(key.to_owned(), error))
}

struct Pair(RwLock<Option<Arc<CertifiedKey>>>);

impl Pair {
    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(..)")
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}
