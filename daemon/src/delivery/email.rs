//! Mail through an SMTP server. The text is plain, the code its first line: it is what a lock screen shows.

use std::{fs, io, net::Ipv4Addr, path::PathBuf, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials as Login,
        client::{Certificate, CertificateStore, Tls as Protection, TlsParameters},
        extension::ClientId,
    },
};

use super::{Address, EMAIL, Health, Message, Outcome, Refusal, Text, credential::Credentials, sendmail};
use crate::{
    config::{Config, Email, Tls, Transport},
    engine::prompt,
    names::printable,
    secret::Secret,
    texts::{Language, fill},
};

/// For a connection, and for each command.
const ANSWER: Duration = Duration::from_secs(8);

/// Who gives letters away.
pub(super) struct Mailer {
    credentials: Credentials,
    /// The socket of the mail helper.
    helper: PathBuf,
}

impl Mailer {
    pub(super) const fn new(credentials: Credentials, helper: PathBuf) -> Self {
        Self { credentials, helper }
    }

    pub(super) async fn send(&self, config: &Config, to: &Address, message: &Message) -> Outcome {
        let Some(letter) = compose(config, to, message) else { return Outcome::Rejected(Refusal::Content) };
        let email = &config.email;
        if email.transport == Transport::Sendmail {
            return sendmail::send(&self.helper, &letter.formatted()).await;
        }
        let transport = match self.server(email, &message.host) {
            Ok(transport) => transport,
            Err(why) => return Outcome::Unavailable { why, after: None },
        };
        match transport.send(letter.clone()).await {
            Ok(_) => Outcome::Accepted,
            // Nothing listens here: perhaps there is a sendmail without a server.
            Err(error) if refused(&error) && email.may_use_helper() && self.helper.exists() => {
                sendmail::send(&self.helper, &letter.formatted()).await
            }
            Err(error) => judge(&error),
        }
    }

    fn server(&self, email: &Email, host: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, &'static str> {
        let secret = match &email.secret {
            None => None,
            Some(name) => Some(self.credentials.get(name).ok_or("no-credential")?),
        };
        transport(email, host, secret.as_ref()).ok_or("tls-configuration")
    }

    /// What is known of the mail server: it is asked, without a letter.
    pub(super) async fn health(&self, config: &Config) -> Option<Health> {
        let email = &config.email;
        email.from.as_ref()?;
        let helper = || {
            if self.helper.exists() {
                String::new()
            } else {
                format!(
                    "the mail helper is not there ({}): systemctl enable --now twinlock-sendmail.socket",
                    self.helper.display()
                )
            }
        };
        let problem = if email.transport == Transport::Sendmail {
            helper()
        } else {
            match self.server(email, "localhost") {
                Err(why) => format!("mail cannot be sent: {why}"),
                Ok(transport) => match transport.test_connection().await {
                    Ok(true) => String::new(),
                    Err(error) if refused(&error) && email.may_use_helper() && self.helper.exists() => {
                        String::new()
                    }
                    Ok(false) | Err(_) => format!(
                        "the mail server {}:{} does not answer as it should",
                        email.host,
                        email.port()
                    ),
                },
            }
        };
        Some(Health { name: EMAIL.to_owned(), preset: String::new(), open_for: None, last: None, problem })
    }
}

