//! The page's own TLS.

use std::{fs, time::Duration};

use nix::sys::signal::{Signal, raise};

use crate::bed::{Ask, Bed, HOST, LONG, write_pair};

/// Whether the page shows the certificate that is in the bed's folder now.
async fn shows_the_new_one(bed: &Bed) -> bool {
    bed.try_send(&Ask::get("/robots.txt")).await.is_some_and(|reply| reply.status == 200)
}

async fn within(time: Duration, bed: &Bed) -> bool {
    let waited = async {
        while !shows_the_new_one(bed).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(time, waited).await.is_ok()
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_without_a_restart() {
    let bed = Bed::new().await;
    write_pair(bed.folder.path(), HOST);
    assert!(!shows_the_new_one(&bed).await, "the old one still");
    assert!(within(LONG, &bed).await);
    // As renewal programs do: other files, a link that is turned.
    fs::rename(bed.path("cert.pem"), bed.path("cert1.pem")).unwrap();
    std::os::unix::fs::symlink("cert1.pem", bed.path("cert.pem")).unwrap();
    let old = fs::read(bed.path("cert1.pem")).unwrap();
    write_pair(bed.folder.path(), HOST);
    assert_ne!(fs::read(bed.path("cert1.pem")).unwrap(), old);
    raise(Signal::SIGHUP).unwrap();
    assert!(within(Duration::from_secs(3), &bed).await, "at once when told");
}

#[tokio::test]
async fn a_broken_pair_leaves_the_old_one_in_force() {
    let bed = Bed::new().await;
    let good = fs::read(bed.path("cert.pem")).unwrap();
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(bed.path("cert.pem"), broken).unwrap();
        raise(Signal::SIGHUP).unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        fs::write(bed.path("cert.pem"), &good).unwrap();
        assert!(shows_the_new_one(&bed).await, "{broken:?}");
    }
    // A certificate whose key is not there yet, and then is.
    let (cert, key) = (bed.path("cert.pem"), bed.path("key.pem"));
    let old_key = fs::read(&key).unwrap();
    write_pair(bed.folder.path(), HOST);
    let (new_cert, new_key) = (fs::read(&cert).unwrap(), fs::read(&key).unwrap());
    fs::write(&key, old_key).unwrap();
    raise(Signal::SIGHUP).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    fs::write(&cert, &good).unwrap();
    assert!(shows_the_new_one(&bed).await, "a pair that does not fit");
    fs::write(&cert, new_cert).unwrap();
    fs::write(&key, new_key).unwrap();
    assert!(within(LONG, &bed).await);
}

#[tokio::test]
async fn plain_text_is_not_answered_where_there_is_tls() {
    let bed = Bed::new().await;
    let answer = bed.try_send(&Ask::get("/robots.txt").plain()).await;
    assert_eq!(answer, None);
    let claimed = Ask::get("/robots.txt").plain().header("x-forwarded-proto", "https");
    assert_eq!(bed.try_send(&claimed).await, None);
}
