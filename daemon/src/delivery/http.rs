//! One engine for every provider that is spoken to by HTTP: a preset and its values become a request, a reply becomes an
//! outcome. Nothing of a request or reply is ever printed but status, the provider's code and its number for the message.

use std::{collections::BTreeMap, fs, io, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::{
    Agent, Proxy, Timeout,
    http::{Request, Uri, header},
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::{
    Attempt, Outcome, Refusal,
    signing::{self, Aws},
};
use crate::{
    clock::Timestamp,
    config::{
        Preset, Provider, is_local,
        preset::{Auth, Class, Http, Reply, Success, Verb},
    },
    names::printable,
    texts::fill,
};

/// Longest reply that is read, and longest head of one.
const REPLY: u64 = 64 * 1024;
const HEAD: usize = 16 * 1024;
/// For a connection, TLS included; for everything.
const CONNECT: Duration = Duration::from_secs(3);
const WHOLE: Duration = Duration::from_secs(8);
/// How long a token counts.
const TOKEN: Duration = Duration::from_secs(300);
/// RFC 3986, section 2.3: everything else is escaped.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands in the places of a preset. Secrets among it: it is never printed.
pub(super) type Values = BTreeMap<String, String>;

/// A request, ready to be sent. It has no `Debug`: it holds a code and a key.
pub(super) struct Prepared {
    pub(super) verb: Verb,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
}

/// Fills a preset in. What a value holds stays a value wherever it stands.
pub(super) fn prepare(
    (provider, preset): (&Provider, &Preset),
    http: &Http,
    values: &Values,
    now: Timestamp,
) -> Result<Prepared, &'static str> {
    let mut prepared = unsigned(provider, preset, http, values);
    let credentials = authorize(&http.auth, values, &prepared, now)?;
    prepared.headers.extend(credentials.into_iter().map(|(name, value)| (name, header_value(&value))));
    Ok(prepared)
}

/// The same without the headers that say who we are.
pub(super) fn unsigned(provider: &Provider, preset: &Preset, http: &Http, values: &Values) -> Prepared {
    let (start, rest) = provider.beginning(preset, &http.url);
    let mut url = format!("{start}{}", encoded(rest, values));
    let query = form(&http.query, values);
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&query);
    }
    let mut headers: Vec<(String, String)> =
        http.headers.iter().map(|(name, text)| (name.clone(), header_value(&plain(text, values)))).collect();
    let body = match (&http.form, &http.json) {
        (Some(fields), _) => Some(("application/x-www-form-urlencoded", form(fields, values))),
        (None, Some(tree)) => Some(("application/json", object(tree, values).to_string())),
        (None, None) => None,
    };
    let body = body.map(|(kind, body)| {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("content-type".to_owned(), kind.to_owned()));
        }
        body
    });
    Prepared { verb: http.method, url, headers, body }
}

/// The headers that say who we are.
fn authorize(
    auth: &Auth,
    values: &Values,
    prepared: &Prepared,
    now: Timestamp,
) -> Result<Vec<(String, String)>, &'static str> {
    let value = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
    let secret = value("secret");
    let authorization = |value: String| vec![("authorization".to_owned(), value)];
    Ok(match auth {
        Auth::None => Vec::new(),
        Auth::Basic { user, password } => {
            let pair = format!("{}:{}", plain(user, values), plain(password, values));
            authorization(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
        }
        Auth::Bearer => authorization(format!("Bearer {secret}")),
        Auth::Header { name, prefix } => vec![(name.clone(), format!("{prefix}{secret}"))],
        Auth::JwtRs256 { claims } => {
            let text = |(name, text): (&String, &String)| (name.clone(), plain(text, values).into());
            let mut claims: serde_json::Map<_, serde_json::Value> = claims.iter().map(text).collect();
            claims.insert("iat".to_owned(), now.secs().into());
            claims.insert("exp".to_owned(), now.after(TOKEN).secs().into());
            claims.insert("jti".to_owned(), format!("{}-{}", value("id"), now.0).into());
            authorization(format!("Bearer {}", signing::jwt(secret, &claims)?))
        }
        Auth::Sigv4 { service, region } => {
            let region = plain(region, values);
            let with = Aws { access_key: value("user"), secret, region: &region, service };
            let Prepared { verb, url, headers, body } = prepared;
            let uri: Uri = url.parse().map_err(|_| "request")?;
            let host = uri.authority().map(ToString::to_string).unwrap_or_default();
            let mut headers = headers.clone();
            headers.push(("host".to_owned(), host));
            let body = body.as_deref().unwrap_or_default().as_bytes();
            let request = (verb.name(), uri.path(), uri.query().unwrap_or_default());
            signing::aws(&with, now, request, &headers, body).into()
        }
    })
}