/// Whether nothing listens there.
fn refused(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a server says, or that it says nothing. Its words are foreign and may hold an address: only the code is kept.
fn judge(error: &lettre::transport::smtp::Error) -> Outcome {
    let status = error.status().map(|code| code.to_string()).unwrap_or_default();
    tracing::warn!(status, permanent = error.is_permanent(), "a mail was not taken");
    let unavailable = |why| Outcome::Unavailable { why, after: None };
    if error.is_permanent() {
        // RFC 4954: 530, 534, 535, 538 are about us; the rest about the mail or its receiver.
        // RFC 3463: X.7 is about policy (no relay, spam), not about the receiver.
        let policy = error.to_string().contains(" 5.7.") || matches!(status.as_str(), "552" | "554");
        return Outcome::Rejected(match status.as_str() {
            "530" | "534" | "535" | "538" => Refusal::Account,
            _ if policy => Refusal::Content,
            _ => Refusal::Destination,
        });
    }
    match (error.is_transient(), error.is_timeout()) {
        (true, _) => unavailable("later"),
        (false, true) => Outcome::Unknown,
        (false, false) => unavailable("connection"),
    }
}

fn transport(
    config: &Email,
    host: &str,
    secret: Option<&Secret<String>>,
) -> Option<AsyncSmtpTransport<Tokio1Executor>> {
    let protection = match config.tls {
        Tls::None => Protection::None,
        Tls::Starttls => Protection::Required(parameters(config)?),
        Tls::Implicit => Protection::Wrapper(parameters(config)?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
        .port(config.port())
        .tls(protection)
        .timeout(Some(ANSWER));
    if let (Some(user), Some(secret)) = (&config.user, secret) {
        builder = builder.credentials(Login::new(user.clone(), secret.expose().clone()));
    }
    Some(builder.hello_name(hello(host)).build())
}

/// What we call ourselves: a host can have a name that no server would take (RFC 5321, section 4.1.4).
fn hello(host: &str) -> ClientId {
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if plain && !host.is_empty() {
        ClientId::Domain(host.to_owned())
    } else {
        ClientId::Ipv4(Ipv4Addr::LOCALHOST)
    }
}

fn parameters(config: &Email) -> Option<TlsParameters> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca_file {
        let text =
            fs::read(file).inspect_err(|error| tracing::error!(file, %error, "no certificates")).ok()?;
        builder = builder.certificate_store(CertificateStore::None);
        builder = builder.add_root_certificate(Certificate::from_pem(&text).ok()?);
    }
    builder.build_rustls().ok()
}

fn compose(config: &Config, to: &Address, message: &Message) -> Option<lettre::Message> {
    let from: Mailbox = config.email.from.as_ref()?.parse().ok()?;
    let (subject, text) = words(config.codes.language, message);
    let domain = from.email.domain().to_owned();
    lettre::Message::builder()
        .from(from)
        .to(Mailbox::new(None, to.parsed()))
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .header(Automatic)
        .message_id(Some(format!("<{}@{domain}>", message.id)))
        .body(text)
        .ok()
}

/// What would be sent.
pub(super) fn rendered(config: &Config, to: &Address, message: &Message) -> Option<Vec<String>> {
    let text = String::from_utf8(compose(config, to, message)?.formatted()).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

/// Subject and text. The code is the first line, and in no subject.
fn words(language: Language, message: &Message) -> (String, String) {
    let Message { id: _, to: _, by: _, text, host, user, service, rhost, lifetime } = message;
    let [host, user, service, rhost] =
        [(host, 64), (user, 64), (service, 32), (rhost, 64)].map(|(text, limit)| printable(text, limit));
    let texts = &language.texts().mail;
    let origin = if rhost.is_empty() { String::new() } else { fill(&texts.origin, &[("rhost", &rhost)]) };
    let lifetime = prompt::duration(*lifetime);
    let mut values = vec![
        ("host", host.as_str()),
        ("user", user.as_str()),
        ("service", service.as_str()),
        ("origin", origin.as_str()),
        ("lifetime", lifetime.as_str()),
    ];
    let (letter, own) = match text {
        Text::Invitation(link) => (&texts.invitation, Some(("link", link.expose().as_str()))),
        other => other
            .choose([&texts.login, &texts.confirm, &texts.changed, &texts.test])
            .unwrap_or((&texts.test, None)),
    };
    values.extend(own);
    (fill(&letter.subject, &values), fill(&letter.text, &values))
}

/// RFC 3834: no answers to this.
#[derive(Clone)]
struct Automatic;

impl lettre::message::header::Header for Automatic {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
