//! Slow, endless, huge and many: each has an end, and others are served all the while.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    bed::{Ask, Bed, HOST, LONG, Stream, read},
    fake::{BINDING, TOKEN},
};

/// Somebody else is served, quickly.
async fn others_are_served(bed: &Bed) {
    let begun = Instant::now();
    let reply = bed.send(&Ask::get(&format!("/id/enroll/{TOKEN}")).from([127, 0, 0, 2])).await;
    assert_eq!(reply.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

async fn connect(bed: &Bed) -> Box<dyn Stream> {
    bed.connect([127, 0, 0, 1].into(), false).await.expect("no connection")
}

/// Seconds until the page closes the connection while `write` goes on.
async fn closed_after(stream: Box<dyn Stream>, pause: Duration, drip: &str) -> (f32, String) {
    let begun = Instant::now();
    let (mut from, mut to) = tokio::io::split(stream);
    let mut heard = Vec::new();
    let dripping = async {
        loop {
            if to.write_all(drip.as_bytes()).await.is_err() || to.flush().await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        ended = tokio::time::timeout(LONG, from.read_to_end(&mut heard)) => { ended.expect("never closed").ok(); }
        () = dripping => {}
    }
    (begun.elapsed().as_secs_f32(), String::from_utf8_lossy(&heard).into_owned())
}

#[tokio::test]
async fn heads_that_never_end_are_cut_off() {
    let bed = Bed::new().await;
    let silent = connect(&bed).await;
    let mut slow = connect(&bed).await;
    slow.write_all(format!("GET /id/enroll/x HTTP/1.1\r\nhost: {HOST}\r\n").as_bytes()).await.unwrap();
    let mut idle = connect(&bed).await;
    idle.write_all(format!("GET /robots.txt HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let (silent, slow, idle, ()) = tokio::join!(
        closed_after(silent, LONG, ""),
        closed_after(slow, Duration::from_secs(1), "x: y\r\n"),
        closed_after(idle, LONG, ""),
        others_are_served(&bed),
    );
    for (what, (seconds, heard)) in [("silent", silent), ("slow", slow), ("idle", idle)] {
        assert!((8.0..14.0).contains(&seconds), "{what}: {seconds} s, {heard}");
    }
    assert!(bed.fake.calls().len() == 1, "only the others' link was looked at");
}

#[tokio::test]
async fn a_body_that_drips_ends_with_its_time() {
    let bed = Bed::new().await;
    let ask = bed.open().await.binding(BINDING);
    let mut stream = connect(&bed).await;
    let mut head = format!("POST {} HTTP/1.1\r\ncontent-length: 2000\r\n", ask.target);
    for (name, value) in &ask.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let ((seconds, heard), ()) =
        tokio::join!(closed_after(stream, Duration::from_millis(500), "a"), others_are_served(&bed));
    assert!((18.0..32.0).contains(&seconds), "{seconds} s");
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let bed = Bed::new().await;
    let good = bed.open().await.binding(BINDING);
    let calls = bed.fake.calls();
    let large = Ask { body: format!("{}&x={}", good.body, "x".repeat(5000)), ..good.clone() };
    assert_eq!(bed.send(&large).await.status, 413);
    // Without a length: chunk after chunk, for ever.
    let mut stream = connect(&bed).await;
    let mut head = format!("POST {} HTTP/1.1\r\ntransfer-encoding: chunked\r\n", good.target);
    for (name, value) in &good.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let (seconds, heard) = closed_after(stream, Duration::from_millis(1), &chunk).await;
    assert!(seconds < 5.0 && heard.starts_with("HTTP/1.1 413 "), "{seconds} s: {heard}");
    // Heads: one line, and many.
    for line in [format!("x: {}\r\n", "y".repeat(30_000)), "x: y\r\n".repeat(100)] {
        let mut stream = connect(&bed).await;
        let head = format!("GET /robots.txt HTTP/1.1\r\nhost: {HOST}\r\n{line}\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let status = read(&mut stream).await.map(|reply| reply.status);
        assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
    }
    assert_eq!(bed.fake.calls(), calls);
    others_are_served(&bed).await;
}

#[tokio::test]
async fn six_hundred_connections_of_one_source_leave_room_for_others() {
    let bed = Bed::new().await;
    let mut held = Vec::new();
    for _ in 0..600 {
        held.push(bed.connect([127, 0, 0, 1].into(), true).await);
    }
    others_are_served(&bed).await;
    // Those that were let in wait for a handshake; the others were closed at once.
    let mut open = 0;
    for stream in held.iter_mut().flatten() {
        let closed = tokio::time::timeout(Duration::from_millis(2), stream.read(&mut [0; 1])).await;
        open += usize::from(closed.is_err());
    }
    assert!((1..=16).contains(&open), "{open}");
}

#[tokio::test]
async fn six_hundred_connections_of_many_sources_end_and_the_page_goes_on() {
    let bed = Bed::new().await;
    let mut held = Vec::new();
    for number in 0..600_u32 {
        let [.., high, low] = (number / 10 + 256).to_be_bytes();
        held.push(bed.connect([127, 7, high, low].into(), true).await);
    }
    let begun = Instant::now();
    loop {
        let ask = Ask::get(&format!("/id/enroll/{TOKEN}")).from([127, 0, 0, 2]);
        if bed.try_send(&ask).await.is_some_and(|reply| reply.status == 200) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(14), "the handshakes of others should be over");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(held);
}

#[tokio::test]
async fn who_asks_too_often_waits_and_others_do_not() {
    let bed = Bed::new().await;
    let mut statuses = Vec::new();
    let mut stream = connect(&bed).await;
    // On one connection: what is counted is requests.
    let guess = "g".repeat(43);
    let head = format!("GET /id/enroll/{guess} HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..400 {
        if stream.write_all(head.as_bytes()).await.is_err() {
            break;
        }
        let mut reply = String::new();
        while !reply.contains("</html>") {
            let read = stream.read(&mut buffer).await.unwrap();
            reply.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let status: u16 = reply.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 429 {
            assert!(reply.contains("\r\nretry-after: ") && reply.contains("Please wait a little"), "{reply}");
        }
        statuses.push(status);
    }
    let asked = statuses.iter().filter(|status| **status == 410).count();
    assert!((200..300).contains(&asked), "{asked} of {}", statuses.len());
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(bed.fake.calls().len(), asked, "what was refused reached nobody");
    others_are_served(&bed).await;
}
