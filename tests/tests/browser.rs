//! What the tests of a page rely on: the browser is a real one, and does what a person would.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use qrcode::{Color, QrCode};
use twinlock_tests::{
    browser::{self, Browser, Scripts, dimensions, key},
    page, wait,
    world::sh,
};

const PAGE: &str = "https://twofactor.example.test:8443/page.html";
const SECRET: &str = "otpauth://totp/example.test:alice?secret=GEZDGNBVGY3TQOJQ&issuer=example.test";
const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title>\
    <meta name=viewport content='width=device-width'><style>body{background:#fff;color:#000}\
    @media(prefers-color-scheme:dark){body{background:#111;color:#eee}}</style>";

/// A tiny web server on port 8443, with a certificate of an authority that the browser trusts.
struct Server(Child);

impl Server {
    fn start(body: &str) -> Self {
        page::certify("/tmp/site");
        fs::write("/tmp/site/page.html", format!("{HEAD}{body}")).unwrap();
        browser::trust(Path::new("/tmp/site/ca.pem"));
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", "8443", "-cert", "cert.pem", "-key", "key.pem", "-WWW"])
            .current_dir("/tmp/site")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let listens = || fs::read_to_string("/proc/net/tcp6").ok().filter(|open| open.contains(":20FB "));
        wait::until("the server", 10, listens);
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_form_is_filled_and_sent_by_keyboard_alone() {
    let _server = Server::start(
        "<h1>Set up</h1><a href=elsewhere.html>Help</a><form action=sent.html><label>Code <input name=code></label>\
         <input type=hidden name=kind value=totp><button>Continue</button></form>",
    );
    fs::write("/tmp/site/sent.html?code=123456&kind=totp", "Thank you").unwrap();
    let browser = Browser::start(Scripts::Off);
    browser.open(PAGE);
    let reached: Vec<String> = (0..3)
        .map(|_| {
            browser.press(&[key::TAB]);
            let focused = browser.focused();
            format!("{} {}", focused.role(), focused.name())
        })
        .collect();
    assert_eq!(reached, ["link Help", "textbox Code", "button Continue"]);
    browser.press(&[key::SHIFT, key::TAB]);
    browser.type_text("123456");
    assert_eq!(browser.named("Code").value(), "123456");
    browser.press(&[key::ENTER]);
    assert_eq!(browser.wait_for("Thank you"), "Thank you");
    assert_eq!(browser.url(), PAGE.replace("page.html", "sent.html?code=123456&kind=totp"));
    // The same by hand.
    browser.open(PAGE);
    browser.named("Code").type_text("123456");
    browser.named("Continue").click();
    assert_eq!(browser.wait_for("Thank you"), "Thank you");
}

#[test]
fn a_certificate_is_believed_only_if_it_is_trusted_and_names_the_host() {
    let server = Server::start("<p>Good</p>");
    let browser = Browser::start(Scripts::On);
    browser.open(PAGE);
    assert_eq!((browser.title().as_str(), browser.text().as_str()), ("A page", "Good"));
    let refused = browser.try_open(&PAGE.replace("twofactor", "onefactor")).unwrap_err();
    assert!(refused.contains("ERR_CERT_COMMON_NAME_INVALID"), "{refused}");
    drop(browser);
    drop(server);
    let _server = Server::start("<p>Good</p>");
    sh("rm /browser/etc/chromium/policies/managed/trust.json");
    let refused = Browser::start(Scripts::On).try_open(PAGE).unwrap_err();
    assert!(refused.contains("ERR_CERT_AUTHORITY_INVALID"), "{refused}");
}

#[test]
fn scripts_run_only_where_they_may() {
    let _server = Server::start("<p>Text</p><script>document.body.append('and a script')</script>");
    let browser = Browser::start(Scripts::On);
    browser.open(PAGE);
    assert!(browser.text().contains("and a script"));
    drop(browser);
    let browser = Browser::start(Scripts::Off);
    browser.open(PAGE);
    assert_eq!(browser.text(), "Text");
    assert_eq!(browser.evaluate("1 + 1"), 2);
}

#[test]
fn cookies_and_what_the_browser_complains_about_are_told() {
    let _server = Server::start(
        "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\"><img src=https://elsewhere.example.test/>\
         <script>document.cookie = 'name=value; Secure; SameSite=Strict'</script>",
    );
    let browser = Browser::start(Scripts::On);
    browser.open(PAGE);
    let cookies = browser.cookies();
    assert!(
        cookies.len() == 1 && cookies[0]["secure"] == true && cookies[0]["httpOnly"] == false,
        "{cookies:?}"
    );
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|complaint| complaint.contains("img-src 'none'")), "{complaints:?}");
}

#[test]
fn a_page_is_seen_in_each_size_colour_and_enlargement_and_its_qr_code_can_be_scanned() {
    let code = QrCode::new(SECRET).unwrap();
    let modules: String = (0..code.width() * code.width())
        .map(|at| (at % code.width(), at / code.width()))
        .filter(|at| code[*at] == Color::Dark)
        .map(|(x, y)| format!("M{x} {y}h1v1h-1z"))
        .collect();
    let side = code.width() + 8;
    let _server = Server::start(&format!(
        "<h1>Scan this</h1><svg role=img aria-label=QR style='background:#fff' width=300 viewBox='-4 -4 {side} {side}'>\
         <path d='{modules}'/></svg><p style='margin-top:1000px'>The end</p>"
    ));
    let browser = Browser::start(Scripts::Off);
    browser.open(PAGE);
    let desk = browser.screenshot("desk");
    assert_eq!(dimensions(&desk), (1280, 800));
    browser.view(390, 844, 100);
    let light = browser.screenshot("telephone");
    assert_eq!((dimensions(&light), browser.evaluate("innerWidth").as_u64()), ((390, 844), Some(390)));
    browser.prefer(&[("prefers-color-scheme", "dark")]);
    let dark = browser.screenshot("telephone-dark");
    assert_eq!(browser.find("body").style("background-color"), "rgba(17, 17, 17, 1)");
    assert_ne!(light, dark);
    for picture in [&desk, &light, &dark] {
        assert_eq!(browser::scan(picture).as_deref(), Some(SECRET));
    }
    let (_, height) = dimensions(&browser.whole_page("whole"));
    assert!(height > 1300, "{height}");
    browser.view(1280, 800, 200);
    assert_eq!(
        (dimensions(&browser.screenshot("enlarged")), browser.evaluate("innerWidth").as_u64()),
        ((1280, 800), Some(640))
    );
    let (_, small) = browser.find("p").size();
    browser.text_size(32);
    let (_, large) = browser.find("p").size();
    assert!(large > 1.5 * small, "{small} {large}");
}
