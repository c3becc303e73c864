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

use serde_json::Value;
use twinlockd::{
    clock::{ManualClock, Timestamp},
    config::{self, Config, Finding, Source},
    delivery::{Attempt, Channels, Contact, Message, Outcome, Phone, Refusal, System, Text},
    engine::policy::Method,
    secret::Secret,
};

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

#[test]
fn twilio_is_asked_as_it_publishes() {
    let spec = spec("twilio_messages.json");
    let created = spec["created"].to_string();
    let values = format!("account = '{ACCOUNT}'\nbase = 'BASE'");
    for host in ["box.example.com", HOSTILE] {
        let provider = Provider::answering(201, "", &created);
        let attempt = send(&configured("twilio", &values.replace("BASE", &provider.base), ""), host);
        assert_eq!((attempt.outcome, attempt.status), (Outcome::Accepted, Some(201)));
        assert_eq!(Value::from(attempt.id), spec["created"]["sid"]);
        let asked = provider.asked.recv().unwrap();
        fits("AccountSid", ACCOUNT, &spec["account"]);
        assert_eq!(
            (asked.method.as_str(), asked.path),
            ("POST", format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"))
        );
        assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
        let login = data_encoding::BASE64.encode(format!("abcd1234:{SECRET}").as_bytes());
        assert_eq!(asked.headers["authorization"], format!("Basic {login}"));
        let fields = form(&asked.body);
        agrees(&fields, &spec);
        assert_eq!(
            (fields["To"].as_str(), fields["From"].as_str(), fields["ValidityPeriod"].as_str()),
            ("+4915112345678", "+4915100000000", "300")
        );
        assert!(fields["Body"].starts_with(CODE) && fields.len() == 4, "{fields:?}");
        assert!(host == HOSTILE || fields["Body"] == text(host));
        assert!(!asked.headers.contains_key("x"), "{:?}", asked.headers);
    }
    let error = |code: u32| format!(r#"{{"code":{code},"message":"x","more_info":"x","status":400}}"#);
    outcome_of(
        "twilio",
        &values,
        &[
            (400, &error(21211), Outcome::Rejected(Refusal::Destination)),
            (400, &error(21610), Outcome::Rejected(Refusal::OptedOut)),
            (400, &error(21408), Outcome::Rejected(Refusal::Region)),
            (401, &error(20003), Outcome::Rejected(Refusal::Account)),
            (402, "", Outcome::Rejected(Refusal::Account)),
            (400, &error(99999), Outcome::Rejected(Refusal::Content)),
            (429, &error(20429), later("rate")),
            (503, "", later("outage")),
            (200, &created, Outcome::Unknown),
        ],
    );
}

#[test]
fn vonage_is_asked_as_it_publishes_and_its_200_is_looked_into() {
    let spec = spec("vonage_sms.json");
    let taken =
        r#"{"message-count":"1","messages":[{"to":"4915112345678","message-id":"0A00","status":"0"}]}"#;
    for host in ["box.example.com", HOSTILE] {
        let provider = Provider::answering(200, "", taken);
        let attempt = send(&configured("vonage", &format!("base = '{}'", provider.base), ""), host);
        assert_eq!((attempt.outcome, attempt.id.as_str()), (Outcome::Accepted, "0A00"));
        let asked = provider.asked.recv().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", spec["path"].as_str().unwrap()));
        let fields = form(&asked.body);
        agrees(&fields, &spec);
        assert_eq!(
            (fields["to"].as_str(), fields["ttl"].as_str(), fields["api_secret"].as_str()),
            ("4915112345678", "300000", SECRET)
        );
        assert!(host == HOSTILE || fields["text"] == text(host));
    }
    let status = |status: &str| {
        format!(r#"{{"message-count":"1","messages":[{{"status":"{status}","error-text":"x"}}]}}"#)
    };
    let half = r#"{"message-count":"2","messages":[{"status":"0"},{"status":"5"}]}"#;
    outcome_of(
        "vonage",
        "base = 'BASE'",
        &[
            (200, &status("1"), later("rate")),
            (200, &status("5"), later("outage")),
            (200, &status("4"), Outcome::Rejected(Refusal::Account)),
            (200, &status("7"), Outcome::Rejected(Refusal::Destination)),
            (200, &status("77"), Outcome::Rejected(Refusal::Content)),
            (200, half, Outcome::Rejected(Refusal::Content)),
            (200, r#"{"messages":[]}"#, Outcome::Rejected(Refusal::Content)),
            (200, "<html>OK</html>", Outcome::Unknown),
            (200, "", Outcome::Unknown),
            (500, "", later("outage")),
        ],
    );
}

#[test]
fn kannel_is_asked_as_its_guide_says() {
    for host in ["box.example.com", HOSTILE] {
        let provider = Provider::answering(202, "", "0: Accepted for delivery");
        let attempt = send(&configured("kannel", &format!("base = '{}'", provider.base), ""), host);
        assert_eq!(attempt.outcome, Outcome::Accepted);
        let asked = provider.asked.recv().unwrap();
        assert_eq!(
            (asked.method.as_str(), asked.path.as_str(), asked.body.as_str()),
            ("GET", "/cgi-bin/sendsms", "")
        );
        let query = &asked.query;
        assert_eq!(
            (
                query["username"].as_str(),
                query["password"].as_str(),
                query["to"].as_str(),
                query["validity"].as_str()
            ),
            ("abcd1234", SECRET, "+4915112345678", "5")
        );
        assert!(query["text"].starts_with(CODE) && query.len() == 8, "{query:?}");
    }
    outcome_of(
        "kannel",
        "base = 'BASE'",
        &[
            (202, "3: Queued for later delivery", Outcome::Accepted),
            (403, "Authorization failed for sendsms", Outcome::Rejected(Refusal::Account)),
            (400, "Missing receiver number, rejected", Outcome::Rejected(Refusal::Content)),
            (503, "Temporal failure, try again later.", later("outage")),
        ],
    );
}

/// What a call must say, whatever form it has: each digit by itself, twice, and nothing that a name brought.
fn speaks(text: &str, between: &str) {
    let digits: Vec<String> = CODE.chars().map(String::from).collect();
    assert!(text.matches(&format!("{}{between}{}", digits[0], digits[1])).count() >= 2, "{text}");
    assert!(!text.contains(CODE) && !text.contains("<Say>x") && !text.contains(SECRET), "{text}");
}

#[test]
fn twilio_is_asked_for_a_call_as_it_publishes() {
    let spec = spec("twilio_calls.json");
    for host in ["box.example.com", HOSTILE] {
        let provider = Provider::answering(201, "", &spec["created"].to_string());
        let attempt = call(
            &configured("twilio", &format!("account = '{ACCOUNT}'\nbase = '{}'", provider.base), ""),
            host,
        );
        assert_eq!(
            (attempt.outcome, attempt.id.as_str()),
            (Outcome::Accepted, spec["created"]["sid"].as_str().unwrap())
        );
        let asked = provider.asked.recv().unwrap();
        assert_eq!(asked.path, format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json"));
        let fields = form(&asked.body);
        agrees(&fields, &spec);
        assert_eq!((fields["To"].as_str(), fields["Timeout"].as_str()), ("+4915112345678", "22"));
        let twiml = &fields["Twiml"];
        speaks(twiml, "</Say><Pause length=\"1\"/><Say language=\"en-US\">");
        let document = roxmltree::Document::parse(twiml).unwrap();
        assert!(document.root_element().has_tag_name("Response") && twiml.len() <= 4000);
        assert!(
            document
                .descendants()
                .all(|node| !node.is_element()
                    || ["Response", "Say", "Pause"].contains(&node.tag_name().name()))
        );
    }
}

#[test]
fn vonage_is_asked_for_a_call_with_a_token_that_its_key_signed() {
    let spec = spec("vonage_calls.json");
    let folder = tempfile::tempdir().unwrap();
    let made = |arguments: &[&str]| {
        let out = std::process::Command::new("openssl")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        out.stdout
    };
    for (n, make) in [
        &["genrsa", "-traditional", "-out", "key.pem", "2048"][..],
        &["genpkey", "-algorithm", "RSA", "-out", "key.pem"],
    ]
    .into_iter()
    .enumerate()
    {
        made(make);
        let key = fs::read_to_string(folder.path().join("key.pem")).unwrap();
        let provider = Provider::answering(
            201,
            "",
            r#"{"uuid":"63f61863-4a51-4f6b-86e1-46edebcf9356","status":"started"}"#,
        );
        let values =
            format!("application = 'aaaaaaaa-bbbb-cccc-dddd-0123456789ab'\nbase = '{}'", provider.base);
        let mut config = configured("vonage-voice", &values, "");
        config.provider[0].from = Some("4915100000000".to_owned());
        let attempt =
            send_with(&config, Method::Call, if n == 0 { "box.example.com" } else { HOSTILE }, &key);
        assert_eq!(
            (attempt.outcome, attempt.id.as_str()),
            (Outcome::Accepted, "63f61863-4a51-4f6b-86e1-46edebcf9356")
        );
        let asked = provider.asked.recv().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", spec["path"].as_str().unwrap()));
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let fields: BTreeMap<String, String> = body
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect();
        agrees(&fields, &spec);
        for phone in [&body["to"][0], &body["from"]] {
            for (name, value) in phone.as_object().unwrap() {
                fits(name, value.as_str().unwrap(), &spec["phone"][name]);
            }
        }
        assert!(body["ringing_timer"].is_u64() && body["machine_detection"] == "hangup");
        let talk = &body["ncco"][0];
        assert_eq!((&talk["action"], body["ncco"].as_array().unwrap().len()), (&"talk".into(), 1));
        fits("language", talk["language"].as_str().unwrap(), &spec["language"]);
        speaks(talk["text"].as_str().unwrap(), "<break time=\"700ms\"/>");
        roxmltree::Document::parse(talk["text"].as_str().unwrap()).unwrap();
        // The token: openssl says whose it is.
        let token = asked.headers["authorization"].strip_prefix("Bearer ").unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let decoded = |part: &str| data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
        let claims: Value = serde_json::from_slice(&decoded(parts[1])).unwrap();
        assert_eq!(
            (&claims["application_id"], &claims["iat"], &claims["exp"]),
            (&"aaaaaaaa-bbbb-cccc-dddd-0123456789ab".into(), &1_000_000.into(), &1_000_300.into())
        );
        fs::write(folder.path().join("signature"), decoded(parts[2])).unwrap();
        fs::write(folder.path().join("signed"), format!("{}.{}", parts[0], parts[1])).unwrap();
        made(&["rsa", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        made(&["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"]);
    }
}

#[test]
fn asterisk_is_asked_as_its_interface_says() {
    for host in ["box.example.com", HOSTILE] {
        let provider = Provider::answering(200, "", r#"{"id":"twinlock-0011","state":"Down"}"#);
        let attempt = call(&configured("asterisk-ari", &format!("base = '{}'", provider.base), ""), host);
        assert_eq!((attempt.outcome, attempt.id.as_str()), (Outcome::Accepted, "twinlock-0011"));
        let asked = provider.asked.recv().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/ari/channels/twinlock-0011"));
        assert_eq!(asked.query["endpoint"], "PJSIP/+4915112345678@trunk");
        assert_eq!((asked.query["context"].as_str(), asked.query["timeout"].as_str()), ("twinlock", "22"));
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["variables"]["TWINLOCK_DIGITS"], "2 8 7 0 8 2");
        assert_eq!(body["variables"]["CHANNEL(language)"], "en");
        assert!(!asked.query.values().any(|value| value.contains("2 8 7")), "no code in a URL");
    }
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
    let this = include_str!("presets.rs");
    for entry in fs::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let preset: config::Preset = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(preset.faults(), Vec::<String>::new(), "{name}");
        assert!(
            name == "exec" || this.contains(&format!("configured(\"{name}\"")),
            "{name} has no test here"
        );
    }
}
