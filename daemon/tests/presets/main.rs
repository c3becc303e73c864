//! Every shipped preset against what its provider publishes: the request that it makes, over a real connection, and what
//! it makes of each reply. The extracts in `specs/` are of the providers' own descriptions, with source and licence.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use twinlockd::{
    clock::{ManualClock, Timestamp},
    config::{self, Config, Finding, Source},
    delivery::{Attempt, Channels, Contact, Message, Outcome, Phone, Refusal, System, Text},
    engine::policy::Method,
    secret::Secret,
};

mod described;
mod referenced;

const SECRET: &str = "k3y&=\"<secret>";
const CODE: &str = "287082";
/// What would leave its place in a URL, a form, JSON, XML or a template.
const HOSTILE: &str = "h\"&to=+1900<Say>x</Say>{secret}{{7*7}}${x}\\\r\nX: y";

/// A provider on loopback: it answers what it is told, and gives away what it was asked.
struct Provider {
    base: String,
    asked: mpsc::Receiver<Asked>,
}

#[derive(Debug)]
struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Provider {
    fn answering(status: u16, headers: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (asked, receiver) = mpsc::channel();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        );
        let reply = format!("{head}{body}");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if let Some(request) = read(&mut stream) {
                    let _ = asked.send(request);
                }
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        Self { base, asked: receiver }
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        assert!(headers.insert(name.to_ascii_lowercase(), value.to_owned()).is_none(), "{name} twice");
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) =
        target.split_once('?').map_or((target.clone(), ""), |(path, query)| (path.to_owned(), query));
    Some(Asked { method, path, query: form(query), headers, body: String::from_utf8(body).unwrap() })
}

/// Takes a form apart, as of WHATWG URL, section 5.
fn form(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned()
    };
    let mut fields = BTreeMap::new();
    for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
        assert!(fields.insert(decoded(name), decoded(value)).is_none(), "{name} twice in {text}");
    }
    fields
}

/// The configuration with one provider of this preset.
fn configured(preset: &str, base: &str, more: &str) -> Config {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/providers");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("providers.d")).unwrap();
    for entry in fs::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join("providers.d").join(path.file_name().unwrap())).unwrap();
    }
    let text = format!(
        "[sms]\nregions = ['DE']\n[call]\nregions = ['DE']\n[[provider]]\nname = 'main'\npreset = '{preset}'\nfrom = '+4915100000000'\n\
         user = 'abcd1234'\nsecret = 'key'\n[provider.values]\n{}\n{more}",
        base.replace("BASE", base)
    );
    let mut findings: Vec<Finding> = Vec::new();
    let presets = config::presets(&folder.path().join("twinlock.toml"), &mut findings);
    let outcome = config::evaluate(&[Source { name: "x".to_owned(), text }], presets, findings);
    assert!(!outcome.has_errors(), "{:?}", outcome.findings);
    outcome.config.unwrap()
}

fn system(secret: &str) -> (System, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, format!("{secret}\n")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_000_000)));
    let system = System::new(vec![folder.path().to_owned()], folder.path().join("sendmail.sock"), clock);
    (system, folder)
}

fn message(by: Method, host: &str) -> Message {
    Message {
        id: "0011".to_owned(),
        to: Contact::Phone(Phone::parse("+49 1511 2345678").unwrap()),
        by,
        text: Text::Login(Secret::new(CODE.to_owned())),
        host: host.to_owned(),
        user: "alice".to_owned(),
        service: "sshd".to_owned(),
        rhost: "192.0.2.7".to_owned(),
        lifetime: Duration::from_secs(300),
    }
}

#[tokio::main]
async fn send_with(config: &Config, by: Method, host: &str, secret: &str) -> Attempt {
    let (system, _folder) = system(secret);
    system.send_by(config, "main", &message(by, host)).await.unwrap()
}

fn send(config: &Config, host: &str) -> Attempt {
    send_with(config, Method::Sms, host, SECRET)
}

fn call(config: &Config, host: &str) -> Attempt {
    send_with(config, Method::Call, host, SECRET)
}

fn text(host: &str) -> String {
    format!(
        "{CODE} is the login code of alice on {host}, good for 5 min. If this is not you, tell your administrator."
    )
}

/// What a description says of a parameter.
fn fits(name: &str, value: &str, about: &Value) {
    let number = |key: &str| about[key].as_u64();
    let length = value.chars().count() as u64;
    assert!(number("minLength").is_none_or(|least| length >= least), "{name}: {value}");
    assert!(number("maxLength").is_none_or(|most| length <= most), "{name}: {value}");
    if about["type"] == "integer" {
        let value: u64 = value.parse().unwrap();
        assert!(
            number("minimum").is_none_or(|least| value >= least)
                && number("maximum").is_none_or(|most| value <= most),
            "{name}: {value}"
        );
    }
    if let Some(pattern) = about["pattern"].as_str() {
        assert!(
            regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(value),
            "{name}: {value} {pattern}"
        );
    }
    if let Some(allowed) = about["enum"].as_array() {
        assert!(allowed.iter().any(|allowed| allowed == value), "{name}: {value}");
    }
}

