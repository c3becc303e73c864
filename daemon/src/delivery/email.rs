//! Mail through an SMTP server. The text is plain, the code its first line: it is what a lock screen shows.

use std::{fs, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls as Protection, TlsParameters},
        extension::ClientId,
    },
};

use super::{Message, Outcome, Text};
use crate::{
    config::{Email, Tls},
    engine::prompt,
    names::printable,
    secret::Secret,
};

/// For a connection, and for each command.
const ANSWER: Duration = Duration::from_secs(8);

pub(super) async fn send(config: &Email, secret: Option<&Secret<String>>, message: &Message) -> Outcome {
    let Some(letter) = compose(config, message) else { return Outcome::Rejected("content") };
    let Some(transport) = transport(config, secret) else { return Outcome::Unavailable("tls-configuration") };
    match transport.send(letter).await {
        Ok(_) => Outcome::Accepted,
        Err(error) => judge(&error),
    }
}

/// What a server says, or that it says nothing. Its words are foreign and may hold an address: only the code is kept.
fn judge(error: &lettre::transport::smtp::Error) -> Outcome {
    let status = error.status().map(|code| code.to_string()).unwrap_or_default();
    tracing::warn!(status, permanent = error.is_permanent(), "a mail was not taken");
    if error.is_permanent() {
        // RFC 4954: 530, 534, 535, 538 are about us; the rest about the mail or its receiver.
        return Outcome::Rejected(if status.starts_with("53") { "account" } else { "address" });
    }
    match (error.is_transient(), error.is_timeout()) {
        (true, _) => Outcome::Unavailable("later"),
        (false, true) => Outcome::Unknown,
        (false, false) => Outcome::Unavailable("connection"),
    }
}

fn transport(config: &Email, secret: Option<&Secret<String>>) -> Option<AsyncSmtpTransport<Tokio1Executor>> {
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
        builder = builder.credentials(Credentials::new(user.clone(), secret.expose().clone()));
    }
    Some(builder.hello_name(ClientId::default()).build())
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

fn compose(config: &Email, message: &Message) -> Option<lettre::Message> {
    let from: Mailbox = config.from.as_ref()?.parse().ok()?;
    let (subject, text) = words(message);
    lettre::Message::builder()
        .from(from)
        .to(Mailbox::new(None, message.to.parsed()))
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .header(Automatic)
        .message_id(None)
        .body(text)
        .ok()
}

/// Subject and text. The code is the first line, and in no subject.
fn words(message: &Message) -> (String, String) {
    let Message { to: _, text, host, user, service, rhost, lifetime } = message;
    let [host, user, service, rhost] =
        [(host, 64), (user, 64), (service, 32), (rhost, 64)].map(|(text, limit)| printable(text, limit));
    let from_where = if rhost.is_empty() { String::new() } else { format!(" from {rhost}") };
    let lifetime = prompt::duration(*lifetime);
    match text {
        Text::Login(code) => (
            format!("Login code for {host}"),
            format!(
                "{}\n\nThis is the code for the login of {user} at {service} on {host}{from_where}.\n\
                 It can be used for {lifetime}, in the login that asked for it.\n\n\
                 If that was not you, somebody knows your password: change it, and tell your administrator.\n",
                code.expose()
            ),
        ),
        Text::Confirm(code) => (
            format!("Confirm this address for {host}"),
            format!(
                "{}\n\nType this code where you asked for it, and login codes of {user} on {host} will come to this \
                 address.\nIt can be used for {lifetime}.\n\nIf that was not you, do nothing.\n",
                code.expose()
            ),
        ),
        Text::Changed(masked) => (
            format!("Login codes of {host} go to another address"),
            format!(
                "Login codes of {user} on {host} go to {masked} from now on, and no more to this address.\n\n\
                 If that was not you, tell your administrator at once.\n"
            ),
        ),
    }
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
