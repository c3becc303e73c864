//! A request, from the gate to its answer: what is refused before anything is done, where it goes, what is logged.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use hyper::body::{Body, Bytes};

use crate::{
    answer::Answer,
    daemon::NoAnswer,
    enrollment,
    forms::{Fields, NoForm},
    guard,
    pages::{self, Frame},
    server::Page,
    site::{Site, Url},
    source::{Arrival, Source},
    texts::Language,
};

/// From the last byte of its head to its answer.
const WHOLE: Duration = Duration::from_secs(20);
/// How long whoever met a limit without a time of its own is told to wait.
const WAIT: Duration = Duration::from_secs(5);

const STYLE: &str = include_str!("../assets/style.css");
const ICON: &str = include_str!("../assets/icon.svg");
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

/// Where a request goes.
#[derive(Clone, Copy)]
enum Route<'a> {
    Enroll(&'a str),
    Confirm,
    Style,
    Icon,
    Logo,
    Robots,
    Unknown,
}

impl<'a> Route<'a> {
    /// `robots.txt` is looked for at the root of a host and nowhere else.
    fn of(url: &Url, path: &'a str) -> Self {
        if path == "/robots.txt" {
            return Self::Robots;
        }
        let Some(path) = path.strip_prefix(url.base.as_str()) else { return Self::Unknown };
        match path {
            "/confirm" => Self::Confirm,
            "/style.css" => Self::Style,
            "/icon.svg" => Self::Icon,
            "/logo" => Self::Logo,
            _ => path.strip_prefix("/enroll/").map_or(Self::Unknown, Self::Enroll),
        }
    }

    /// For the log: never the path itself.
    const fn pattern(self) -> &'static str {
        match self {
            Self::Enroll(_) => "/enroll/:token",
            Self::Confirm => "/confirm",
            Self::Style => "/style.css",
            Self::Icon => "/icon.svg",
            Self::Logo => "/logo",
            Self::Robots => "/robots.txt",
            Self::Unknown => "(none)",
        }
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Enroll(_) => "GET, HEAD, POST",
            Self::Confirm => "POST",
            Self::Style | Self::Icon | Self::Logo | Self::Robots | Self::Unknown => "GET, HEAD",
        }
    }
}

/// Who asks, in which words to answer, and by which rules.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    /// The page as it is.
    pub page: &'a Page,
    /// What is around an answer.
    pub frame: Frame<'a>,
    /// For the daemon: the address of the browser.
    pub source: &'a str,
}

/// Answers a request, within a time, and logs it.
pub async fn answer<B>(page: &Page, arrival: Arrival, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let site = page.site();
    let Some(site) = site.as_deref() else {
        let frame = Frame::new(Language::wanted(&parts.headers, Language::default()), None);
        return unavailable(frame).into_response(arrival.tls);
    };
    let address = arrival.address(&parts.headers, site);
    let encrypted = arrival.is_encrypted(&parts.headers, site);
    let frame = Frame::new(Language::wanted(&parts.headers, site.language), Some(site));
    let route = Route::of(&site.url, parts.uri.path());
    let visit = Visit { page, frame, source: &address.to_string() };
    let answer = match gate(visit, arrival, address.into(), &parts, site, encrypted) {
        Ok(_place) => tokio::time::timeout(WHOLE, dispatch(visit, route, &parts, site, body))
            .await
            .unwrap_or_else(|_| pages::notice(frame, StatusCode::REQUEST_TIMEOUT, &frame.texts().bad)),
        Err(refusal) => *refusal,
    };
    log(&parts.method, route, answer.status, visit.source);
    answer.into_response(encrypted)
}

/// Limits, then TLS, then the name of the host. Holds a place where a proxy brings many browsers on its connections.
fn gate(
    visit: Visit<'_>,
    arrival: Arrival,
    source: Source,
    parts: &Parts,
    site: &Site,
    encrypted: bool,
) -> Result<Option<crate::connections::Place>, Box<Answer>> {
    let Visit { page, frame, .. } = visit;
    let busy = |wait: Duration| Box::new(pages::busy(frame, wait.as_secs() + 1));
    page.rate.take(source, Instant::now()).map_err(busy)?;
    let proxied = site.is_proxy(arrival.peer);
    let place = if proxied { Some(page.places.take(source).ok_or_else(|| busy(WAIT))?) } else { None };
    let texts = frame.texts();
    if !encrypted {
        return Err(Box::new(pages::notice(frame, StatusCode::FORBIDDEN, &texts.insecure)));
    }
    if !is_ours(parts, &site.url) {
        return Err(Box::new(pages::notice(frame, StatusCode::MISDIRECTED_REQUEST, &texts.foreign)));
    }
    Ok(place)
}

