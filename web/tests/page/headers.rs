//! What every answer carries (security.md R52).

use crate::{
    bed::{Ask, Bed, Reply},
    fake::{CODE, TOKEN},
};

const EXPECTED: [(&str, &str); 8] = [
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-robots-tag", "noindex, nofollow"),
    ("strict-transport-security", "max-age=31536000"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
];

fn judge(what: &str, reply: &Reply) {
    for (name, value) in EXPECTED {
        assert_eq!(reply.headers.get(name).map(String::as_str), Some(value), "{name} of {what}");
    }
    assert!(reply.headers["permissions-policy"].contains("camera=()"), "{what}");
    for absent in ["server", "x-powered-by", "access-control-allow-origin", "location", "etag"] {
        assert!(!reply.headers.contains_key(absent), "{absent} of {what}");
    }
    if !reply.headers["content-type"].starts_with("text/html") {
        return;
    }
    // Nothing from elsewhere, no script, no style within.
    for foreign in ["http://", "https://", "src=\"//", "<script", "style=", " on", "javascript:"] {
        let found = reply
            .body
            .split('<')
            .skip(1)
            .filter(|tag| format!("<{}", tag.split('>').next().unwrap()).contains(foreign));
        assert_eq!(found.count(), 0, "{foreign} in {what}: {}", reply.body);
    }
}

#[tokio::test]
async fn every_answer_carries_every_header_whatever_it_is() {
    let bed = Bed::with(|settings| settings.logo = b"\x89PNG\r\n\x1a\nrest".to_vec()).await;
    let form = format!("/id/enroll/{TOKEN}");
    let plain_get = [
        (form.as_str(), 200),
        ("/id/enroll/wrong", 410),
        ("/id/enroll/", 410),
        ("/id/style.css", 200),
        ("/id/icon.svg", 200),
        ("/id/logo", 200),
        ("/robots.txt", 200),
        ("/id/", 404),
        ("/", 404),
        ("/enroll/x", 404),
        ("/id/../../etc/passwd", 404),
        ("/favicon.ico", 404),
        ("/id/confirm", 405),
    ];
    for (path, status) in plain_get {
        for method in ["GET", "HEAD"] {
            let reply = bed.send(&Ask::new(method, path)).await;
            assert_eq!(reply.status, status, "{method} {path}");
            judge(path, &reply);
        }
    }
    for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let reply = bed.send(&Ask::new(method, &form)).await;
        assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, "GET, HEAD, POST"), "{method}");
        judge(method, &reply);
    }
    let opened = bed.open().await;
    let (proven, second) = bed.prove().await;
    judge("the page with the key", &second);
    for (ask, status) in [
        (opened.binding("wrong"), 422),
        (opened.binding(""), 422),
        (opened.binding("AB12-CD34").without("cookie"), 403),
        (proven.code("000000"), 422),
        (proven.code(CODE), 200),
        (Ask::get(&form).instead("host", "evil.example"), 421),
        (Ask::get(&form).without("host"), 421),
    ] {
        let reply = bed.send(&ask).await;
        assert_eq!(reply.status, status, "{} {}: {}", ask.method, ask.target, reply.body);
        judge(&format!("{} {} {status}", ask.method, ask.target), &reply);
    }
    bed.fake.set(|state| state.broken = true);
    let reply = bed.send(&Ask::get(&form)).await;
    assert_eq!(reply.status, 503);
    judge("an outage", &reply);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let bed = Bed::new().await;
    for path in ["/id/enroll/wrong", "/id/style.css", "/robots.txt", "/nothing"] {
        let mut get = bed.send(&Ask::get(path)).await;
        let mut head = bed.send(&Ask::new("HEAD", path)).await;
        assert!(!get.body.is_empty() && head.body.is_empty(), "{path}");
        get.body.clear();
        for reply in [&mut get, &mut head] {
            reply.headers.remove("date");
        }
        assert_eq!(get, head, "{path}");
    }
}

#[tokio::test]
async fn robots_are_told_to_stay_away_and_pictures_are_what_they_are() {
    let bed = Bed::with(|settings| settings.logo = b"<svg onload=alert(1)>".to_vec()).await;
    assert_eq!(bed.send(&Ask::get("/robots.txt")).await.body, "User-agent: *\nDisallow: /\n");
    assert_eq!(bed.send(&Ask::get("/id/logo")).await.status, 404, "no picture that is known");
    assert!(!bed.open_body().await.contains("/logo"));
    let bed = Bed::with(|settings| settings.logo = b"\xff\xd8\xff\xe0".to_vec()).await;
    let logo = bed.send(&Ask::get("/id/logo")).await;
    assert_eq!((logo.status, logo.headers["content-type"].as_str()), (200, "image/jpeg"));
    assert!(bed.open_body().await.contains("<img src=\"/id/logo\" alt=\"\">"));
}
