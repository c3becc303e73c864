//! What the daemon's configuration says of the page, understood and checked.

use std::{fmt, net::IpAddr, path::PathBuf};

use http::{Uri, uri::Authority};
use ipnet::IpNet;
use twinlock_proto::v1::Settings;

use crate::texts::Language;

/// The page as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where links lead.
    pub url: Url,
    /// Address and port to listen on; not looked at where systemd passes a socket.
    pub listen: String,
    /// Certificate and key, where the page has its own.
    pub pair: Option<(PathBuf, PathBuf)>,
    /// Networks of the reverse proxies that are believed.
    pub proxies: Vec<IpNet>,
    /// What authenticator apps show.
    pub issuer: String,
    /// The name of the host.
    pub host: String,
    /// Where the browser wants no language that there is.
    pub language: Language,
    /// A picture, and its media type.
    pub logo: Option<(&'static str, Vec<u8>)>,
}

/// Why there can be no page: each says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// No page is wanted.
    NoUrl,
    /// `url` is none that links can lead to.
    Url(String),
    /// One of certificate and key.
    HalfPair,
    /// Plain HTTP to everybody.
    NoTls,
    /// A network that is none.
    Proxy(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUrl => f.write_str("[web] url is not set: set it to where links are to lead, and reload twinlockd"),
            Self::Url(url) => write!(f, "[web] url is {url:?}: it must be https://HOST[:PORT][/PATH]"),
            Self::HalfPair => f.write_str("[web] certificate and key belong together: set both, or none behind a proxy"),
            Self::NoTls => f.write_str(
                "[web] has neither certificate and key nor proxies: the page is not shown without TLS; set one of them",
            ),
            Self::Proxy(proxy) => write!(f, "[web] proxies: {proxy:?} is no network; write 192.0.2.1 or 192.0.2.0/24"),
        }
    }
}

impl Site {
    /// What `settings` say.
    pub fn new(mut settings: Settings) -> Result<Self, Unusable> {
        let url = Url::parse(&settings.url)?;
        let pair = match (settings.certificate.is_empty(), settings.key.is_empty()) {
            (false, false) => Some((PathBuf::from(settings.certificate), PathBuf::from(settings.key))),
            (true, true) => None,
            _ => return Err(Unusable::HalfPair),
        };
        let proxies: Vec<IpNet> =
            settings.proxies.iter().map(|text| network(text)).collect::<Result<_, _>>()?;
        if pair.is_none() && proxies.is_empty() {
            return Err(Unusable::NoTls);
        }
        let logo = std::mem::take(&mut settings.logo);
        Ok(Self {
            url,
            listen: settings.listen,
            pair,
            proxies,
            issuer: settings.issuer,
            host: settings.host,
            language: Language::named(&settings.language).unwrap_or_default(),
            logo: media_type(&logo).map(|kind| (kind, logo)),
        })
    }

    /// Whether a declared proxy is at `address`.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Result<IpNet, Unusable> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| Unusable::Proxy(text.to_owned()))
}

/// By its first bytes: what a browser is told is what it is.
fn media_type(picture: &[u8]) -> Option<&'static str> {
    if picture.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if picture.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if picture.starts_with(b"RIFF") && picture.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

/// Where links lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    /// The path before ours, without a slash at its end: empty, or `/mfa`.
    pub base: String,
}

/// Of `https`.
const PORT: u16 = 443;

impl Url {
    fn parse(text: &str) -> Result<Self, Unusable> {
        if text.is_empty() {
            return Err(Unusable::NoUrl);
        }
        let bad = || Unusable::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let (host, port) = split(authority).ok_or_else(bad)?;
        if uri.scheme_str() != Some("https") || uri.query().is_some() || text.contains('#') {
            return Err(bad());
        }
        Ok(Self { host, port, base: uri.path().trim_end_matches('/').to_owned() })
    }

    /// As browsers write it in `Origin`.
    pub fn origin(&self) -> String {
        if self.port == PORT {
            format!("https://{}", self.host)
        } else {
            format!("https://{}:{}", self.host, self.port)
        }
    }

    /// Whether a request for `authority` is one for this page.
    pub fn is_at(&self, authority: &str) -> bool {
        let parts = authority.parse::<Authority>().ok().as_ref().and_then(split);
        parts.is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

/// Host in lower case, and port; nothing if there is a user in it, or a port that is none.
fn split(authority: &Authority) -> Option<(String, u16)> {
    let text = authority.as_str();
    let host = authority.host();
    let port = match text.strip_prefix(host)? {
        "" => PORT,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    Some((host.to_ascii_lowercase(), port)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            url: "https://mfa.example.com".to_owned(),
            certificate: "/c".to_owned(),
            key: "/k".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn an_address_is_taken_apart_and_compared_whole() {
        let url = Url::parse("https://MFA.example.com/a/b").unwrap();
        assert_eq!((url.origin().as_str(), url.base.as_str()), ("https://mfa.example.com", "/a/b"));
        assert!(url.is_at("mfa.example.com") && url.is_at("mfa.EXAMPLE.com:443"));
        for other in [
            "mfa.example.com:8443",
            "evil.example",
            "mfa.example.com.evil.example",
            "xmfa.example.com",
            "u@mfa.example.com",
            "mfa.example.com:",
            "mfa.example.com:0x1bb",
            "mfa.example.com.",
            "",
        ] {
            assert!(!url.is_at(other), "{other}");
        }
        let url = Url::parse("https://[2001:db8::1]:8443").unwrap();
        assert_eq!((url.origin().as_str(), url.base.as_str()), ("https://[2001:db8::1]:8443", ""));
        assert!(url.is_at("[2001:DB8::1]:8443") && !url.is_at("[2001:db8::1]"));
    }

    #[test]
    fn what_links_cannot_lead_to_is_refused() {
        assert_eq!(Url::parse(""), Err(Unusable::NoUrl));
        for bad in [
            "http://a.example",
            "https://",
            "a.example",
            "https://u:p@a.example",
            "https://a/?q",
            "https://a/#f",
            "ftp://a",
        ] {
            assert!(matches!(Url::parse(bad), Err(Unusable::Url(_))), "{bad}");
        }
    }

    #[test]
    fn there_is_no_page_without_tls() {
        assert!(Site::new(settings()).is_ok());
        let bare = Settings { certificate: String::new(), key: String::new(), ..settings() };
        assert_eq!(Site::new(bare.clone()), Err(Unusable::NoTls));
        let proxied = Settings { proxies: vec!["192.0.2.1".to_owned(), "2001:db8::/32".to_owned()], ..bare };
        let site = Site::new(proxied).unwrap();
        assert!(site.is_proxy("192.0.2.1".parse().unwrap()) && site.is_proxy("2001:db8::7".parse().unwrap()));
        assert!(!site.is_proxy("192.0.2.2".parse().unwrap()));
        assert_eq!(Site::new(Settings { key: String::new(), ..settings() }), Err(Unusable::HalfPair));
        let odd = Settings { proxies: vec!["all".to_owned()], ..settings() };
        assert_eq!(Site::new(odd), Err(Unusable::Proxy("all".to_owned())));
    }

    #[test]
    fn a_picture_is_what_its_bytes_say() {
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n..."), Some("image/png"));
        assert_eq!(media_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(media_type(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        for other in [&b"<svg onload="[..], b"", b"GIF89a", b"RIFF\0\0\0\0WAVE"] {
            assert_eq!(media_type(other), None);
        }
    }
}
