//! Providers that publish no description that may be copied: the request is what their reference says, in full.

use super::*;

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
