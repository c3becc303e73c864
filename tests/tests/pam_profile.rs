//! `twinlock pam` for every service of Debian at once: pam-auth-update, common-auth and our profile.

use std::fs;

use twinlock_tests::{
    pam_command::{enable, files, refused, status},
    world::{self, World, done, root, sh},
};

#[test]
fn all_services_at_once_by_pam_auth_update() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    refused(
        &["pam", "enable", "--yes", "--service", "common-auth", "--try-as", "alice"],
        "there is no /usr/share/pam-configs/twinlock",
    );
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/pam/twinlock");
    fs::copy(profile, "/usr/share/pam-configs/twinlock").unwrap();
    // As the package's script does: shipped, and off.
    sh("DEBIAN_FRONTEND=noninteractive pam-auth-update --package");
    let before = files();
    assert!(!sh("cat /etc/pam.d/common-auth").contains("twinlock"));
    let _ = done(&enable(&["--service", "common-auth"]));
    assert!(sh("cat /etc/pam.d/common-auth").contains("pam_twinlock.so after_first_factor"));
    let seen = status();
    let service = seen["services"].as_array().unwrap().iter().find(|each| each["service"] == "sudo").unwrap();
    assert_eq!(service["written_by"], "/etc/pam.d/common-auth");
    let _ = done(&root(&["pam", "undo"]));
    assert_eq!(files(), before);
    // pam-auth-update leaves a block alone that somebody edited, and calls that a success.
    sh("cp /etc/pam.d/common-auth /root/");
    let _ = done(&enable(&["--service", "common-auth"]));
    sh("sed -i '/pam_permit.so/i auth\toptional\tpam_echo.so' /etc/pam.d/common-auth");
    let _ = done(&root(&["pam", "undo"]));
    let text = sh("cat /etc/pam.d/common-auth");
    assert!(!text.contains("pam_twinlock.so") && text.contains("pam_unix.so"), "{text}");
    sh("cp /root/common-auth /etc/pam.d/common-auth");
    assert_eq!(files(), before);
    // A line that somebody wrote into sshd's own stack keeps the undo of its methods from nothing.
    let _ = done(&enable(&["--service", "common-auth"]));
    sh("sed -i '1i account required pam_twinlock.so' /etc/pam.d/sshd");
    let _ = done(&root(&["pam", "undo"]));
    sh("sed -i 1d /etc/pam.d/sshd");
    assert_eq!(files(), before);
    // Nobody is asked twice, and the ledger keeps what it knows of sshd.
    let _ = done(&enable(&["--undo-after", "0"]));
    let all = ["pam", "enable", "--yes", "--service", "common-auth", "--try-as", "alice"];
    refused(&all, "sshd would be asked twice");
    refused(&[&all[..], &["--service", "sudo"]].concat(), "sshd, sudo would be asked twice");
    let _ = done(&root(&["pam", "disable", "--yes"]));
    assert_eq!(files(), before);
    // sshd's methods go with it.
    let _ = done(&enable(&["--service", "common-auth"]));
    let _ = done(&root(&["pam", "confirm"]));
    let _ = done(&root(&["pam", "disable", "--service", "common-auth", "--yes"]));
    assert_eq!(files(), before);
    // Switched on by hand: it goes the same way.
    sh("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable twinlock");
    refused(&["pam", "disable", "--yes"], "sshd still asks, by /etc/pam.d/common-auth");
    let _ = done(&root(&["pam", "disable", "--all", "--yes"]));
    assert_eq!(files(), before);
}

#[test]
fn a_line_by_hand_in_common_auth_stays_where_everybody_would_get_in_without_it() {
    let world = World::new();
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/pam/twinlock");
    fs::copy(profile, "/usr/share/pam-configs/twinlock").unwrap();
    world::stack("common-auth", "auth required pam_twinlock.so after_key\nauth required pam_permit.so\n");
    let before = files();
    refused(
        &["pam", "disable", "--all", "--yes"],
        "/etc/pam.d/common-auth:1 has a line of pam_twinlock.so still",
    );
    assert_eq!(files(), before);
    drop(world);
}
