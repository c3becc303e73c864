//! A real browser: Chromium without a window, as somebody with no rights, driven by its own WebDriver. Each has a new
//! profile, and every host name leads it to this machine. What is in a page has the name that a screen reader says.

mod driver;
mod element;

use std::{fs, path::Path};

use serde_json::{Value, json};

use self::driver::Driver;
pub use self::element::Element;
use crate::{screen, wait, world};

/// Keys that are no characters, for [`Browser::press`].
pub mod key {
    /// To the next link, button or field.
    pub const TAB: char = '\u{e004}';
    /// Sends a form, follows a link.
    pub const ENTER: char = '\u{e007}';
    /// Held while the next key is pressed.
    pub const SHIFT: char = '\u{e008}';
}

/// Whether pages may run scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scripts {
    /// As most people have it.
    On,
    /// Forbidden in the browser's settings.
    Off,
}

/// A browser with one window, until dropped.
pub struct Browser {
    driver: Driver,
}

const TRUST: &str = "/browser/etc/chromium/policies/managed/trust.json";
/// What can be reached with the Tab key.
const REACHABLE: &str = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";

/// Makes every browser that is started from now on trust what this certificate (PEM) has signed. Nothing else of its
/// checks is switched off.
pub fn trust(certificate: &Path) {
    let pem = fs::read_to_string(certificate).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    world::sh("chroot /browser mkdir -p /etc/chromium/policies/managed");
    fs::write(TRUST, json!({ "CACertificates": [der] }).to_string()).unwrap();
}

impl Browser {
    /// Starts one.
    #[must_use]
    pub fn start(scripts: Scripts) -> Self {
        let browser = Self { driver: Driver::start(scripts) };
        browser.view(1280, 800, 100);
        browser
    }

    /// Gives the page this much room, in pixels of the screen, and enlarges it. What is narrower than 600 is a
    /// telephone: it takes the page for a wide one unless told otherwise (`<meta name=viewport>`).
    pub fn view(&self, width: u32, height: u32, percent: u32) {
        let metrics = json!({
            "width": width * 100 / percent, "height": height * 100 / percent,
            "deviceScaleFactor": f64::from(percent) / 100.0, "mobile": width < 600,
        });
        self.driver.develop("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Makes text without a size of its own this large (16 is usual), as people do in the settings.
    pub fn text_size(&self, pixels: u32) {
        self.driver
            .develop("Page.setFontSizes", &json!({"fontSizes": {"standard": pixels, "fixed": pixels}}));
    }

    /// What the person prefers, in CSS's words: `("prefers-color-scheme", "dark")`. It replaces earlier ones.
    pub fn prefer(&self, preferences: &[(&str, &str)]) {
        let features: Vec<Value> =
            preferences.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.driver.develop("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Opens a page and waits until it is there.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.try_open(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// The same; why not, if the browser refuses: then it shows a page of its own.
    pub fn try_open(&self, url: &str) -> Result<(), String> {
        self.driver.try_post("/url", &json!({ "url": url }))?;
        let shown = self.evaluate("document.URL");
        if text(&shown).starts_with("chrome-error:") { Err(self.text()) } else { Ok(()) }
    }

    /// The address of the page.
    #[must_use]
    #[track_caller]
    pub fn url(&self) -> String {
        text(&self.driver.get("/url"))
    }

    /// The title of the page.
    #[must_use]
    #[track_caller]
    pub fn title(&self) -> String {
        text(&self.driver.get("/title"))
    }

    /// What can be read in the page, without what is hidden.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        self.wait_for("")
    }

    /// Waits until the page says something, then gives all its text.
    #[must_use]
    #[track_caller]
    pub fn wait_for(&self, said: &str) -> String {
        wait::until(&format!("{said:?} in the page"), 20, || {
            // A page may go away while it is read.
            let body = self.try_find("body").ok()?.into_iter().next()?;
            let shown = self.driver.try_get(&format!("{}/text", body.path)).ok()?;
            Some(text(&shown)).filter(|shown| shown.contains(said))
        })
    }

    /// The cookies that this page may see, with their attributes (`httpOnly`, `secure`, `sameSite`, ...).
    #[must_use]
    #[track_caller]
    pub fn cookies(&self) -> Vec<Value> {
        self.driver.get("/cookie").as_array().unwrap().clone()
    }

    /// What the browser complained about since the last time: blocked by a policy, not found, deprecated.
    #[must_use]
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.driver.post("/se/log", &json!({"type": "browser"}));
        log.as_array().unwrap().iter().map(|entry| text(&entry["message"])).collect()
    }

    /// The value of an expression of JavaScript's, also where pages may run no scripts.
    #[must_use]
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.driver.post("/execute/sync", &json!({"script": format!("return {expression}"), "args": []}))
    }

    /// What a CSS selector finds; one thing, no more.
    #[must_use]
    #[track_caller]
    pub fn find(&self, selector: &str) -> Element<'_> {
        let mut found = self.all(selector);
        assert!(found.len() == 1, "{} of {selector} in {}", found.len(), self.url());
        found.remove(0)
    }

