//! An answer to a browser, before it is HTTP.

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;

use crate::headers;

/// What a browser gets.
pub struct Answer {
    /// How it went.
    pub status: StatusCode,
    kind: &'static str,
    body: Bytes,
    cookie: Option<String>,
    allow: Option<&'static str>,
    retry_after: Option<u64>,
}

impl Answer {
    /// A page.
    pub fn page(status: StatusCode, html: String) -> Self {
        Self::file(status, "text/html; charset=utf-8", Bytes::from(html))
    }

    /// Anything else.
    pub fn file(status: StatusCode, kind: &'static str, body: Bytes) -> Self {
        Self { status, kind, body, cookie: None, allow: None, retry_after: None }
    }

    /// With a cookie to set.
    pub fn with_cookie(self, cookie: String) -> Self {
        Self { cookie: Some(cookie), ..self }
    }

    /// With the methods that there are.
    pub fn with_allow(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// With the time to wait, in seconds.
    pub fn with_retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// As HTTP. `encrypted`: the browser sees `https`.
    pub fn into_response(self, encrypted: bool) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers::set(headers, encrypted);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        if let Some(cookie) = self.cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
            headers.insert(header::SET_COOKIE, cookie);
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
