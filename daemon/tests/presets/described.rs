//! Providers that publish a description that may be copied, and gateways of one's own.

use super::*;

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
