//! The enrollment page in a real browser, from a mailed link to a login; and what it withstands.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    browser::{self, Browser, Scripts, key},
    daemon::Daemon,
    delivery::{self, bob},
    mail::{Postfix, link_in, mail},
    page::{self, AUTHORITY, Page, URL, WEB, path_of},
    phone::Phone,
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, Sshd, outcome},
    terminal::Terminal,
    wait,
    world::{World, root},
};

/// bob must have an app, and is sent a link.
const BY_LINK: &str = "issuer = 'Example Corp'\n[email]\nfrom = 'login@example.com'\n[[role]]\nname = 'invited'\n\
                       users = ['bob']\nsecond-factor = 'required'\nmethods = ['totp']\nenrollment = 'link'\n";
const DEAD: &str = "This link cannot be used";

fn ready(world: &World, config: &str) -> (Daemon, Sshd, Page) {
    page::prepare();
    delivery::configure(&format!("{config}{WEB}"), &[]);
    let daemon = world.daemon();
    let sshd = world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE);
    (daemon, sshd, Page::start())
}

/// The binding code that a login shows.
fn binding_code(ssh: &mut Terminal) -> String {
    let text = ssh.expect(" there, then type the code your app shows: ");
    text.rsplit_once(", type ").expect("a binding code").1.to_owned()
}

fn invite(user: &str) -> (String, String) {
    let out = root(&["user", "invite", user, "--no-mail", "--json"]);
    assert!(out.status.success(), "{out:?}");
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let word = |key: &str| json[key].as_str().unwrap().to_owned();
    (word("link"), word("binding_code"))
}

/// Opens a link, types a binding code.
fn bind(browser: &Browser, link: &str, code: &str) {
    browser.open(link);
    browser.named("Binding code").type_text(code);
    browser.named("Continue").click();
}

/// The key that the page shows in its picture.
fn scanned(picture: &[u8]) -> (String, Phone) {
    let uri = browser::scan(picture).expect("a QR code in the picture");
    let key = uri.split_once("secret=").expect("a key").1.split('&').next().unwrap().to_owned();
    (uri, Phone::with_key(&key))
}

/// On a telephone and on a desk, by day and by night.
fn is_the_same_everywhere(browser: &Browser, uri: &str) {
    for (width, height, scheme, name) in [
        (390, 844, "dark", "page-app-phone-dark"),
        (1280, 800, "light", "page-app-desk-light"),
        (1280, 800, "dark", "page-app-desk-dark"),
    ] {
        browser.view(width, height, 100);
        browser.prefer(&[("prefers-color-scheme", scheme)]);
        assert_eq!(scanned(&browser.whole_page(name)).0, uri, "{name}");
        let wide = browser.evaluate("document.documentElement.scrollWidth > innerWidth");
        assert_eq!(wide, false, "{name} scrolls sideways");
    }
}