/// `Host` must be there once and name this page, and so must an absolute request line (RFC 9112 section 3.2.2).
fn is_ours(parts: &Parts, url: &Url) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    hosts.next().is_none()
        && host.is_some_and(|host| url.is_at(host))
        && parts.uri.authority().is_none_or(|authority| url.is_at(authority.as_str()))
}

async fn dispatch<B>(visit: Visit<'_>, route: Route<'_>, parts: &Parts, site: &Site, body: B) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Visit { frame, .. } = visit;
    let read = parts.method == Method::GET || parts.method == Method::HEAD;
    let posted = parts.method == Method::POST;
    match route {
        Route::Enroll(token) if read => enrollment::show_form(visit, token, &parts.headers).await,
        Route::Enroll(token) if posted => match posted_fields(visit, site, &parts.headers, body).await {
            Ok(fields) => enrollment::prove(visit, token, &parts.headers, &fields).await,
            Err(refusal) => *refusal,
        },
        Route::Confirm if posted => match posted_fields(visit, site, &parts.headers, body).await {
            Ok(fields) => enrollment::confirm(visit, &parts.headers, &fields).await,
            Err(refusal) => *refusal,
        },
        Route::Style if read => file("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes())),
        Route::Icon if read => file("image/svg+xml", Bytes::from_static(ICON.as_bytes())),
        Route::Robots if read => file("text/plain; charset=utf-8", Bytes::from_static(ROBOTS.as_bytes())),
        Route::Logo if read && site.logo.is_some() => {
            let (kind, picture) = site.logo.clone().unwrap_or_default();
            file(kind, Bytes::from(picture))
        }
        Route::Unknown | Route::Logo if read => {
            pages::notice(frame, StatusCode::NOT_FOUND, &frame.texts().not_found)
        }
        Route::Enroll(_)
        | Route::Confirm
        | Route::Style
        | Route::Icon
        | Route::Logo
        | Route::Robots
        | Route::Unknown => pages::notice(frame, StatusCode::METHOD_NOT_ALLOWED, &frame.texts().method)
            .with_allow(route.methods()),
    }
}

/// The fields, if a page of ours sent them.
async fn posted_fields<B>(
    visit: Visit<'_>,
    site: &Site,
    headers: &HeaderMap,
    body: B,
) -> Result<Fields, Box<Answer>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Visit { frame, .. } = visit;
    if !guard::is_same_origin(headers, &site.url.origin()) {
        return Err(Box::new(refused(frame)));
    }
    Fields::read(headers, body).await.map_err(|why| {
        let status = match why {
            NoForm::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            NoForm::Nonsense => StatusCode::BAD_REQUEST,
        };
        Box::new(pages::notice(frame, status, &frame.texts().bad))
    })
}

fn file(kind: &'static str, body: Bytes) -> Answer {
    Answer::file(StatusCode::OK, kind, body)
}

/// A form that did not come from our page. Nothing was done.
pub fn refused(frame: Frame<'_>) -> Answer {
    pages::notice(frame, StatusCode::FORBIDDEN, &frame.texts().refused)
}

/// The daemon gave no answer.
pub fn no_answer(frame: Frame<'_>, why: NoAnswer) -> Answer {
    match why {
        NoAnswer::Unavailable => unavailable(frame),
        NoAnswer::TooMuch => pages::busy(frame, WAIT.as_secs()),
    }
}

fn unavailable(frame: Frame<'_>) -> Answer {
    pages::notice(frame, StatusCode::SERVICE_UNAVAILABLE, &frame.texts().unavailable)
}

/// Whoever floods the page shall not flood the log.
fn log(method: &Method, route: Route<'_>, status: StatusCode, source: &str) {
    // A method can be any word.
    let method = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    };
    let (route, status) = (route.pattern(), status.as_u16());
    if status == StatusCode::TOO_MANY_REQUESTS {
        tracing::debug!(method, route, status, source, "request");
    } else {
        tracing::info!(method, route, status, source, "request");
    }
}
