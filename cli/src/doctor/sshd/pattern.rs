//! Patterns of sshd_config (ssh_config(5), PATTERNS), and samples that match them.

use std::net::IpAddr;

/// `*` is anything, `?` one letter.
#[must_use]
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some('?') => (at, seen) = (at + 1, seen + 1),
            letter if letter.is_some() && letter == text.get(seen) => (at, seen) = (at + 1, seen + 1),
            _ => match star {
                // The last star takes one letter more.
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    (at, seen) = (before + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

/// A list matches if one pattern does and no negated one does (`match_pattern_list`).
#[must_use]
pub fn in_list(list: &str, matches: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    for entry in list.split(',') {
        match entry.strip_prefix('!') {
            Some(negated) if matches(negated) => return false,
            Some(_) => {}
            None => found |= matches(entry),
        }
    }
    found
}

/// The patterns of a list that are not negated.
pub fn positive(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|entry| !entry.starts_with('!') && !entry.is_empty())
}

/// Texts that may match a pattern, likely ones first.
#[must_use]
pub fn candidates(pattern: &str) -> Vec<String> {
    if !pattern.contains(['*', '?']) {
        return vec![pattern.to_owned()];
    }
    let fill = |star: &str, one: &str| pattern.replace('*', star).replace('?', one);
    [("a", "a"), ("", "a"), ("1", "1"), ("test", "x"), ("zz9", "q")]
        .map(|(star, one)| fill(star, one))
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect()
}

/// Whether an address is in an entry: CIDR or wildcard (`addr_match_list`).
#[must_use]
pub fn address_in(entry: &str, address: &str) -> bool {
    let Some((network, bits)) = entry.split_once('/') else { return wildcard(entry, address) };
    let (Ok(network), Ok(bits), Ok(address)) =
        (network.parse::<IpAddr>(), bits.parse::<u32>(), address.parse::<IpAddr>())
    else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(bits);
            network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(bits);
            network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

/// Addresses that may be in an entry; sshd wants them whole.
#[must_use]
pub fn addresses(entry: &str) -> Vec<String> {
    let Some((network, _)) = entry.split_once('/') else {
        let fill = |star: &str| entry.replace('*', star).replace('?', "1");
        return ["1", "0.0.1", "0.1", "203.0.113.5", ":1", "2001:db8::1"]
            .map(fill)
            .into_iter()
            .filter(|text| text.parse::<IpAddr>().is_ok())
            .collect();
    };
    match network.parse::<IpAddr>() {
        Ok(IpAddr::V4(network)) => [0_u32, 1, 2, 77, 254, 300, 70_000]
            .iter()
            .map(|add| std::net::Ipv4Addr::from_bits(network.to_bits().wrapping_add(*add)).to_string())
            .collect(),
        Ok(IpAddr::V6(network)) => [0_u128, 1, 2, 77, 1 << 16, 1 << 64]
            .iter()
            .map(|add| std::net::Ipv6Addr::from_bits(network.to_bits().wrapping_add(*add)).to_string())
            .collect(),
        Err(_) => Vec::new(),
    }
}