#[test]
fn from_a_mailed_link_to_a_login_in_a_real_browser_without_scripts_by_keyboard() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let (_daemon, _sshd, page) = ready(&world, BY_LINK);
    assert!(root(&["user", "contact", "bob", "--email", "bob@example.com"]).status.success());
    let mut ssh = bob();
    let code = binding_code(&mut ssh);
    let link = link_in(&mail("bob", 1));
    browser::trust(Path::new(AUTHORITY));
    let browser = Browser::start(Scripts::Off);
    browser.view(390, 844, 100);
    browser.open(&link);
    assert_eq!(browser.title(), "Set up your second factor - Example Corp");
    // By keyboard alone, and wrong the first time.
    browser.press(&[key::TAB]);
    assert_eq!(browser.focused().name(), "Binding code");
    browser.type_text("ZZZZ-ZZZZ");
    browser.press(&[key::ENTER]);
    let text = browser.wait_for("You have 4 tries left.");
    assert!(!text.contains("otpauth") && browser.all("svg").is_empty(), "{text}");
    let _seen = browser.whole_page("page-wrong-binding-phone-light");
    browser.named("Binding code").type_text(&code.to_ascii_lowercase());
    browser.press(&[key::ENTER]);
    let text = browser.wait_for("Connect your app");
    assert!(text.contains("Account bob on box") && !browser.url().contains(&code), "{text}");
    // The picture is the key.
    let (uri, phone) = scanned(&browser.whole_page("page-app-phone-light"));
    assert!(uri.starts_with("otpauth://totp/Example%20Corp:bob?secret="), "{uri}");
    is_the_same_everywhere(&browser, &uri);
    browser.named("Cannot scan it?").click();
    let groups: Vec<String> =
        phone.key.as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into()).collect();
    assert!(browser.text().contains(&groups.join(" ")), "{}", browser.text());
    browser.named("Code from the app").type_text("000000");
    browser.named("Confirm").click();
    let _wrong = browser.wait_for("That code was not right.");
    let spent = phone.code(0);
    browser.named("Code from the app").type_text(&spent);
    browser.named("Confirm").click();
    let done = browser.wait_for("Your second factor is set up");
    let _seen = browser.whole_page("page-done-desk-dark");
    let recovery: Vec<&str> =
        done.lines().filter(|line| line.matches('-').count() == 3 && line.len() > 15).collect();
    assert_eq!(recovery.len(), 10, "{done}");
    // The login that waits goes on with the next code; the one that the page took is spent.
    ssh.type_line(&spent);
    ssh.expect("That code was used; wait for the next.");
    ssh.type_line(&phone.code(1));
    assert!(outcome(ssh, "bob").0);
    let mut ssh = bob();
    ssh.answer("Verification code: ", recovery[3]);
    assert!(outcome(ssh, "bob").0, "a recovery code of the page");
    // The link is over, and going back shows no secret.
    browser.open(&link);
    assert!(browser.text().contains(DEAD));
    let cookies = browser.cookies();
    assert!(
        cookies.iter().all(|cookie| cookie["httpOnly"] == true && cookie["secure"] == true),
        "{cookies:?}"
    );
    // Neither log has anything of it.
    let token = path_of(&link).rsplit_once('/').unwrap().1.to_owned();
    for log in [page.log(), world.log()] {
        for secret in [token.as_str(), &code, &phone.key, &spent, recovery[3]] {
            assert!(!log.contains(secret), "{secret} in a log");
        }
    }
    let out = root(&["audit", "--user", "bob", "--json"]);
    let trail = String::from_utf8(out.stdout).unwrap();
    for part in [
        "\"event\":\"binding\"",
        "\"service\":\"web\"",
        "\"actor\":\"twinlock-web\"",
        "\"rhost\":\"127.0.0.1\"",
    ] {
        assert!(trail.contains(part), "{part} in {trail}");
    }
}

