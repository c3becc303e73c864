//! Who may post a form: a browser that got that form from this page. It has a cookie, the form has what the cookie is worth
//! under a key of this process, and the browser says that the form is of this origin. What is refused here reaches nobody.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, header};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

/// `__Host-`: the browser takes it from this very host only, over TLS, for all paths.
const BROWSER: &str = "__Host-twinlock";
/// Beside the other one: who opens a link again in another tab does not lose what was proven in this.
const SESSION: &str = "__Host-twinlock-session";
/// How it is kept: by no script, for no other site.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";
/// Of a cookie that stands for nothing yet.
const RANDOM: usize = 32;
/// A longer one is none of ours.
const LONGEST: usize = 1024;

/// Makes and checks what forms carry. Its key lives as long as the process: a form from before is refused, and its link stays good.
pub struct Guard {
    key: hmac::Key,
    random: SystemRandom,
}

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy)]
pub struct NoRandomness;

/// A form, and what it is good for: one of one page is nothing worth on another.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// The binding code, for the link with this token.
    Binding(&'a str),
    /// A code of the app.
    Code,
}

/// A cookie's value. No `Debug`: it may stand for a proven link.
#[derive(PartialEq, Eq)]
pub struct Cookie(String);

impl Guard {
    /// With a new key.
    pub fn new() -> Result<Self, NoRandomness> {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| NoRandomness)?;
        Ok(Self { key, random })
    }

    /// A cookie that stands for nothing but this browser.
    pub fn fresh(&self) -> Result<Cookie, NoRandomness> {
        let mut bytes = [0; RANDOM];
        self.random.fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Cookie(format!("f.{}", BASE64URL_NOPAD.encode(&bytes))))
    }

    /// What a form carries beside the cookie.
    pub fn seal(&self, form: Form<'_>, cookie: &Cookie) -> String {
        BASE64URL_NOPAD.encode(hmac::sign(&self.key, &message(form, cookie)).as_ref())
    }

    /// Whether `seal` is that of the form and the cookie, compared in constant time.
    pub fn is_sealed(&self, form: Form<'_>, cookie: &Cookie, seal: &str) -> bool {
        let Ok(seal) = BASE64URL_NOPAD.decode(seal.as_bytes()) else { return false };
        hmac::verify(&self.key, &message(form, cookie), &seal).is_ok()
    }
}

/// The cookie is last and the token has its length before it: no two forms make one message.
fn message(form: Form<'_>, cookie: &Cookie) -> Vec<u8> {
    let (kind, token) = match form {
        Form::Binding(token) => ("binding", token),
        Form::Code => ("code", ""),
    };
    format!("{kind} {} {token} {}", token.len(), cookie.0).into_bytes()
}

impl Cookie {
    /// One that stands for what was proven to the daemon.
    pub fn of_session(session: &str) -> Self {
        Self(format!("s.{}", BASE64URL_NOPAD.encode(session.as_bytes())))
    }

    /// The daemon's session that it stands for.
    pub fn session(&self) -> Option<String> {
        let bytes = BASE64URL_NOPAD.decode(self.0.strip_prefix("s.")?.as_bytes()).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// The one that stands for the browser, if it has just one.
    pub fn of_browser(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers, BROWSER).filter(|cookie| cookie.0.starts_with("f."))
    }

    /// The one that stands for what was proven, if there is just one.
    pub fn of_proof(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers, SESSION).filter(|cookie| cookie.0.starts_with("s."))
    }

    fn read(headers: &HeaderMap, wanted: &str) -> Option<Self> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut ours = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value);
        let value = ours.next().filter(|value| value.len() <= LONGEST)?;
        ours.next().is_none().then(|| Self(value.to_owned()))
    }

    /// `Set-Cookie`. It ends with the browser.
    pub fn set(&self) -> String {
        let name = if self.0.starts_with("s.") { SESSION } else { BROWSER };
        format!("{name}={}; {ATTRIBUTES}", self.0)
    }

    /// `Set-Cookie` that takes away what stands for a proof.
    pub fn clear() -> String {
        format!("{SESSION}=; {ATTRIBUTES}; Max-Age=0")
    }
}

/// Whether the browser says that the request comes from a page of `origin`. One that says nothing is not believed, and one
/// that says two things is not either. `Origin: null` is what a sandboxed frame says.
pub fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let (said, site) = (origins.next(), sites.next());
    if origins.next().is_some() || sites.next().is_some() || site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match said {
        Some(said) => said == origin,
        None => site.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_one_form_one_cookie_and_one_key() {
        let guard = Guard::new().unwrap();
        let (mine, other) = (guard.fresh().unwrap(), guard.fresh().unwrap());
        let seal = guard.seal(Form::Binding("abc"), &mine);
        assert!(guard.is_sealed(Form::Binding("abc"), &mine, &seal));
        assert!(!guard.is_sealed(Form::Binding("abd"), &mine, &seal));
        assert!(!guard.is_sealed(Form::Code, &mine, &seal));
        assert!(!guard.is_sealed(Form::Binding("abc"), &other, &seal));
        assert!(!Guard::new().unwrap().is_sealed(Form::Binding("abc"), &mine, &seal), "another process");
        for nonsense in ["", "AAAA", "=", "\u{e9}"] {
            assert!(!guard.is_sealed(Form::Binding("abc"), &mine, nonsense));
        }
    }

    #[test]
    fn a_session_survives_its_cookie_whatever_it_is_made_of() {
        for session in ["abc", "a;b=\"c\" \u{e9}", ""] {
            let cookie = Cookie::of_session(session);
            assert!(cookie.0.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            assert_eq!(cookie.session().as_deref(), Some(session));
        }
        assert_eq!(Guard::new().unwrap().fresh().unwrap().session(), None);
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn one_cookie_of_ours_is_read_and_two_are_not() {
        let read =
            |lines: &[(&'static str, &str)]| Cookie::of_browser(&headers(lines)).map(|cookie| cookie.0);
        assert_eq!(read(&[("cookie", "a=b; __Host-twinlock=f.x; c=d")]).as_deref(), Some("f.x"));
        assert_eq!(read(&[("cookie", "a=b"), ("cookie", "__Host-twinlock=f.x")]).as_deref(), Some("f.x"));
        assert_eq!(read(&[("cookie", "__Host-twinlock=f.x; __Host-twinlock=f.y")]), None);
        assert_eq!(read(&[("cookie", "__host-twinlock=f.x; twinlock=f.y; __Host-twinlock")]), None);
        assert_eq!(read(&[("cookie", "__Host-twinlock=s.x; __Host-twinlock-session=f.x")]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn only_a_page_of_this_origin_posts() {
        let same =
            |lines: &[(&'static str, &str)]| is_same_origin(&headers(lines), "https://mfa.example.com");
        assert!(same(&[("origin", "https://mfa.example.com")]));
        assert!(same(&[("origin", "https://mfa.example.com"), ("sec-fetch-site", "same-origin")]));
        assert!(same(&[("sec-fetch-site", "same-origin")]));
        for other in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://evil.example")],
            &[("origin", "https://mfa.example.com.evil.example")],
            &[("origin", "http://mfa.example.com")],
            &[("origin", "https://mfa.example.com:8443")],
            &[("origin", "https://mfa.example.com"), ("origin", "https://mfa.example.com")],
            &[("origin", "https://mfa.example.com"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!same(other), "{other:?}");
        }
    }
}
