//! Links that do not count: nobody can tell why (security.md R50, R51, R55).

use crate::{
    bed::{Ask, Bed},
    fake::{BINDING, Call, TOKEN},
};

#[tokio::test]
async fn every_kind_of_dead_link_is_one_page() {
    let bed = Bed::new().await;
    let opened = bed.open().await;
    let mut expected = bed.send(&Ask::get("/id/enroll/never")).await;
    assert_eq!((expected.status, expected.title()), (410, "This link cannot be used - Example Corp"));
    expected.headers.remove("date");
    let flipped = format!("{}y", TOKEN.strip_suffix('z').unwrap());
    let mut asks: Vec<Ask> = [
        flipped.as_str(),
        &TOKEN.to_ascii_lowercase(),
        &format!("{TOKEN}%00"),
        &format!("{TOKEN}="),
        &format!("{TOKEN}/"),
        &format!("./{TOKEN}"),
        &TOKEN.replace('-', "%252D"),
        "",
        "%ff%fe",
        "..%2f..%2fetc%2fpasswd",
        "'%20or%201=1--",
        &"A".repeat(127),
        &"A".repeat(129),
        &"A".repeat(9000),
    ]
    .iter()
    .map(|token| Ask::get(&format!("/id/enroll/{token}")))
    .collect();
    // Killed by five wrong codes; the last of them gets the same page.
    bed.fake.set(|state| state.tries_left = 1);
    asks.push(opened.binding("XXXX-0000"));
    asks.push(opened.binding(BINDING));
    asks.push(opened.binding(""));
    asks.push(Ask::get(&format!("/id/enroll/{TOKEN}")));
    for ask in asks {
        let mut reply = bed.send(&ask).await;
        reply.headers.remove("date");
        assert_eq!(reply, expected, "{} {:.40}", ask.method, ask.target);
    }
}

#[tokio::test]
async fn opening_a_link_changes_nothing_however_often() {
    let bed = Bed::new().await;
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(bed.send(&Ask::new(method, &format!("/id/enroll/{TOKEN}"))).await.status, 200);
    }
    assert!(bed.fake.calls().iter().all(|call| matches!(call, Call::Look { .. })));
    assert_eq!(bed.fake.0.lock().unwrap().tries_left, 5);
}

#[tokio::test]
async fn who_floods_the_daemon_with_links_keeps_nobody_from_the_form() {
    let bed = Bed::new().await;
    bed.fake.set(|state| state.throttled = true);
    let reply = bed.send(&Ask::get(&format!("/id/enroll/{TOKEN}"))).await;
    assert_eq!((reply.status, reply.title()), (200, "Set up your second factor - Example Corp"));
}
