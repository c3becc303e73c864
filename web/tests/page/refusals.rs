//! Forms that did not come from our page: refused, and the daemon never hears of them (security.md R53, R54).

use crate::{
    bed::{Ask, Bed, HOST, ORIGIN},
    fake::{BINDING, CODE, TOKEN},
};

/// Refused with the status, and no call.
async fn refused(bed: &Bed, what: &str, ask: Ask, status: u16) {
    let before = bed.fake.calls();
    let reply = bed.send(&ask).await;
    assert_eq!(reply.status, status, "{what}: {}", reply.body);
    if status == 403 {
        assert_eq!(reply.title(), "Please open the link again - Example Corp", "{what}");
    }
    assert!(!reply.headers.contains_key("set-cookie"), "{what}");
    assert_eq!(bed.fake.calls(), before, "{what} reached the daemon");
}

#[tokio::test]
async fn a_form_from_elsewhere_reaches_nobody() {
    let bed = Bed::new().await;
    let opened = bed.open().await;
    let (proven, _) = bed.prove().await;
    for good in [opened.binding(BINDING), proven.code(CODE)] {
        let cases = [
            ("no cookie", good.clone().without("cookie")),
            (
                "another cookie",
                good.clone().instead("cookie", "__Host-twinlock=f.AAAA; __Host-twinlock-session=s.AAAA"),
            ),
            ("a cookie without its prefix", good.clone().instead("cookie", "twinlock=f.AAAA")),
            (
                "two cookies",
                good.clone().header("cookie", "__Host-twinlock=f.AAAA; __Host-twinlock-session=s.AAAA"),
            ),
            ("wrong origin", good.clone().instead("origin", "https://evil.example")),
            ("null origin", good.clone().instead("origin", "null")),
            ("http origin", good.clone().instead("origin", "http://mfa.example.com")),
            ("a port in the origin", good.clone().instead("origin", "https://mfa.example.com:8443")),
            ("a longer origin", good.clone().instead("origin", "https://mfa.example.com.evil.example")),
            ("neither origin nor site", good.clone().without("origin").without("sec-fetch-site")),
            ("cross-site", good.clone().instead("sec-fetch-site", "cross-site")),
            ("same-site", good.clone().without("origin").instead("sec-fetch-site", "same-site")),
            ("opened by hand", good.clone().without("origin").instead("sec-fetch-site", "none")),
            ("no seal", Ask { body: "code=x".to_owned(), ..good.clone() }),
            ("an empty form", Ask { body: String::new(), ..good.clone() }),
        ];
        for (what, ask) in cases {
            refused(&bed, what, ask, 403).await;
        }
    }
}

#[tokio::test]
async fn one_form_is_no_good_for_another() {
    let bed = Bed::new().await;
    let (opened, other) = (bed.open().await, bed.open().await);
    let (proven, _) = bed.prove().await;
    let swapped = other.binding(BINDING).instead("cookie", &opened.cookie);
    refused(&bed, "the form of another cookie", swapped, 403).await;
    let elsewhere = Ask { target: "/id/enroll/another".to_owned(), ..opened.binding(BINDING) };
    refused(&bed, "the form of another link", elsewhere, 403).await;
    refused(&bed, "the first cookie at the end", opened.code(CODE), 403).await;
    refused(&bed, "the last cookie at the beginning", proven.binding(BINDING), 403).await;
    let invented = proven.code(CODE).instead("cookie", "__Host-twinlock-session=s.c2VTU2lPbg");
    refused(&bed, "an invented session", invented, 403).await;
}

#[tokio::test]
async fn a_form_of_a_page_that_was_restarted_is_too_old() {
    let (old, new) = (Bed::new().await, Bed::new().await);
    refused(&new, "a stale form", old.open().await.binding(BINDING), 403).await;
    let (proven, _) = old.prove().await;
    refused(&new, "a stale second form", proven.code(CODE), 403).await;
}

#[tokio::test]
async fn a_browser_that_says_the_site_alone_is_believed() {
    let bed = Bed::new().await;
    let opened = bed.open().await;
    assert_eq!(bed.send(&opened.binding(BINDING).without("origin")).await.status, 200);
    assert_eq!(bed.send(&opened.binding(BINDING).without("sec-fetch-site")).await.status, 200);
}

#[tokio::test]
async fn what_is_no_form_of_a_browser_reaches_nobody() {
    let bed = Bed::new().await;
    let good = bed.open().await.binding(BINDING);
    refused(&bed, "json", good.clone().instead("content-type", "application/json"), 400).await;
    refused(&bed, "multipart", good.clone().instead("content-type", "multipart/form-data; boundary=x"), 400)
        .await;
    refused(&bed, "no type", good.clone().without("content-type"), 400).await;
    let long = format!("{}{}", good.body, "x".repeat(600));
    refused(&bed, "a code longer than any", Ask { body: long, ..good.clone() }, 403).await;
    let twice = format!("{}&code=other", good.body);
    refused(&bed, "two codes", Ask { body: twice, ..good.clone() }, 403).await;
    refused(&bed, "the form by GET", Ask { method: "PUT".to_owned(), ..good }, 405).await;
}

#[tokio::test]
async fn another_name_of_the_host_is_not_this_page() {
    let bed = Bed::new().await;
    let form = format!("/id/enroll/{TOKEN}");
    let good = bed.open().await.binding(BINDING);
    for host in [
        "evil.example",
        "mfa.example.com.evil.example",
        "mfa.example.com:8443",
        "127.0.0.1",
        "mfa.example.com@evil",
        "",
    ] {
        refused(&bed, host, Ask::get(&form).instead("host", host), 421).await;
        refused(&bed, host, good.clone().instead("host", host), 421).await;
    }
    refused(&bed, "two hosts", Ask::get(&form).header("host", HOST), 421).await;
    refused(&bed, "no host", Ask::get(&form).without("host"), 421).await;
    refused(&bed, "absolute", Ask::get(&format!("https://evil.example{form}")), 421).await;
    let named = Ask::get(&format!("{ORIGIN}{form}")).instead("host", "MFA.example.com:443");
    assert_eq!(bed.send(&named).await.status, 200);
    let reply = bed.send(&Ask::get(&form).header("x-forwarded-host", "evil.example")).await;
    assert!(reply.status == 200 && !reply.body.contains("evil.example"));
}