fn plain(text: &str, values: &Values) -> String {
    let pairs: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fill(text, &pairs)
}

/// No value begins another header.
fn header_value(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

fn encoded(text: &str, values: &Values) -> String {
    let escaped: Values = values
        .iter()
        .map(|(name, value)| (name.clone(), utf8_percent_encode(value, RESERVED).to_string()))
        .collect();
    plain(text, &escaped)
}

fn form(fields: &BTreeMap<String, String>, values: &Values) -> String {
    let pair = |(name, text): (&String, &String)| {
        let (name, value) = (utf8_percent_encode(name, RESERVED), plain(text, values));
        format!("{name}={}", utf8_percent_encode(&value, RESERVED))
    };
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn object(tree: &serde_json::Map<String, serde_json::Value>, values: &Values) -> serde_json::Value {
    serde_json::Value::Object(tree.iter().map(|(key, tree)| (key.clone(), json(tree, values))).collect())
}

/// A tree with its strings filled in. One that is only a number's place becomes a number.
fn json(tree: &serde_json::Value, values: &Values) -> serde_json::Value {
    match tree {
        serde_json::Value::String(text) => {
            let filled = plain(text, values);
            let number = matches!(text.as_str(), "{ttl}" | "{ttl_min}" | "{ttl_ms}" | "{ring}" | "{ring_ms}");
            match filled.parse::<u64>() {
                Ok(value) if number => value.into(),
                Ok(_) | Err(_) => filled.into(),
            }
        }
        serde_json::Value::Array(items) => items.iter().map(|item| json(item, values)).collect(),
        serde_json::Value::Object(table) => object(table, values),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) | serde_json::Value::Null => tree.clone(),
    }
}

/// Sends it and waits for the reply; blocks for up to [`WHOLE`].
pub(super) fn send(provider: &Provider, http: &Http, prepared: Prepared) -> Attempt {
    let attempt = |outcome| Attempt::new(&provider.name, outcome);
    let agent = match agent(provider, &prepared.url) {
        Ok(agent) => agent,
        Err(why) => return attempt(Outcome::Unavailable { why, after: None }),
    };
    let Prepared { verb, url, headers, body } = prepared;
    let mut request = Request::builder().uri(url).method(verb.name());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let asked = |request: Result<Request<String>, ureq::Error>| agent.run(request?);
    let reply = match body {
        None if verb == Verb::Get => {
            request.body(()).map_err(ureq::Error::from).and_then(|request| agent.run(request))
        }
        // Without a body, its length is said all the same: some servers insist.
        body => asked(request.body(body.unwrap_or_default()).map_err(ureq::Error::from)),
    };
    let mut reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            let outcome = failed(&error);
            tracing::debug!(provider = provider.name, kind = outcome.word(), "no reply"); // the error may hold the URL
            return attempt(outcome);
        }
    };
    let status = reply.status().as_u16();
    let after = reply.headers().get(header::RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    let text = reply.body_mut().with_config().limit(REPLY).read_to_vec().ok();
    judge(&provider.name, http, status, after, text.as_deref())
}

