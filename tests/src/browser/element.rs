//! What is in a page: links, buttons, fields, text.

use serde_json::{Value, json};

use super::{Browser, text};

/// Something in a page, as long as the page is shown.
pub struct Element<'a> {
    pub(super) browser: &'a Browser,
    /// Below the session.
    pub(super) path: String,
}

impl Element<'_> {
    /// Its accessible name: the label of a field, the text of a button.
    #[must_use]
    #[track_caller]
    pub fn name(&self) -> String {
        text(&self.get("computedlabel")).trim().to_owned()
    }

    /// What it is for a screen reader: `textbox`, `button`, `link`, `alert`, ...
    #[must_use]
    #[track_caller]
    pub fn role(&self) -> String {
        text(&self.get("computedrole"))
    }

    /// What can be read in it.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        text(&self.get("text"))
    }

    /// What stands in a field now.
    #[must_use]
    #[track_caller]
    pub fn value(&self) -> String {
        text(&self.get("property/value"))
    }

    /// An attribute, if it has it.
    #[must_use]
    #[track_caller]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.get(&format!("attribute/{name}")).as_str().map(str::to_owned)
    }

    /// A property of its style, as computed.
    #[must_use]
    #[track_caller]
    pub fn style(&self, property: &str) -> String {
        text(&self.get(&format!("css/{property}")))
    }

    /// Its width and height.
    #[must_use]
    #[track_caller]
    pub fn size(&self) -> (f64, f64) {
        let rectangle = self.get("rect");
        (rectangle["width"].as_f64().unwrap(), rectangle["height"].as_f64().unwrap())
    }

    /// Scrolls to it and clicks it; if that leads to another page, waits for it.
    #[track_caller]
    pub fn click(&self) {
        self.post("click", &json!({}));
    }

    /// Types into it, after what is there.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        self.post("value", &json!({ "text": text }));
    }

    #[track_caller]
    fn get(&self, what: &str) -> Value {
        self.browser.driver.get(&format!("{}/{what}", self.path))
    }

    #[track_caller]
    fn post(&self, what: &str, body: &Value) {
        self.browser.driver.post(&format!("{}/{what}", self.path), body);
    }
}
