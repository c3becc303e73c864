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

/// A JSON body as a table of fields, for a flat description.
fn flat(body: &str) -> BTreeMap<String, String> {
    let body: Value = serde_json::from_str(body).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    body.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

#[test]
fn aws_is_asked_as_its_model_says_and_with_a_signature() {
    let spec = spec("aws_sms_voice.json");
    let values = |base: &str| format!("region = 'eu-central-1'\nbase = '{base}'");
    for (by, action, text) in
        [(Method::Sms, "SendTextMessage", "MessageType"), (Method::Call, "SendVoiceMessage", "VoiceId")]
    {
        let provider = Provider::answering(200, "", r#"{"MessageId":"3f0d5e6c"}"#);
        let config = configured("aws-sms", &values(&provider.base), "");
        let attempt = send_with(&config, by, HOSTILE, SECRET);
        assert_eq!((attempt.outcome, attempt.id.as_str()), (Outcome::Accepted, "3f0d5e6c"));
        let asked = provider.asked.recv().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/"));
        assert_eq!(asked.headers["x-amz-target"], format!("PinpointSMSVoiceV2.{action}"));
        assert_eq!(asked.headers["content-type"], "application/x-amz-json-1.0");
        assert_eq!(asked.headers["x-amz-date"], "19700112T134640Z");
        let authorization = &asked.headers["authorization"];
        let scope = "Credential=abcd1234/19700112/eu-central-1/sms-voice/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=";
        assert!(authorization.starts_with(&format!("AWS4-HMAC-SHA256 {scope}")), "{authorization}");
        let fields = flat(&asked.body);
        agrees(&fields, &spec[action]);
        assert!(fields.contains_key(text) && fields["TimeToLive"] == "300", "{fields:?}");
        assert!(by == Method::Sms || fields["MessageBody"].starts_with("<speak>"), "{fields:?}");
    }
    let config = configured("aws-sms", "region = 'eu-central-1'", "");
    let (preset, provider) = (&config.preset["aws-sms"], &config.provider[0]);
    assert_eq!(provider.origin(preset, "{base}/"), "https://sms-voice.eu-central-1.amazonaws.com/");
    let error = |kind: &str| format!(r#"{{"__type":"com.amazonaws.x#{kind}","Message":"x"}}"#);
    outcome_of(
        "aws-sms",
        &values("BASE"),
        &[
            (400, &error("ThrottlingException"), later("rate")),
            (400, &error("ConflictException"), Outcome::Rejected(Refusal::Content)),
            (400, &error("AccessDeniedException"), Outcome::Rejected(Refusal::Account)),
            (400, &error("ValidationException"), Outcome::Rejected(Refusal::Content)),
            (500, &error("InternalServerException"), later("outage")),
            (400, "", Outcome::Rejected(Refusal::Content)),
        ],
    );
}

#[test]
fn aws_sns_is_asked_as_its_model_says() {
    let spec = spec("aws_sns.json");
    let provider =
        Provider::answering(200, "", "<PublishResponse><MessageId>x</MessageId></PublishResponse>");
    let config = configured("aws-sns", &format!("region = 'us-east-1'\nbase = '{}'", provider.base), "");
    assert_eq!(send(&config, HOSTILE).outcome, Outcome::Accepted);
    let asked = provider.asked.recv().unwrap();
    let fields = form(&asked.body);
    assert_eq!(
        (fields["Action"].as_str(), &fields["Version"].as_str().into()),
        ("Publish", &spec["version"])
    );
    assert_eq!(fields["PhoneNumber"], "+4915112345678");
    for name in fields.keys().filter(|name| !["Action", "Version"].contains(&name.as_str())) {
        let member = name.split('.').next().unwrap();
        assert!(spec["members"].as_array().unwrap().iter().any(|known| known == member), "{name}");
    }
    assert!(asked.headers["authorization"].contains("/us-east-1/sns/aws4_request"));
}

/// A preset whose provider publishes no description that may be copied: the request as its reference says, in full.
struct Said<'a> {
    preset: &'a str,
    values: &'a str,
    by: Method,
    path: &'a str,
    authorization: String,
    body: Value,
    taken: (u16, &'a str, &'a str),
}

fn asks(said: &Said<'_>) {
    for host in ["box.example.com", HOSTILE] {
        let provider = Provider::answering(said.taken.0, "", said.taken.1);
        let values = said.values.replace("BASE", &provider.base);
        let attempt = send_with(&configured(said.preset, &values, ""), said.by, host, SECRET);
        assert_eq!(
            (attempt.outcome, attempt.id.as_str()),
            (Outcome::Accepted, said.taken.2),
            "{}",
            said.preset
        );
        let asked = provider.asked.recv().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", said.path), "{}", said.preset);
        assert_eq!(asked.headers["authorization"], said.authorization, "{}", said.preset);
        let mut body: Value = serde_json::from_str(&asked.body).unwrap();
        let mut expected = said.body.clone();
        if host == HOSTILE {
            // The same tree, whatever the text holds.
            blank(&mut body);
            blank(&mut expected);
        }
        assert_eq!(body, expected, "{}", said.preset);
    }
}

/// Takes the texts out of a tree.
fn blank(tree: &mut Value) {
    match tree {
        Value::String(text) if text.contains(' ') || text.contains('<') => *text = String::new(),
        Value::Array(items) => items.iter_mut().for_each(blank),
        Value::Object(table) => table.values_mut().for_each(blank),
        _ => {}
    }
}

/// What a call says in plain sentences.
fn speech() -> String {
    let digits = "2, 8, 7... 0, 8, 2";
    format!(
        "Hello. This is the login service of box.example.com. Your code is... {digits}... Again... {digits}... If you did not ask \
         for this, hang up and tell your administrator. Goodbye."
    )
}

/// What Sinch is asked to say.
fn sinch_prompts() -> String {
    let provider = Provider::answering(200, "", r#"{"callId":"c1"}"#);
    let config = configured("sinch-voice", &format!("base = '{}'", provider.base), "");
    assert_eq!(call(&config, "box.example.com").id, "c1");
    let body: Value = serde_json::from_str(&provider.asked.recv().unwrap().body).unwrap();
    let prompts = body["ttsCallout"]["prompts"].as_str().unwrap().to_owned();
    assert!(prompts.starts_with("#ssml[<speak>") && prompts.ends_with("</speak>]"), "{prompts}");
    speaks(&prompts, "<break time=\"700ms\"/>");
    prompts
}

/// What Infobip and ClickSend say when all is well.
const INFOBIP: &str =
    r#"{"messages":[{"messageId":"m1","status":{"groupName":"PENDING","name":"PENDING_ACCEPTED"}}]}"#;
const CLICKSEND: &str = r#"{"http_code":200,"response_code":"SUCCESS","data":{"messages":[{"message_id":"m2","status":"SUCCESS"}]}}"#;

const FROM: &str = "+4915100000000";
const TO: &str = "+4915112345678";
const DIGITS: &str = "4915112345678";

fn basic() -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("abcd1234:{SECRET}").as_bytes()))
}

