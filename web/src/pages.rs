//! The pages, made of the templates in `web/templates`. What is put into them is escaped by askama.

use askama::Template;
use http::StatusCode;
use twinlock_proto::v1::{AppEnrolled, Offer};

use crate::{
    answer::Answer,
    qr::{self, Qr},
    site::Site,
    texts::{Language, Notice, Texts, fill},
};

/// What is shown where nothing is known of the issuer.
const NAMELESS: &str = "Twinlock";

/// What stands around every page.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    language: Language,
    texts: &'static Texts,
    site: Option<&'a Site>,
}

impl<'a> Frame<'a> {
    /// In that language; `site` is missing as long as nothing is known of it.
    pub fn new(language: Language, site: Option<&'a Site>) -> Self {
        Self { language, texts: language.texts(), site }
    }

    /// What is said in the page's language.
    pub fn texts(&self) -> &'static Texts {
        self.texts
    }

    fn lang(&self) -> &'static str {
        self.language.name()
    }

    fn issuer(&self) -> &'a str {
        self.site.map(|site| site.issuer.as_str()).filter(|issuer| !issuer.is_empty()).unwrap_or(NAMELESS)
    }

    fn host(&self) -> &'a str {
        self.site.map_or("", |site| site.host.as_str())
    }

    fn base(&self) -> &'a str {
        self.site.map_or("", |site| site.url.base.as_str())
    }

    fn has_logo(&self) -> bool {
        self.site.is_some_and(|site| site.logo.is_some())
    }

    fn on_host(&self, text: &str) -> String {
        fill(text, &[("host", self.host())])
    }

    fn step(&self, number: &str) -> String {
        fill(&self.texts.step, &[("number", number), ("total", "2")])
    }
}

/// What happened, and what to do.
pub fn notice(frame: Frame<'_>, status: StatusCode, notice: &Notice) -> Answer {
    let page = NoticePage { frame, title: &notice.title, text: &notice.text, next: &notice.next };
    rendered(status, &page)
}

/// Too much was asked.
pub fn busy(frame: Frame<'_>, seconds: u64) -> Answer {
    let Notice { title, text, next } = &frame.texts.busy;
    let text = fill(text, &[("seconds", &seconds.to_string())]);
    let page = NoticePage { frame, title, text: &text, next };
    rendered(StatusCode::TOO_MANY_REQUESTS, &page).with_retry_after(seconds)
}

/// What was wrong with the binding code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingFault {
    /// Nothing was typed.
    Empty,
    /// It cannot be one.
    Malformed,
    /// It is another one.
    Wrong {
        /// Before the link is dead.
        tries_left: u32,
    },
}

/// The form that asks for the binding code.
pub fn form(frame: Frame<'_>, seal: &str, fault: Option<BindingFault>) -> Answer {
    let texts = &frame.texts.form;
    let error = fault.map(|fault| match fault {
        BindingFault::Empty => texts.empty.clone(),
        BindingFault::Malformed => texts.malformed.clone(),
        BindingFault::Wrong { tries_left: 1 } => texts.wrong_one.clone(),
        BindingFault::Wrong { tries_left } => fill(&texts.wrong_many, &[("tries", &tries_left.to_string())]),
    });
    let wrong = matches!(fault, Some(BindingFault::Wrong { .. }));
    let title = if wrong { &texts.wrong_title } else { &texts.title };
    let page = FormPage { frame, title, seal, error };
    rendered(status(fault.is_some()), &page)
}

/// The page with the key; `wrong`: it was shown before, and the app's code is not right.
pub fn app(frame: Frame<'_>, seal: &str, offer: &Offer, user: &str, wrong: bool) -> Answer {
    let texts = &frame.texts.app;
    let error = wrong.then_some(texts.wrong.as_str());
    let page = AppPage {
        frame,
        title: if wrong { &texts.wrong_title } else { &texts.title },
        seal,
        error,
        account: fill(&frame.texts.account, &[("user", user), ("host", frame.host())]),
        qr: qr::draw(&offer.uri),
        key: groups(&offer.secret),
        // A link that a browser follows is nothing but what an app is to open.
        link: Some(offer.uri.as_str()).filter(|uri| uri.starts_with("otpauth://")),
    };
    rendered(status(wrong), &page)
}

/// The end.
pub fn done(frame: Frame<'_>, enrolled: &AppEnrolled) -> Answer {
    let texts = &frame.texts.done;
    let label = Some(&enrolled.label).filter(|label| !label.is_empty());
    let page = DonePage {
        frame,
        title: &texts.title,
        listed: label.map(|label| fill(&texts.listed, &[("label", label)])),
        codes: enrolled.recovery.as_ref().map(|recovery| recovery.codes.as_slice()).unwrap_or_default(),
    };
    rendered(StatusCode::OK, &page)
}

/// A form that is shown again says so to programs too.
fn status(again: bool) -> StatusCode {
    if again { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

fn rendered(status: StatusCode, page: &impl Template) -> Answer {
    page.render().map_or_else(
        |error| {
            tracing::error!(%error, "a page could not be made");
            Answer::page(StatusCode::INTERNAL_SERVER_ERROR, String::new())
        },
        |html| Answer::page(status, html),
    )
}

/// `ABCD EFGH ...`
fn groups(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().filter(char::is_ascii_alphanumeric).collect();
    characters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    frame: Frame<'a>,
    title: &'a str,
    text: &'a str,
    next: &'a str,
}

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage<'a> {
    frame: Frame<'a>,
    title: &'a str,
    seal: &'a str,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "app.html")]
struct AppPage<'a> {
    frame: Frame<'a>,
    title: &'a str,
    seal: &'a str,
    error: Option<&'a str>,
    account: String,
    qr: Option<Qr>,
    key: String,
    link: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "done.html")]
struct DonePage<'a> {
    frame: Frame<'a>,
    title: &'a str,
    listed: Option<String>,
    codes: &'a [String],
}
