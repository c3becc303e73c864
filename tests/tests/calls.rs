//! Who may make which call: every method on every socket, as root, as a user, as another, as nobody. A method that is
//! missing from the table fails it.

use std::{collections::BTreeMap, path::Path};

use twinlock_tests::{
    wait,
    world::{self, World, as_user},
};

/// What an empty message gets where the method is served and the caller may call it.
const SERVED: [(&str, &str); 44] = [
    ("Login/Authenticate", "InvalidArgument"), // no opening message
    ("Pulse/Beat", "PermissionDenied"),        // only for the daemon itself
    ("SelfService/Status", "Ok"),
    ("SelfService/EnrollTotp", "InvalidArgument"),
    ("SelfService/EnrollContact", "InvalidArgument"),
    ("SelfService/Verify", "Ok"), // not enrolled
    ("SelfService/RenewRecovery", "Ok"),
    ("SelfService/RemoveFactor", "Ok"),           // no such factor
    ("SelfService/Prefer", "FailedPrecondition"), // has nothing
    ("Admin/ListAccounts", "Ok"),
    ("Admin/ShowAccount", "InvalidArgument"), // no name
    ("Admin/ProvisionTotp", "InvalidArgument"),
    ("Admin/ResetAccount", "InvalidArgument"),
    ("Admin/UnlockAccount", "InvalidArgument"),
    ("Admin/IssueBypass", "InvalidArgument"),
    ("Admin/RequireAccount", "InvalidArgument"),
    ("Admin/ExemptAccount", "InvalidArgument"),
    ("Admin/OpenAccount", "InvalidArgument"),
    ("Admin/SetContact", "InvalidArgument"),
    ("Admin/InviteUser", "InvalidArgument"),
    ("Admin/InviteGroup", "NotFound"), // there is no such group
    ("Admin/AdoptAccount", "InvalidArgument"),
    ("Admin/PurgeAccount", "InvalidArgument"),
    ("Admin/ImportTokens", "FailedPrecondition"), // of no file
    ("Admin/ListTokens", "Ok"),
    ("Admin/AssignToken", "InvalidArgument"),
    ("Admin/ResyncToken", "NotFound"),
    ("Admin/RevokeToken", "NotFound"),
    ("Admin/Migrate", "InvalidArgument"), // from no program
    ("Admin/ListProviders", "Ok"),
    ("Admin/TestProvider", "FailedPrecondition"), // of no number
    ("Admin/OpenRole", "NotFound"),               // there is no role
    ("Admin/ExplainPolicy", "InvalidArgument"),
    ("Admin/AcceptClock", "Ok"),
    ("Admin/ShowDaemon", "Ok"),
    ("Admin/ReadAudit", "Ok"),
    ("Admin/CheckStore", "Ok"),
    ("Admin/BackupStore", "Ok"),
    ("Admin/RotateKey", "Ok"),
    ("Admin/RecordStackChange", "InvalidArgument"), // of no service
    ("EnrollmentPage/ReadSettings", "Ok"),
    ("EnrollmentPage/LookAtLink", "Ok"),   // it is dead
    ("EnrollmentPage/ProveBinding", "Ok"), // the same
    ("EnrollmentPage/ConfirmApp", "Ok"),   // the same
];

/// Which services a socket serves.
fn serves(socket: &str, service: &str) -> bool {
    match socket {
        "login.sock" => service == "Login" || service == "Pulse",
        "user.sock" => service == "Login" || service == "SelfService",
        "admin.sock" => service == "Admin",
        "web.sock" => service == "EnrollmentPage",
        other => unreachable!("{other}"),
    }
}

fn expected(caller: &str, socket: &str, method: &str) -> String {
    let (service, _) = method.split_once('/').unwrap_or_default();
    let owner = if socket == "web.sock" { "twinlock-web" } else { "root" };
    if caller != "root" && caller != owner && socket != "user.sock" {
        return "Forbidden".to_owned(); // mode 0600
    }
    if socket == "web.sock" && caller != owner && serves(socket, service) {
        return "PermissionDenied".to_owned(); // root can connect, and is not the page
    }
    if !serves(socket, service) {
        return "Unimplemented".to_owned();
    }
    let table: BTreeMap<_, _> = SERVED.into_iter().collect();
    table.get(method).map_or_else(|| format!("{method} is not in the table"), |code| (*code).to_owned())
}

#[test]
fn every_call_on_every_socket_by_every_kind_of_caller() {
    let world = World::new();
    world::sh("useradd --system twinlock-web");
    let _daemon = world.daemon();
    let _phone = world.enroll("bob");
    wait::until("web.sock", 10, || Path::new("/run/twinlock/web.sock").exists().then_some(()));
    world::sh(&format!("install -m 0755 {} /usr/local/bin/actor", env!("CARGO_BIN_EXE_twinlock-actor")));
    for caller in ["root", "alice", "daemon", "nobody", "twinlock-web"] {
        let out = as_user(caller, "/usr/local/bin/actor").output().expect("runuser");
        assert!(out.status.success(), "{out:?}");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.lines().count() >= 4 * SERVED.len(), "{said}");
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let method = words[1].trim_start_matches("/twinlock.v1.");
            assert_eq!(words[2..].join(" "), expected(caller, words[0], method), "{caller}: {line}");
        }
    }
}
