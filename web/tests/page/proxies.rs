//! Behind a reverse proxy: who is believed, and what (security.md R54).

use crate::{
    bed::{Ask, Bed, ORIGIN},
    fake::{BINDING, Call, TOKEN},
};

fn form() -> Ask {
    Ask::get(&format!("/id/enroll/{TOKEN}")).plain()
}

fn through(ask: Ask, client: &str) -> Ask {
    ask.plain().header("x-forwarded-proto", "https").header("x-forwarded-for", client)
}

fn sources(bed: &Bed) -> Vec<String> {
    let of = |call| match call {
        Call::Look { source } | Call::Prove { source, .. } | Call::Confirm { source, .. } => source,
    };
    bed.fake.calls().into_iter().map(of).collect()
}

#[tokio::test]
async fn behind_a_proxy_the_browsers_address_is_the_last_that_is_no_proxy() {
    let bed = Bed::proxied().await;
    for client in
        ["203.0.113.9", "203.0.113.9, 10.1.1.1", "evil, 198.51.100.1, 203.0.113.9", "[2001:db8::7]:4711"]
    {
        assert_eq!(bed.send(&through(form(), client)).await.status, 200, "{client}");
    }
    assert_eq!(bed.send(&form().header("x-forwarded-proto", "https")).await.status, 200);
    assert_eq!(sources(&bed), ["203.0.113.9", "203.0.113.9", "203.0.113.9", "2001:db8::7", "127.0.0.1"]);
}

#[tokio::test]
async fn nobody_but_a_declared_proxy_may_speak_plain_text() {
    let bed = Bed::proxied().await;
    let undeclared = through(form(), "203.0.113.9").from([127, 0, 0, 9]);
    assert_eq!(bed.try_send(&undeclared).await, None, "closed without a word");
    assert!(bed.fake.calls().is_empty());
}

#[tokio::test]
async fn what_reached_the_proxy_in_plain_text_is_refused() {
    let bed = Bed::proxied().await;
    let good = through(form(), "203.0.113.9");
    for said in [None, Some("http"), Some("https, http"), Some("")] {
        let ask = good.clone().without("x-forwarded-proto");
        let ask = if let Some(said) = said { ask.header("x-forwarded-proto", said) } else { ask };
        let reply = bed.send(&ask).await;
        assert_eq!((reply.status, reply.title()), (403, "Only over HTTPS - Example Corp"), "{said:?}");
        assert!(!reply.headers.contains_key("strict-transport-security"), "RFC 6797 section 7.2");
    }
    assert!(bed.fake.calls().is_empty());
}

#[tokio::test]
async fn a_proxy_has_to_pass_the_name_of_the_host_on() {
    let bed = Bed::proxied().await;
    let ask = through(form(), "203.0.113.9");
    for host in ["127.0.0.1:8443", "localhost"] {
        let reply =
            bed.send(&ask.clone().instead("host", host).header("x-forwarded-host", "mfa.example.com")).await;
        assert_eq!(reply.status, 421, "{host}");
    }
}

#[tokio::test]
async fn without_a_declared_proxy_nothing_that_is_forwarded_counts() {
    let bed = Bed::new().await;
    let ask = Ask::get(&format!("/id/enroll/{TOKEN}"))
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "for=203.0.113.9");
    assert_eq!(bed.send(&ask).await.status, 200);
    assert_eq!(sources(&bed), ["127.0.0.1"]);
}

#[tokio::test]
async fn with_a_certificate_and_a_proxy_only_the_proxy_is_believed() {
    let bed = Bed::with(|settings| settings.proxies = vec!["127.0.0.1/32".to_owned()]).await;
    let ask = Ask::get(&format!("/id/enroll/{TOKEN}")).header("x-forwarded-for", "203.0.113.9");
    assert_eq!(bed.send(&ask).await.status, 200);
    assert_eq!(bed.send(&ask.clone().from([127, 0, 0, 9])).await.status, 200);
    assert_eq!(sources(&bed), ["203.0.113.9", "127.0.0.9"]);
    let plain = bed.send(&ask.header("x-forwarded-proto", "http")).await;
    assert_eq!(plain.status, 403, "the browser sees http");
}

#[tokio::test]
async fn a_whole_form_goes_through_a_proxy() {
    let bed = Bed::proxied().await;
    let reply = bed.send(&through(form(), "203.0.113.9")).await;
    let opened = crate::bed::Opened::of(&reply);
    let ask = through(opened.binding(BINDING), "203.0.113.9");
    assert!(ask.headers.iter().any(|(name, value)| name == "origin" && value == ORIGIN));
    assert_eq!(bed.send(&ask).await.status, 200);
}

#[tokio::test]
async fn a_proxys_connections_are_its_browsers_and_each_has_its_own_limits() {
    let bed = Bed::proxied().await;
    let one = through(form(), "203.0.113.9");
    let mut last = 0;
    for _ in 0..300 {
        last = bed.send(&one).await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    assert_eq!(
        bed.send(&through(form(), "203.0.113.10")).await.status,
        200,
        "another browser of the same proxy"
    );

    // At a time: 16 requests of one browser, on as many connections of the proxy as it likes.
    bed.fake.set(|state| state.slow = Some(std::time::Duration::from_secs(3)));
    let crowd = through(form(), "203.0.113.11");
    let bed = std::sync::Arc::new(bed);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (bed, crowd) = (std::sync::Arc::clone(&bed), crowd.clone());
        waiting.spawn(async move { bed.send(&crowd).await.status });
    }
    let statuses = waiting.join_all().await;
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((served, statuses.len() - served), (16, 24), "{statuses:?}");
}
