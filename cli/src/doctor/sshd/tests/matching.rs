//! Which connections are asked about: Match blocks, included files, patterns.

use super::*;

struct World(BTreeMap<&'static str, &'static str>);

impl Source for World {
    fn read(&self, path: &str) -> io::Result<String> {
        self.0.get(path).map(|text| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn expand(&self, pattern: &str) -> Vec<String> {
        self.0.keys().filter(|path| pattern::wildcard(pattern, path)).map(|path| (*path).to_owned()).collect()
    }
}

impl People for World {
    fn groups(&self) -> Vec<String> {
        ["root", "sudo", "admins", "sftp", "empty"].map(str::to_owned).to_vec()
    }

    fn members(&self, group: &str) -> Vec<String> {
        let members: &[&str] = match group {
            "root" => &["root"],
            "sudo" => &["root", "alice"],
            "admins" => &["alice", "bob"],
            "sftp" => &["carol"],
            _ => &[],
        };
        members.iter().map(|name| (*name).to_owned()).collect()
    }

    fn ordinary(&self) -> Option<String> {
        Some("dave".to_owned())
    }
}

const MAIN: &str = "/etc/ssh/sshd_config";

fn asked(text: &'static str) -> (Vec<Probe>, Vec<Finding>) {
    let world = World(BTreeMap::from([(MAIN, text)]));
    probes(MAIN, &world, &world)
}

/// The specification for the only block.
fn spec(text: &'static str) -> String {
    let (probes, findings) = asked(text);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(probes.len(), 3, "{probes:?}");
    probes[2].spec.clone()
}

#[test]
fn all_others_and_root_are_always_asked_about() {
    let (probes, findings) = asked("UsePAM yes\nPort 2222\nMatch all\n  PasswordAuthentication no\n");
    assert!(findings.is_empty());
    let specs: Vec<_> =
        probes.iter().map(|each| (each.name.as_str(), each.spec.as_str(), each.root)).collect();
    assert_eq!(
        specs,
        [
            (
                "all others",
                "user=dave,host=client.invalid,addr=198.51.100.77,laddr=198.51.100.1,lport=2222",
                false
            ),
            ("root", "user=root,host=client.invalid,addr=198.51.100.77,laddr=198.51.100.1,lport=2222", true),
        ]
    );
}

#[test]
fn each_criterion_gets_a_connection_that_meets_it() {
    for (text, part) in [
        ("Match User alice\n", "user=alice,"),
        ("match user=al*,!alice\n", "user=ala,"),
        ("Match User \"bob,carol\" # them\n", "user=bob,"),
        ("Match User *,!dave\n", "user=root,"),
        ("Match Group sudo\n", "user=root,"),
        ("Match Group *admin*,!sudo\n", "user=bob,"),
        ("Match Group sudo User !root,*\n", "user=alice,"),
        ("Match Address 192.0.2.0/24\n", "addr=192.0.2.0,"),
        ("Match Address 192.0.2.0/24,!192.0.2.0/30\n", "addr=192.0.2.77,"),
        ("Match Address 2001:db8::/32\n", "addr=2001:db8::,"),
        ("Match Address 10.0.0.*\n", "addr=10.0.0.1,"),
        ("Match Address *,!198.51.100.77\n", "addr=203.0.113.5,"),
        ("Match Host *.example.com\n", "host=a.example.com,"),
        ("Match LocalAddress 10.1.1.1 LocalPort 2200\n", "laddr=10.1.1.1,lport=2200"),
        ("Match Address 2001:db8:*\n", "addr=2001:db8::1,"),
        ("Match RDomain vrf*\n", ",rdomain=vrf"),
    ] {
        let spec = spec(text);
        assert!(spec.contains(part), "{text}: {spec}");
    }
}

#[test]
fn a_block_is_named_by_file_line_and_text_and_may_be_roots() {
    let (probes, _) = asked("\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\n");
    assert_eq!(probes[2].name, "/etc/ssh/sshd_config:2 Match Address 10.0.0.0/8");
    assert!(probes[2].root);
    let (probes, _) = asked("Match User alice\n");
    assert!(!probes[2].root);
}

#[test]
fn included_files_are_read_and_their_blocks_end_with_them() {
    let world = World(BTreeMap::from([
        (MAIN, "Include /etc/ssh/sshd_config.d/*.conf extra.conf\nMatch User alice\n Include inner.conf\n"),
        ("/etc/ssh/sshd_config.d/10.conf", "Match Group sftp\n ForceCommand internal-sftp\n"),
        ("/etc/ssh/extra.conf", "Port 2200\n"),
        ("/etc/ssh/inner.conf", "Match Address 10.0.0.0/8\n AuthenticationMethods any\n"),
    ]));
    let (probes, findings) = probes(MAIN, &world, &world);
    assert!(findings.is_empty(), "{findings:?}");
    let found = |part: &str, spec: &str| {
        probes.iter().any(|each| each.name.contains(part) && each.spec.starts_with(spec))
    };
    assert!(found("10.conf:1 Match Group sftp", "user=carol,"), "{probes:?}");
    assert!(found("sshd_config:2 Match User alice", "user=alice,host=client.invalid,addr=198"), "{probes:?}");
    assert!(
        found(
            "inner.conf:1 Match Address",
            "user=alice,host=client.invalid,addr=10.0.0.0,laddr=198.51.100.1,lport=2200"
        ),
        "{probes:?}"
    );
}

#[test]
fn two_blocks_that_can_hold_at_once_are_asked_about_together() {
    let (probes, _) = asked("Match User alice\nMatch Address 10.0.0.0/8\nMatch User bob\n");
    let pairs: Vec<_> =
        probes.iter().filter(|each| each.name.contains(" and ")).map(|each| each.spec.as_str()).collect();
    assert_eq!(pairs.len(), 2, "{pairs:?}");
    assert!(pairs[0].starts_with("user=alice,") && pairs[0].contains("addr=10.0.0.0"), "{pairs:?}");
}

#[test]
fn what_cannot_be_asked_about_is_a_warning() {
    for (text, part) in [
        ("Match exec \"/bin/true\"\n", "knows no exec"),
        ("Match localnetwork 10.0.0.0/8\n", "knows no localnetwork"),
        ("Match final\n", "knows no final"),
        ("Match version OpenSSH_7*\n", "knows no version"),
        ("Match User !root\n", "no connection was found"),
        ("Match Group empty\n", "no connection was found"),
    ] {
        let (probes, findings) = asked(text);
        assert_eq!(probes.len(), 2, "{probes:?}");
        said(&findings, &[(Warning, part)]);
    }
    assert!(asked("Match invalid-user\n").1.is_empty());
    let nothing = World(BTreeMap::new());
    said(&probes(MAIN, &nothing, &nothing).1, &[(Warning, "cannot be read")]);
}

#[test]
fn patterns_are_those_of_ssh_config() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abcd", false),
        ("*ab*ab", "abxabab", true),
        ("?", "", false),
        ("a?c", "abc", true),
        ("", "a", false),
    ] {
        assert_eq!(pattern::wildcard(pattern, text), fits, "{pattern} {text}");
    }
    assert!(pattern::address_in("0.0.0.0/0", "192.0.2.1") && !pattern::address_in("::/0", "192.0.2.1"));
    assert!(
        pattern::address_in("10.0.0.0/31", "10.0.0.1") && !pattern::address_in("10.0.0.0/31", "10.0.0.2")
    );
}