#[test]
fn scanners_leave_a_link_alive_and_five_wrong_codes_do_not() {
    let world = World::new();
    let (_daemon, _sshd, page) = ready(&world, "");
    let (link, code) = invite("bob");
    let path = path_of(&link);
    // Twenty scanners: GET, HEAD, prefetch, the form posted as it was served.
    for number in 0..20 {
        let agent = format!("User-Agent: scanner/{number}");
        let (status, form) = page.get(&path, &["-H", &agent, "-c", "/tmp/jar"]);
        assert_eq!((status, form.contains("otpauth")), (200, false));
        assert_eq!(page.curl(&path, &["--head", "-H", &agent]).0, 200);
        assert_eq!(page.get(&path, &["-H", "Sec-Purpose: prefetch", "-H", "Purpose: prefetch"]).0, 200);
        let seal = form.split_once("name=\"seal\" value=\"").unwrap().1.split('"').next().unwrap();
        let origin = format!("Origin: {URL}");
        let posted =
            ["-b", "/tmp/jar", "-H", &origin, "--data-urlencode", &format!("seal={seal}"), "--data", "code="];
        let (status, answer) = page.curl(&path, &posted);
        assert_eq!((status, answer.contains("otpauth")), (422, false), "the form as it was served: {answer}");
    }
    browser::trust(Path::new(AUTHORITY));
    let browser = Browser::start(Scripts::On);
    bind(&browser, &link, &code);
    let _alive = browser.wait_for("Connect your app");
    // Again, as somebody does who closed the window: the same key.
    let (first, _) = scanned(&browser.whole_page("page-first"));
    browser.open("about:blank");
    bind(&browser, &link, &code);
    let _again = browser.wait_for("Connect your app");
    assert_eq!(scanned(&browser.whole_page("page-again")).0, first);
    // What cannot be one costs nothing.
    for strange in ["hello", "AB12-CD3", "123456789"] {
        bind(&browser, &link, strange);
        let _text = browser.wait_for("That cannot be the binding code");
    }
    // Five wrong ones; a right one before gives none back.
    for left in ["4 tries", "3 tries", "2 tries", "one try"] {
        bind(&browser, &link, "ZZZZ-ZZZZ");
        let _text = browser.wait_for(&format!("You have {left} left."));
    }
    bind(&browser, &link, "ZZZZ-ZZZZ");
    let _dead = browser.wait_for(DEAD);
    // Expired, superseded, killed, used and invented: one page.
    let (superseded, _) = invite("bob");
    let (newest, _) = invite("bob");
    let dead = page.get(&path, &[]);
    assert_eq!((dead.0, page.get(&path_of(&superseded), &[])), (410, dead.clone()));
    assert_eq!(page.get("/enroll/invented", &[]), dead);
    assert_eq!(page.get(&path_of(&newest), &[]).0, 200);
    assert!(root(&["user", "reset", "bob"]).status.success());
    assert_eq!(page.get(&path_of(&newest), &[]), dead);
    assert!(
        browser.complaints().iter().all(|said| said.contains("422") || said.contains("410")),
        "nothing else was amiss"
    );
}

#[test]
fn a_form_from_elsewhere_changes_nothing_and_the_key_is_gone_with_a_reset() {
    let world = World::new();
    let (_daemon, _sshd, page) = ready(&world, "");
    let (link, code) = invite("bob");
    let path = path_of(&link);
    let (_, form) = page.get(&path, &["-c", "/tmp/jar"]);
    let seal = form.split_once("name=\"seal\" value=\"").unwrap().1.split('"').next().unwrap();
    let (origin, seal, code) = (format!("Origin: {URL}"), format!("seal={seal}"), format!("code={code}"));
    let good = ["-b", "/tmp/jar", "-H", &origin, "--data-urlencode", &seal, "--data-urlencode", &code];
    let told = || String::from_utf8(root(&["audit", "--event", "binding", "--json"]).stdout).unwrap();
    let (jar, fields) = (["-b", "/tmp/jar"], ["--data-urlencode", &seal, "--data-urlencode", &code]);
    for (wrong, status) in [
        ([&["-H", "Origin: https://evil.example"], &jar[..], &fields].concat(), 403),
        ([&["-H", "Origin: null"], &jar[..], &fields].concat(), 403),
        ([&jar[..], &fields].concat(), 403),
        ([&["-H", &origin][..], &fields].concat(), 403),
        (vec!["-H", &origin, "-b", "/tmp/jar", "--data-urlencode", &code], 403),
        ([&["-H", "Host: evil.example"][..], &good].concat(), 421),
    ] {
        let (got, answer) = page.curl(&path, &wrong);
        assert_eq!((got, answer.contains("otpauth")), (status, false), "{wrong:?}");
    }
    assert_eq!(told(), "", "nobody at the daemon heard of it");
    // The right one, and then an administrator takes it back.
    let (status, shown) = page.curl(&path, &[&good[..], &["-c", "/tmp/jar2"]].concat());
    assert!(status == 200 && shown.contains("otpauth://"), "{shown}");
    let key = shown.split_once("secret=").unwrap().1.split('&').next().unwrap();
    let phone = Phone::with_key(key.split("&#").next().unwrap());
    let seal = shown.split_once("name=\"seal\" value=\"").unwrap().1.split('"').next().unwrap();
    let (seal, right) = (format!("seal={seal}"), format!("code={}", phone.code(0)));
    assert!(root(&["user", "reset", "bob"]).status.success());
    let last = ["-b", "/tmp/jar2", "-H", &origin, "--data-urlencode", &seal, "--data-urlencode", &right];
    assert_eq!(page.curl("/confirm", &last).0, 403, "open the link again: it is dead");
    assert_eq!(page.get(&path, &[]).0, 410);
    let shown = root(&["user", "show", "bob", "--json"]);
    assert!(!String::from_utf8(shown.stdout).unwrap().contains("\"kind\": \"totp\""));
}

