//! Where a request comes from: what limits are counted by, what is logged, and what the daemon is told.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::HeaderMap;

use crate::site::Site;

/// One source: an IPv4 address, or the /64 that one IPv6 subscriber has at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a request arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// It came over TLS of ours.
    pub tls: bool,
}

impl Arrival {
    /// Whether the browser sees `https`: over our own TLS, or as a declared proxy says. A proxy that says otherwise is
    /// believed too.
    pub fn is_encrypted(self, headers: &HeaderMap, site: &Site) -> bool {
        let said = if site.is_proxy(self.peer) { one(headers, "x-forwarded-proto") } else { Said::Nothing };
        match said {
            Said::Nothing => self.tls,
            Said::This(scheme) => scheme.eq_ignore_ascii_case("https"),
            Said::Nonsense => false,
        }
    }

    /// The browser's address: the rightmost that a declared proxy named and that is no declared proxy itself. What stands
    /// left of it anybody can have written. Without a declared proxy it is the other end.
    pub fn address(self, headers: &HeaderMap, site: &Site) -> IpAddr {
        if !site.is_proxy(self.peer) {
            return self.peer;
        }
        let mut nearest = self.peer;
        for value in headers.get_all("x-forwarded-for").iter().rev() {
            for entry in value.to_str().unwrap_or_default().rsplit(',') {
                // What is no address was not written by a proxy that is believed: the last one that was stands.
                let Some(address) = address(entry.trim()) else { return nearest };
                nearest = address;
                if !site.is_proxy(address) {
                    return nearest;
                }
            }
        }
        nearest
    }
}

/// A header that may be there once.
enum Said<'a> {
    Nothing,
    This(&'a str),
    Nonsense,
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Said<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(http::HeaderValue::to_str), values.next()) {
        (None, _) => Said::Nothing,
        (Some(Ok(value)), None) => Said::This(value),
        (Some(_), _) => Said::Nonsense,
    }
}

/// `192.0.2.1`, `2001:db8::1`, and with a port as some proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_proto::v1::Settings;

    fn site() -> Site {
        Site::new(Settings {
            url: "https://mfa.example.com".to_owned(),
            proxies: vec!["127.0.0.1".to_owned(), "10.0.0.0/8".to_owned()],
            ..Settings::default()
        })
        .unwrap()
    }

    fn told(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        Arrival { peer: peer.parse().unwrap(), tls: false }.address(&headers, &site()).to_string()
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_one_subscriber() {
        let of = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn only_a_declared_proxy_is_believed() {
        assert_eq!(told("192.0.2.66", &["198.51.100.1"]), "192.0.2.66");
        assert_eq!(told("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn the_rightmost_that_is_no_proxy_counts_and_nothing_left_of_it() {
        assert_eq!(told("127.0.0.1", &["203.0.113.9, 198.51.100.1, 10.1.2.3"]), "198.51.100.1");
        assert_eq!(told("127.0.0.1", &["203.0.113.9", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(told("127.0.0.1", &["203.0.113.9, nonsense"]), "127.0.0.1");
        assert_eq!(told("127.0.0.1", &["203.0.113.9, nonsense, 10.0.0.7"]), "10.0.0.7");
        assert_eq!(told("127.0.0.1", &["10.0.0.7"]), "10.0.0.7");
        assert_eq!(told("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(told("127.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(told("127.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(told("127.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn encrypted_is_what_tls_or_a_declared_proxy_says() {
        let encrypted = |peer: &str, tls, said: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("x-forwarded-proto", value.parse().unwrap());
            }
            Arrival { peer: peer.parse().unwrap(), tls }.is_encrypted(&headers, &site())
        };
        assert!(encrypted("127.0.0.1", false, &["https"]));
        for said in [&[][..], &["http"], &["https", "https"], &["https, http"], &[""]] {
            assert!(!encrypted("127.0.0.1", false, said), "{said:?}");
        }
        assert!(!encrypted("192.0.2.1", false, &["https"]), "not declared");
        assert!(encrypted("192.0.2.1", true, &["http"]), "not declared, and our own TLS");
        assert!(encrypted("127.0.0.1", true, &[]) && !encrypted("127.0.0.1", true, &["http"]));
    }
}
