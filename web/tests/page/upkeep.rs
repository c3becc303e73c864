//! A daemon that comes and goes, and a configuration that changes.

use std::{fs, time::Duration};

use nix::sys::signal::{Signal, raise};

use crate::{
    bed::{Ask, Bed, LONG, folder, settings},
    fake::{BINDING, TOKEN},
};

fn form() -> Ask {
    Ask::get(&format!("/id/enroll/{TOKEN}"))
}

#[tokio::test]
async fn without_the_daemon_people_are_told_to_come_back_and_then_it_works() {
    let mut bed = Bed::new().await;
    let opened = bed.open().await;
    bed.stop_daemon();
    for ask in [form(), opened.binding(BINDING)] {
        let reply = bed.send(&ask).await;
        assert_eq!((reply.status, reply.title()), (503, "Not available at the moment - Example Corp"));
        assert!(reply.body.contains("try again in a minute") && reply.body.contains("The link stays good."));
    }
    bed.start_daemon();
    assert_eq!(bed.send(&form()).await.status, 200);
    assert_eq!(bed.send(&opened.binding(BINDING)).await.status, 200, "the form from before is still good");
}

#[tokio::test]
async fn a_page_that_was_first_waits_for_the_daemon() {
    let folder = folder();
    let settings = settings(&folder);
    let mut bed = Bed::without_daemon(folder, settings);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bed.start_daemon();
    bed.ready().await;
    assert_eq!(bed.send(&form()).await.status, 200);
}

#[tokio::test]
async fn no_page_is_shown_until_the_configuration_wants_one() {
    let folder = folder();
    let mut unwanted = settings(&folder);
    unwanted.url.clear();
    let mut bed = Bed::without_daemon(folder, unwanted);
    bed.start_daemon();
    let hurried = tokio::time::timeout(Duration::from_secs(4), bed.send(&form())).await;
    assert!(hurried.is_err(), "nobody answers: {hurried:?}");
    bed.fake.set(|state| state.settings.url = "https://mfa.example.com/id".to_owned());
    bed.ready().await;
    bed.fake.set(|state| state.settings.url.clear());
    raise(Signal::SIGHUP).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bed.send(&form()).await.status, 503, "no longer wanted");
    bed.fake.set(|state| state.settings.url = "https://mfa.example.com/id".to_owned());
    bed.ready().await;
}

#[tokio::test]
async fn what_changes_in_the_configuration_applies_at_once_when_told() {
    let bed = Bed::new().await;
    bed.fake.set(|state| {
        state.settings.issuer = "Other Corp".to_owned();
        state.settings.url = "https://mfa.example.com".to_owned();
        state.settings.proxies = vec!["127.0.0.1".to_owned()];
    });
    raise(Signal::SIGHUP).unwrap();
    let changed = async {
        while bed.send(&form()).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, changed).await.unwrap();
    let reply =
        bed.send(&Ask::get(&format!("/enroll/{TOKEN}")).header("x-forwarded-for", "203.0.113.9")).await;
    assert_eq!(reply.title(), "Set up your second factor - Other Corp");
}

#[tokio::test]
async fn a_socket_behind_which_not_root_can_stand_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let mut bed = Bed::new().await;
    bed.stop_daemon();
    fs::set_permissions(bed.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    bed.start_daemon();
    assert_eq!(bed.send(&form()).await.status, 503);
    fs::set_permissions(bed.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bed.send(&form()).await.status, 200);
}