#[test]
fn floods_and_slow_requests_are_bounded_and_logins_do_not_notice() {
    let world = World::new();
    let (_daemon, _sshd, page) = ready(&world, "");
    let phone = world.enroll("bob");
    let log_in = |offset| {
        let began = Instant::now();
        let mut ssh = bob();
        ssh.answer("Verification code: ", &phone.code(offset));
        assert!(outcome(ssh, "bob").0);
        began.elapsed()
    };
    let quiet = log_in(0);
    let (link, _) = invite("alice");
    // Connections that say nothing, heads that never end, and as many requests as curl can make.
    let mut silent: Vec<TcpStream> =
        (0..600).filter_map(|_| TcpStream::connect("127.0.0.1:8443").ok()).collect();
    let began = Instant::now();
    let mut slow: Vec<Child> = (3..11).map(|host| half_a_head(&format!("127.0.0.{host}"))).collect();
    let flood = |extra: &str| {
        let command = format!(
            "seq 1 400 | xargs -P 16 -I N curl -s -o /dev/null -w '%{{http_code}}\\n' --max-time 10 --cacert {AUTHORITY} \
             --resolve twofactor.example.test:8443:127.0.0.2 {extra} {link}"
        );
        Command::new("sh").args(["-c", &command]).stdout(Stdio::piped()).spawn().unwrap()
    };
    let (gets, posts) = (flood(""), flood("--data-binary @/usr/bin/bash"));
    let busy = log_in(1);
    assert!(busy < quiet + Duration::from_secs(5), "{busy:?}, and {quiet:?} when nothing else goes on");
    for flood in [gets, posts] {
        let out = flood.wait_with_output().unwrap();
        let codes = String::from_utf8(out.stdout).unwrap();
        assert!(codes.lines().all(|code| ["200", "403", "413", "429", "000"].contains(&code)), "{codes}");
    }
    // Who was silent is sent away, and who never came to an end.
    for stream in &mut silent {
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let said = stream.read(&mut [0; 64]);
        assert!(!said.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "still connected");
    }
    for head in &mut slow {
        wait::until("the end of half a head", 15, || head.try_wait().unwrap());
    }
    assert!(began.elapsed() > Duration::from_secs(9), "they were let try, for ten seconds");
    assert_eq!(page.get(&path_of(&link), &["--interface", "127.0.0.9"]).0, 200);
    let rss = std::fs::read_to_string(format!("/proc/{}/status", page_pid())).unwrap();
    let kilobytes: u64 = rss
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap()
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(kilobytes < 200_000, "{kilobytes} kB at most");
}

/// A client that begins a request, over TLS, and never ends it.
fn half_a_head(from: &str) -> Child {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", "127.0.0.1:8443", "-bind", &format!("{from}:0")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    client
}

fn page_pid() -> String {
    let out = Command::new("pidof").arg("twinlock-web").output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}
