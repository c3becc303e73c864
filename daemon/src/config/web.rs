//! `[web]`: the enrollment page. `twinlock-web` reads no configuration: it asks the daemon for this.

use std::{fs::File, io, io::Read, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Finding, policy::parse_network};

/// Largest logo, in bytes: it travels to the page in one message.
const LOGO: u64 = 48 * 1024;

/// `[web]`. Without `url` there is no page, and no link is given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Web {
    /// Where links lead: `https://host[:port][/path]`. They are made of this, and of nothing that a browser says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where `twinlock-web` listens: address and port.
    pub listen: String,
    /// Its certificate chain, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The key of the certificate, PEM, readable for the user `twinlock-web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Reverse proxies, which are believed when they say where a browser is and that it came by https.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<String>,
    /// A picture for the head of the page: PNG, JPEG or WebP, at most 48 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
}

impl Default for Web {
    fn default() -> Self {
        // Nothing of ours listens for the whole world unless somebody says so.
        let listen = "127.0.0.1:8443".to_owned();
        Self { url: None, listen, certificate: None, key: None, proxies: Vec::new(), logo: None }
    }
}

impl Web {
    /// Where a link leads that has this token.
    #[must_use]
    pub fn link(&self, token: &str) -> Option<String> {
        self.url.as_ref().map(|url| format!("{}/enroll/{token}", url.trim_end_matches('/')))
    }

    /// The picture, empty if none is named.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is too large, or no picture.
    pub fn read_logo(&self) -> io::Result<Vec<u8>> {
        let Some(path) = &self.logo else { return Ok(Vec::new()) };
        let mut logo = Vec::new();
        File::open(path)?.take(LOGO + 1).read_to_end(&mut logo)?;
        let picture = logo.starts_with(b"\x89PNG\r\n\x1a\n")
            || logo.starts_with(b"\xff\xd8\xff")
            || (logo.starts_with(b"RIFF") && logo.get(8..12) == Some(b"WEBP"));
        match logo.len() as u64 <= LOGO && picture {
            true => Ok(logo),
            false => Err(io::Error::other("it is no PNG, JPEG or WebP picture of at most 48 KiB")),
        }
    }

    pub(super) fn check(&self, findings: &mut Vec<Finding>) {
        let mut error = |key: &str, sentence: &str, remedy: &str| {
            findings.push(Finding::error(&format!("web.{key}"), sentence, remedy));
        };
        if self.url.as_ref().is_some_and(|url| !is_base(url)) {
            error(
                "url",
                "is no address that links can begin with",
                "write https://host, with a port and a path if need be, and nothing behind them",
            );
        }
        if self.listen.parse::<SocketAddr>().is_err() {
            error(
                "listen",
                "is no address with a port",
                "write 127.0.0.1:8443, or 0.0.0.0:8443 for everybody",
            );
        }
        if self.certificate.is_some() != self.key.is_some() {
            error("key", "and certificate belong together", "write both, or neither");
        }
        for (key, path) in [("certificate", &self.certificate), ("key", &self.key), ("logo", &self.logo)] {
            if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
                error(key, "is no absolute path", "write where the file is, from / on");
            }
        }
        if let Some(wrong) = self.proxies.iter().find(|proxy| parse_network(proxy).is_none()) {
            error(
                "proxies",
                &format!("has {wrong:?}, which is no address and no network"),
                "write 127.0.0.1, or 10.0.0.0/28",
            );
        }
        if self.url.is_some() && self.certificate.is_none() && self.proxies.is_empty() {
            error(
                "certificate",
                "is missing, and no proxy is declared: the page would be plain HTTP",
                "write certificate and key, or proxies = [\"127.0.0.1\"] with a reverse proxy in front",
            );
        }
    }
}

fn is_base(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let named = uri.authority().is_some_and(|authority| {
        let port =
            authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, port)| port).contains(':');
        !authority.as_str().contains('@')
            && !authority.host().is_empty()
            && (authority.port_u16().is_some() || !port)
    });
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte));
    let path = !uri.path().contains("//") && uri.query().is_none() && !url.contains('#');
    uri.scheme_str() == Some("https") && named && plain && path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_of_the_configured_address() {
        let of = |url: &str| Web { url: Some(url.to_owned()), ..Web::default() }.link("T").unwrap();
        assert_eq!(of("https://two.example.com"), "https://two.example.com/enroll/T");
        assert_eq!(of("https://example.com:8443/2fa/"), "https://example.com:8443/2fa/enroll/T");
        assert_eq!(Web::default().link("T"), None);
    }

    #[test]
    fn what_cannot_be_a_base_is_refused() {
        assert!(is_base("https://two.example.com") && is_base("https://[2001:db8::1]:8443/2fa"));
        for wrong in [
            "http://two.example.com",
            "two.example.com",
            "https://",
            "https://user@two.example.com",
            "https://two.example.com/?x=1",
            "https://two.example.com/#x",
            "https://two.example.com/\"onload",
            "https://two.example.com/ x",
            "https://two.example.com:99999",
            "https://:8443",
            "https://two.example.com//evil.example",
        ] {
            assert!(!is_base(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_page_without_protection_is_refused() {
        let findings = |web: &Web| {
            let mut findings = Vec::new();
            web.check(&mut findings);
            findings.len()
        };
        let url = Some("https://two.example.com".to_owned());
        let bare = Web { url, ..Web::default() };
        assert_eq!(findings(&bare), 1);
        assert_eq!(findings(&Web { proxies: vec!["127.0.0.1".to_owned()], ..bare.clone() }), 0);
        assert_eq!(findings(&Web { proxies: vec!["localhost".to_owned()], ..bare.clone() }), 1);
        let (certificate, key) = (Some("/a".to_owned()), Some("/b".to_owned()));
        assert_eq!(findings(&Web { certificate, key, ..bare }), 0);
        assert_eq!(findings(&Web { listen: "8443".to_owned(), ..Web::default() }), 1);
    }

    #[test]
    fn a_role_whose_links_cannot_go_out_is_warned_of() {
        let role = "[[role]]\nname = 'a'\ngroups = ['*']\nsecond-factor = 'required'\nenrollment = 'link'\n";
        let told = |more: &str| {
            let config: crate::config::Config = toml::from_str(&format!("{role}{more}")).unwrap();
            let findings: Vec<String> = config.check().iter().map(ToString::to_string).collect();
            findings.join("\n")
        };
        let bare = told("");
        assert!(bare.contains("there is no page") && bare.contains("there is no mail"), "{bare}");
        let ready =
            told("[web]\nurl = 'https://a.example'\nproxies = ['::1']\n[email]\nfrom = 'a@example.com'\n");
        assert_eq!(ready, "");
    }
}