/// Every parameter is known and fits, and the required ones are there.
fn agrees(fields: &BTreeMap<String, String>, spec: &Value) {
    for (name, value) in fields {
        assert!(spec["properties"][name].is_object(), "{name} is no parameter");
        fits(name, value, &spec["properties"][name]);
    }
    for name in spec["required"].as_array().unwrap() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{name} is missing");
    }
}

fn spec(file: &str) -> Value {
    serde_json::from_str(
        &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specs").join(file)).unwrap(),
    )
    .unwrap()
}

fn outcome_of(preset: &str, values: &str, replies: &[(u16, &str, Outcome)]) {
    for (status, body, expected) in replies {
        let provider = Provider::answering(*status, "Content-Type: application/json\r\n", body);
        let attempt = send(&configured(preset, &values.replace("BASE", &provider.base), ""), "box");
        assert_eq!(attempt.outcome, *expected, "{preset}: {status} {body}");
        assert!(
            !format!("{attempt:?}").contains(CODE) && !format!("{attempt:?}").contains(SECRET),
            "{attempt:?}"
        );
    }
}

const fn later(why: &'static str) -> Outcome {
    Outcome::Unavailable { why, after: None }
}

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

/// What a call must say, whatever form it has: each digit by itself, twice, and nothing that a name brought.
fn speaks(text: &str, between: &str) {
    let digits: Vec<String> = CODE.chars().map(String::from).collect();
    assert!(text.matches(&format!("{}{between}{}", digits[0], digits[1])).count() >= 2, "{text}");
    assert!(!text.contains(CODE) && !text.contains("<Say>x") && !text.contains(SECRET), "{text}");
}

#[tokio::main]
async fn send_to_all(config: &Config) -> Vec<Attempt> {
    let (system, _folder) = system(SECRET);
    system.send(config, &message(Method::Sms, "box")).await
}

#[test]
fn a_provider_that_does_not_send_there_is_followed_by_the_next_and_a_bad_number_is_not() {
    for (code, expected) in
        [(21408, &["region", "accepted"][..]), (21211, &["address"]), (21610, &["opted-out"])]
    {
        let first = Provider::answering(400, "", &format!(r#"{{"code":{code}}}"#));
        let second = Provider::answering(204, "", "");
        let more = format!(
            "[[provider]]\nname = 'second'\npreset = 'webhook'\nsecret = 'key'\nfrom = 'x'\nvalues = {{ url = '{}' }}\n",
            second.base
        );
        let config = configured("twilio", &format!("account = '{ACCOUNT}'\nbase = '{}'", first.base), &more);
        let attempts = send_to_all(&config);
        let words: Vec<&str> = attempts.iter().map(|attempt| attempt.outcome.word()).collect();
        assert_eq!(words, expected, "{code}");
    }
}

#[test]
fn a_short_wait_that_is_asked_for_is_waited_once() {
    let provider = Provider::answering(429, "Retry-After: 1\r\n", "");
    let attempts = send_to_all(&configured("webhook", &format!("url = '{}'", provider.base), ""));
    let words: Vec<&str> = attempts.iter().map(|attempt| attempt.outcome.word()).collect();
    assert_eq!(words, ["rate", "rate"]);
}

#[test]
fn a_webhook_gets_json_and_no_value_leaves_its_place() {
    for host in ["box.example.com", HOSTILE] {
        let provider = Provider::answering(204, "", "");
        let attempt = send(&configured("webhook", &format!("url = '{}/sms?a=b'", provider.base), ""), host);
        assert_eq!(attempt.outcome, Outcome::Accepted);
        let asked = provider.asked.recv().unwrap();
        assert_eq!(asked.headers["authorization"], format!("Bearer {SECRET}"));
        assert_eq!((asked.path.as_str(), asked.query["a"].as_str()), ("/sms", "b"));
        let json: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 4, "{json}");
        assert_eq!((&json["to"], &json["ttl"]), (&"+4915112345678".into(), &300.into()));
        assert!(json["text"].as_str().unwrap().starts_with(CODE), "{json}");
    }
}

#[test]
fn every_shipped_preset_is_without_fault_and_is_tested_here() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/providers");
    let these =
        [include_str!("main.rs"), include_str!("described.rs"), include_str!("referenced.rs")].concat();
    for entry in fs::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let preset: config::Preset = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(preset.faults(), Vec::<String>::new(), "{name}");
        assert!(name == "exec" || these.contains(&format!("\"{name}\"")), "{name} has no test here");
    }
}