    /// All that a CSS selector finds.
    #[must_use]
    #[track_caller]
    pub fn all(&self, selector: &str) -> Vec<Element<'_>> {
        self.try_find(selector).unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    fn try_find(&self, selector: &str) -> Result<Vec<Element<'_>>, String> {
        let by = json!({"using": "css selector", "value": selector});
        let found = self.driver.try_post("/elements", &by)?;
        Ok(found.as_array().unwrap().iter().map(|reference| self.element(reference)).collect())
    }

    fn element(&self, reference: &Value) -> Element<'_> {
        let id = reference.as_object().unwrap().values().next().unwrap();
        Element { browser: self, path: format!("/element/{}", text(id)) }
    }

    /// The link, button or field of this name (its label, or its text); one, no more.
    #[must_use]
    #[track_caller]
    pub fn named(&self, name: &str) -> Element<'_> {
        let there: Vec<(String, Element)> =
            self.all(REACHABLE).into_iter().map(|element| (element.name(), element)).collect();
        let names: Vec<String> = there.iter().map(|(name, _)| name.clone()).collect();
        let mut found = there.into_iter().filter(|(its, _)| its == name);
        let first = found.next();
        assert!(first.is_some() && found.next().is_none(), "not one {name:?} among {names:?}");
        first.unwrap().1
    }

    /// Where the keyboard is.
    #[must_use]
    #[track_caller]
    pub fn focused(&self) -> Element<'_> {
        self.element(&self.driver.get("/element/active"))
    }

    /// Presses keys together, as in `[SHIFT, TAB]`.
    #[track_caller]
    pub fn press(&self, together: &[char]) {
        let down = together.iter().map(|key| json!({"type": "keyDown", "value": key}));
        let up = together.iter().rev().map(|key| json!({"type": "keyUp", "value": key}));
        let actions: Vec<Value> = down.chain(up).collect();
        self.driver
            .post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    /// Types a text, wherever the keyboard is.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        text.chars().for_each(|character| self.press(&[character]));
    }

    /// What is seen of the page, as a PNG. It stays as `NAME.png` in the folder of `TWINLOCK_KEEP`, if there is one.
    #[must_use]
    #[track_caller]
    pub fn screenshot(&self, name: &str) -> Vec<u8> {
        self.picture(name, &json!({}))
    }

    /// The same of the whole page, also of what one would have to scroll to.
    #[must_use]
    #[track_caller]
    pub fn whole_page(&self, name: &str) -> Vec<u8> {
        self.picture(name, &json!({"captureBeyondViewport": true}))
    }

    #[track_caller]
    fn picture(&self, name: &str, how: &Value) -> Vec<u8> {
        let taken = self.driver.develop("Page.captureScreenshot", how);
        let png = data_encoding::BASE64.decode(text(&taken["data"]).as_bytes()).unwrap();
        if Path::new("/keep").exists() {
            fs::write(format!("/keep/{name}.png"), &png).unwrap();
        }
        png
    }
}

/// What a QR code in a screenshot says.
#[must_use]
pub fn scan(png: &[u8]) -> Option<String> {
    fs::write("/tmp/browser.png", png).expect("room for a picture");
    screen::read_picture("/tmp/browser.png")
}

/// The width and height of a PNG.
#[must_use]
pub fn dimensions(png: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
