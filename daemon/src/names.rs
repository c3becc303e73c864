//! Names and numbers that come from outside, parsed once.

use std::{fmt, net::IpAddr};

/// A user name as NSS gives it: what getpwnam(3) returned, or what somebody claims to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// Any text without NUL of 1 to 256 bytes can be asked for; whether there is such a user NSS says.
    ///
    /// # Errors
    ///
    /// When it is empty, too long or has a NUL.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if text.is_empty() || text.len() > twinlock_proto::limit::USER || text.contains('\0') {
            return Err(BadName);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0, 64))
    }
}

/// Not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

/// Number of an account in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountId(pub i64);

/// Identifier of a factor: eight characters, unique in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FactorId(pub String);

impl FactorId {
    /// From 40 random bits, in characters that cannot be mistaken for one another (Crockford's).
    #[must_use]
    pub fn from_bits(bits: [u8; 5]) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let number = bits.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let digit = |i: u32| char::from(ALPHABET[(number >> (35 - 5 * i) & 31) as usize]);
        Self((0..8).map(digit).collect())
    }
}

/// Number of a recovery or bypass code in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpareId(pub i64);

/// Where a login comes from, as far as it can be trusted: failures are charged to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source(String);

impl Source {
    /// From an address: IPv4 whole, IPv6 by its /64 (what one subscriber has), mapped IPv4 as IPv4.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_string()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(format!("{a:x}:{b:x}:{c:x}:{d:x}::/64"))
            }
        }
    }

    /// From a host name that an application gave.
    #[must_use]
    pub fn named(host: &str) -> Self {
        Self(format!("host {}", printable(host, 255).to_ascii_lowercase()))
    }

    /// From a process on this host; `ruser` is who asked a program that runs as root (sudo), or empty.
    #[must_use]
    pub fn local(service: &str, ruser: &str, uid: u32) -> Self {
        Self(format!("{} uid {uid} {}", printable(service, 32), printable(ruser, 64)).trim_end().to_owned())
    }

    /// The text by which the store knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The client's address in SSH_CONNECTION (`client-ip client-port server-ip server-port`, see ssh(1)).
#[must_use]
pub fn ssh_client(ssh_connection: &str) -> Option<IpAddr> {
    let address = ssh_connection.split(' ').next()?;
    // A link-local address has a zone behind '%', which says nothing about who it is.
    address.split('%').next()?.parse().ok()
}

/// Foreign text, safe in a line of text: no control characters, no bidirectional overrides, ASCII, no longer
/// than `limit` characters.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_id_has_every_bit() {
        assert_eq!(FactorId::from_bits([0; 5]).0, "00000000");
        assert_eq!(FactorId::from_bits([255; 5]).0, "zzzzzzzz");
        assert_eq!(FactorId::from_bits([0, 0, 0, 0, 1]).0, "00000001");
        assert_eq!(FactorId::from_bits([8, 0, 0, 0, 0]).0, "10000000");
    }

    #[test]
    fn a_source_is_an_address_or_a_subnet() {
        let source = |text: &str| Source::address(text.parse().unwrap()).0;
        assert_eq!(source("192.0.2.7"), "192.0.2.7");
        assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(source("2001:db8:1:2::9"), "2001:db8:1:2::/64");
    }

    #[test]
    fn ssh_connection_gives_the_client() {
        assert_eq!(ssh_client("192.0.2.7 40000 192.0.2.1 22"), Some([192, 0, 2, 7].into()));
        assert_eq!(ssh_client("fe80::1%eth0 1 fe80::2%eth0 22"), Some("fe80::1".parse().unwrap()));
        assert_eq!(ssh_client("trusted.example 1 2 3"), None);
        assert_eq!(ssh_client(""), None);
    }

    #[test]
    fn foreign_text_is_printable() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d", 64), "a?[2Jb?c?d");
        assert_eq!(printable("abcdef", 3), "abc");
    }
}
