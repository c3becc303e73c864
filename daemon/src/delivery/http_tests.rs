use super::*;

fn http(text: &str) -> Http {
    toml::from_str(&format!("method = 'POST'\nurl = 'https://example.com'\n{text}")).unwrap()
}

fn said(http: &Http, status: u16, text: &str) -> Outcome {
    judge("main", http, status, None, Some(text.as_bytes())).outcome
}

#[test]
fn a_status_alone_decides_where_a_preset_says_no_more() {
    let http = http("");
    for (status, expected) in [
        (200, "accepted"),
        (202, "accepted"),
        (204, "accepted"),
        (302, "account"),
        (400, "content"),
        (401, "account"),
        (403, "account"),
        (404, "account"),
        (408, "rate"),
        (422, "content"),
        (429, "rate"),
        (500, "outage"),
        (503, "outage"),
        (101, "unknown"),
        (700, "unknown"),
    ] {
        assert_eq!(said(&http, status, "").word(), expected, "{status}");
    }
    let strict = self::http("[reply]\naccept = [201]\n");
    assert_eq!([said(&strict, 201, "").word(), said(&strict, 200, "").word()], ["accepted", "unknown"]);
}

#[test]
fn a_success_is_looked_for_where_a_preset_says() {
    let json = http(
        "[reply]\nsuccess = { pointer = '/a/*/ok', equals = ['true', '1'] }\ncode = '/a/0/ok'\n[map]\n7 = 'bad-number'\nhttp-402 = 'rate'\n",
    );
    for (text, expected) in [
        (r#"{"a":[{"ok":true}]}"#, "accepted"),
        (r#"{"a":[{"ok":1},{"ok":"1"}]}"#, "accepted"),
        (r#"{"a":[{"ok":1},{"ok":7}]}"#, "content"),
        (r#"{"a":[{"ok":7}]}"#, "address"),
        (r#"{"a":[]}"#, "content"),
        (r#"{"b":1}"#, "content"),
        ("OK 1", "unknown"),
    ] {
        assert_eq!(said(&json, 200, text).word(), expected, "{text}");
    }
    assert_eq!(judge("main", &json, 200, None, None).outcome, Outcome::Unknown, "too long, or broken off");
    assert_eq!(said(&json, 402, "").word(), "rate");
    let text = http("[reply]\nsuccess = { begins = 'OK' }\n");
    assert_eq!(
        [said(&text, 200, "OK 7").word(), said(&text, 200, "TOKEN OK").word()],
        ["accepted", "content"]
    );
}

#[test]
fn what_a_provider_says_is_cut_and_cannot_write_on_a_terminal() {
    let http = http("[reply]\nid = '/id'\ncode = '/code'\n");
    let reply = format!(r#"{{"id":"\u001b]0;x\u0007{}","code":"a\r\nb"}}"#, "y".repeat(100));
    let attempt = judge("main", &http, 500, None, Some(reply.as_bytes()));
    assert!(attempt.id.len() == 64 && attempt.id.starts_with("?]0;x?"), "{}", attempt.id);
    assert_eq!(attempt.code, "a??b");
}

#[test]
fn a_wait_that_is_asked_for_is_kept() {
    let wait = Some(Duration::from_secs(2));
    let attempt = judge("main", &http(""), 429, wait, None);
    assert_eq!(attempt.outcome, Outcome::Unavailable { why: "rate", after: wait });
}