fn agent(provider: &Provider, url: &str) -> Result<Agent, &'static str> {
    let roots = match &provider.ca_file {
        None => RootCerts::PlatformVerifier,
        Some(file) => {
            let text = fs::read(file).map_err(|error| {
                tracing::error!(provider = provider.name, file, %error, "no certificates");
                "tls-configuration"
            })?;
            let authority = Certificate::from_pem(&text).map_err(|_| "tls-configuration")?;
            RootCerts::new_with_certs(&[authority])
        }
    };
    let proxy = provider.proxy.as_deref().map(Proxy::new).transpose().map_err(|_| "proxy")?;
    Ok(Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .https_only(!(is_local(url) || provider.allow_http))
        .proxy(proxy) // never that of the environment
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_response_header_size(HEAD)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(WHOLE))
        .user_agent(concat!("twinlockd/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent())
}

/// What an error says about the message: whether it can have been read there.
fn failed(error: &ureq::Error) -> Outcome {
    let unavailable = |why| Outcome::Unavailable { why, after: None };
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => unavailable("connection"),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) | ureq::Error::TlsRequired => {
            unavailable("tls")
        }
        ureq::Error::RequireHttpsOnly(_) => unavailable("no-tls"),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => unavailable("proxy"),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => unavailable("request"),
        // This is what rustls makes of a handshake that failed.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => unavailable("tls"),
        // getaddrinfo(3) has numbers of its own, so that its errors have none of the system's.
        ureq::Error::Io(error)
            if error.raw_os_error().is_none() && error.to_string().contains("lookup address") =>
        {
            unavailable("connection")
        }
        ureq::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::NetworkDown
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            unavailable("connection")
        }
        // It was written, or part of it, and nothing that can be understood came back.
        _ => Outcome::Unknown,
    }
}

/// What a reply says: status, the wait that it asks for, and its text. `text` is `None` where it was too long, or broke off.
pub fn judge(
    provider: &str,
    http: &Http,
    status: u16,
    after: Option<Duration>,
    text: Option<&[u8]>,
) -> Attempt {
    let Http { reply, map, .. } = http;
    let tree = text.and_then(|text| serde_json::from_slice::<serde_json::Value>(text).ok());
    let at = |pointer: &Option<String>| {
        let found = pointer.as_ref().and_then(|pointer| at(tree.as_ref()?, pointer).into_iter().next());
        printable(&found.map(word).unwrap_or_default(), 64)
    };
    let (code, id) = (at(&reply.code), at(&reply.id));
    // AWS puts a namespace before it.
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let mapped = map.get(&code).or_else(|| map.get(&format!("http-{status}"))).copied();
    let welcome =
        if reply.accept.is_empty() { (200..300).contains(&status) } else { reply.accept.contains(&status) };
    let outcome = if welcome {
        match taken(reply, text, tree.as_ref()) {
            Some(true) => Outcome::Accepted,
            Some(false) => mapped.map_or(Outcome::Rejected(Refusal::Content), |class| outcome(class, after)),
            None => Outcome::Unknown,
        }
    } else if let Some(class) = mapped {
        outcome(class, after)
    } else {
        match status {
            408 | 425 | 429 => outcome(Class::Rate, after),
            500..=599 => outcome(Class::Outage, after),
            // A redirect is not followed: it would take code and key along.
            300..=399 | 401..=405 | 407 => outcome(Class::Account, after),
            400..=499 => outcome(Class::Content, after),
            _ => Outcome::Unknown,
        }
    };
    Attempt { status: Some(status), code, id, ..Attempt::new(provider, outcome) }
}

/// Whether a reply that is welcome says that the message was taken; `None`: it does not say.
fn taken(reply: &Reply, text: Option<&[u8]>, tree: Option<&serde_json::Value>) -> Option<bool> {
    match &reply.success {
        None => Some(true),
        Some(Success::Text { begins }) => Some(text?.starts_with(begins.as_bytes())),
        Some(Success::Json { pointer, equals }) => {
            let found = at(tree?, pointer);
            Some(!found.is_empty() && found.into_iter().all(|value| equals.contains(&word(value))))
        }
    }
}

/// What is at a pointer (RFC 6901), where `*` is every element of an array.
fn at<'a>(tree: &'a serde_json::Value, pointer: &str) -> Vec<&'a serde_json::Value> {
    match pointer.split_once("/*") {
        None => tree.pointer(pointer).into_iter().collect(),
        Some((before, behind)) => {
            let items = tree.pointer(before).and_then(serde_json::Value::as_array);
            items.into_iter().flatten().flat_map(|item| at(item, behind)).collect()
        }
    }
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

const fn outcome(class: Class, after: Option<Duration>) -> Outcome {
    match class {
        Class::BadNumber => Outcome::Rejected(Refusal::Destination),
        Class::OptedOut => Outcome::Rejected(Refusal::OptedOut),
        Class::Region => Outcome::Rejected(Refusal::Region),
        Class::Account => Outcome::Rejected(Refusal::Account),
        Class::Content => Outcome::Rejected(Refusal::Content),
        Class::Rate => Outcome::Unavailable { why: "rate", after },
        Class::Outage => Outcome::Unavailable { why: "outage", after },
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