#[test]
fn sinch_infobip_plivo_messagebird_and_clicksend_are_asked_for_an_sms_as_their_references_say() {
    let text = text("box.example.com");
    for said in [
        Said {
            preset: "sinch",
            values: "plan = 'p1'\nbase = 'BASE'",
            by: Method::Sms,
            path: "/xms/v1/p1/batches",
            authorization: format!("Bearer {SECRET}"),
            body: json!({"from": FROM, "to": [TO], "body": text, "type": "mt_text", "expire_at": "1970-01-12T13:51:40Z", "client_reference": "0011"}),
            taken: (201, r#"{"id":"b1"}"#, "b1"),
        },
        Said {
            preset: "infobip",
            values: "base = 'BASE'",
            by: Method::Sms,
            path: "/sms/3/messages",
            authorization: format!("App {SECRET}"),
            body: json!({"messages": [{"sender": FROM, "destinations": [{"to": DIGITS}], "content": {"text": text}, "options": {"validityPeriod": {"amount": 5, "timeUnit": "MINUTES"}}}]}),
            taken: (200, INFOBIP, "m1"),
        },
        Said {
            preset: "plivo",
            values: "base = 'BASE'",
            by: Method::Sms,
            path: "/v1/Account/abcd1234/Message/",
            authorization: basic(),
            body: json!({"src": FROM, "dst": TO, "text": text, "type": "sms", "log": false, "message_expiry": 300}),
            taken: (202, r#"{"message":"message(s) queued","message_uuid":["u1"],"api_id":"a"}"#, "u1"),
        },
        Said {
            preset: "messagebird",
            values: "base = 'BASE'",
            by: Method::Sms,
            path: "/messages",
            authorization: format!("AccessKey {SECRET}"),
            body: json!({"originator": FROM, "recipients": [DIGITS], "body": text, "validity": 300, "reference": "0011"}),
            taken: (201, r#"{"id":"i1"}"#, "i1"),
        },
        Said {
            preset: "clicksend",
            values: "base = 'BASE'",
            by: Method::Sms,
            path: "/v3/sms/send",
            authorization: basic(),
            body: json!({"messages": [{"from": FROM, "to": TO, "body": text, "source": "twinlock", "custom_string": "0011"}]}),
            taken: (200, CLICKSEND, "m2"),
        },
    ] {
        asks(&said);
    }
}

#[test]
fn sinch_infobip_and_clicksend_are_asked_for_a_call_as_their_references_say() {
    let ssml = sinch_prompts();
    for said in [
        Said {
            preset: "sinch-voice",
            values: "base = 'BASE'",
            by: Method::Call,
            path: "/calling/v1/callouts",
            authorization: basic(),
            body: json!({"method": "ttsCallout", "ttsCallout": {"cli": FROM, "destination": {"type": "number", "endpoint": TO}, "locale": "en-US", "prompts": ssml}}),
            taken: (200, r#"{"callId":"c1"}"#, "c1"),
        },
        Said {
            preset: "infobip",
            values: "base = 'BASE'",
            by: Method::Call,
            path: "/tts/3/advanced",
            authorization: format!("App {SECRET}"),
            body: json!({"messages": [{"from": FROM, "destinations": [{"to": DIGITS}], "text": speech(), "language": "en", "speechRate": 0.8, "ringTimeout": 22, "validityPeriod": 5, "machineDetection": "HANGUP"}]}),
            taken: (200, INFOBIP, "m1"),
        },
        Said {
            preset: "clicksend",
            values: "base = 'BASE'",
            by: Method::Call,
            path: "/v3/voice/send",
            authorization: basic(),
            body: json!({"messages": [{"to": TO, "body": speech(), "voice": "female", "lang": "en-us", "source": "twinlock", "custom_string": "0011", "machine_detection": 1}]}),
            taken: (200, CLICKSEND, "m2"),
        },
    ] {
        asks(&said);
    }
}

#[test]
fn their_replies_are_judged_by_what_they_say() {
    let infobip = |group: &str, name: &str| {
        format!(r#"{{"messages":[{{"status":{{"groupName":"{group}","name":"{name}"}}}}]}}"#)
    };
    let clicksend = |status: &str| {
        format!(
            r#"{{"http_code":200,"response_code":"SUCCESS","data":{{"messages":[{{"status":"{status}"}}]}}}}"#
        )
    };
    outcome_of(
        "sinch",
        "plan = 'p1'\nbase = 'BASE'",
        &[
            (400, r#"{"code":"syntax_invalid_parameter_format"}"#, Outcome::Rejected(Refusal::Content)),
            (401, "", Outcome::Rejected(Refusal::Account)),
            (503, "", later("outage")),
        ],
    );
    outcome_of(
        "infobip",
        "base = 'BASE'",
        &[
            (200, &infobip("REJECTED", "REJECTED_DESTINATION"), Outcome::Rejected(Refusal::Destination)),
            (200, &infobip("REJECTED", "REJECTED_NOT_ENOUGH_CREDITS"), Outcome::Rejected(Refusal::Account)),
            (200, &infobip("EXPIRED", "X"), Outcome::Rejected(Refusal::Content)),
            (401, r#"{"errorCode":"E401"}"#, Outcome::Rejected(Refusal::Account)),
        ],
    );
    outcome_of(
        "plivo",
        "base = 'BASE'",
        &[
            (403, r#"{"error":"x"}"#, Outcome::Rejected(Refusal::Region)),
            (400, r#"{"error":"x"}"#, Outcome::Rejected(Refusal::Content)),
            (200, "{}", Outcome::Unknown),
        ],
    );
    outcome_of(
        "messagebird",
        "base = 'BASE'",
        &[
            (422, r#"{"errors":[{"code":25}]}"#, Outcome::Rejected(Refusal::Account)),
            (422, r#"{"errors":[{"code":9}]}"#, Outcome::Rejected(Refusal::Content)),
            (500, "", later("outage")),
        ],
    );
    outcome_of(
        "clicksend",
        "base = 'BASE'",
        &[
            (200, &clicksend("INVALID_RECIPIENT"), Outcome::Rejected(Refusal::Destination)),
            (200, &clicksend("INSUFFICIENT_CREDIT"), Outcome::Rejected(Refusal::Account)),
            (
                200,
                r#"{"http_code":200,"response_code":"SUCCESS","data":{"messages":[]}}"#,
                Outcome::Rejected(Refusal::Content),
            ),
        ],
    );
    outcome_of(
        "ovh",
        "account = 'sms-x-1'\nbase = 'BASE'",
        &[
            (200, r#"{"status":401,"message":"x"}"#, Outcome::Rejected(Refusal::Account)),
            (200, r#"{"status":202}"#, Outcome::Rejected(Refusal::Content)),
            (200, "KO", Outcome::Unknown),
        ],
    );
}

#[test]
fn ovh_is_asked_as_its_guide_says() {
    let provider =
        Provider::answering(200, "", r#"{"status":100,"creditLeft":"1987","SmsIds":["10867690"]}"#);
    let config = configured("ovh", &format!("account = 'sms-x-1'\nbase = '{}'", provider.base), "");
    let attempt = send(&config, HOSTILE);
    assert_eq!((attempt.outcome, attempt.id.as_str()), (Outcome::Accepted, "10867690"));
    let asked = provider.asked.recv().unwrap();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/cgi-bin/sms/http2sms.cgi"));
    let query = &asked.query;
    assert_eq!(
        (
            query["account"].as_str(),
            query["login"].as_str(),
            query["password"].as_str(),
            query["to"].as_str()
        ),
        ("sms-x-1", "abcd1234", SECRET, "004915112345678")
    );
    assert!(query["message"].starts_with(CODE) && query.len() == 8, "{query:?}");
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
    let this = include_str!("presets.rs");
    for entry in fs::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let preset: config::Preset = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(preset.faults(), Vec::<String>::new(), "{name}");
        assert!(name == "exec" || this.contains(&format!("\"{name}\"")), "{name} has no test here");
    }
}
