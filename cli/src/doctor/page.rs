//! The enrollment page, where there is to be one: its socket, and the certificate that browsers see.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use data_encoding::BASE64;
use twinlock_proto::{WEB_SOCKET, WEB_USER, v1::DaemonState};

use super::{finding::Finding, host::program};
use crate::when;

/// Seconds before its end in which a certificate is worth a warning: automatic renewals come before.
const SOON: i64 = 14 * 24 * 60 * 60;

/// Looks at what the daemon says of the page.
pub fn look(runtime_dir: &Path, state: &DaemonState) -> Vec<Finding> {
    if state.page_url.is_empty() {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = socket(&runtime_dir.join(WEB_SOCKET)).into_iter().collect();
    for path in [&state.page_certificate, &state.page_key] {
        if !path.is_empty() && !readable(path) {
            let sentence = format!("{WEB_USER} cannot read it, so the enrollment page does not start");
            let remedy =
                format!("run chgrp {WEB_USER} {path} && chmod 0640 {path}, and see the folders above it");
            findings.push(Finding::error(path, sentence, remedy));
        }
    }
    if !state.page_certificate.is_empty() {
        findings.extend(certificate(&state.page_certificate, when::seconds()));
    }
    findings
}

fn socket(path: &Path) -> Option<Finding> {
    let place = path.display().to_string();
    let user = nix::unistd::User::from_name(WEB_USER).ok().flatten();
    let Some(user) = user else {
        let sentence = format!("there is no user {WEB_USER}, so the enrollment page cannot run");
        return Some(Finding::error(
            place,
            sentence,
            "install the package twinlock-web, or take url out of [web]",
        ));
    };
    let remedy = "run systemctl restart twinlockd-web.socket twinlockd";
    match fs::symlink_metadata(path) {
        Err(error) => Some(Finding::error(
            place,
            format!("the enrollment page cannot reach twinlockd here: {error}"),
            remedy,
        )),
        Ok(about) if about.uid() != user.uid.as_raw() || about.mode() & 0o777 != 0o600 => {
            let (uid, mode) = (about.uid(), about.mode() & 0o777);
            let sentence =
                format!("it belongs to uid {uid} with mode {mode:04o}, and is for {WEB_USER} alone (0600)");
            Some(Finding::error(place, sentence, remedy))
        }
        Ok(_) => None,
    }
}

/// Whether the page's user may read a file, folders above it and lists of access rights included.
fn readable(path: &str) -> bool {
    let tried = program("runuser").args(["-u", WEB_USER, "--", "test", "-r", path]).status();
    tried.is_ok_and(|status| status.success())
}

fn certificate(path: &str, now: i64) -> Option<Finding> {
    let text = fs::read_to_string(path).ok()?;
    let Some(end) = ends(&text) else {
        return Some(Finding::warning(
            path,
            "it is no certificate that can be understood here",
            format!("see openssl x509 -noout -enddate -in {path}"),
        ));
    };
    let on = crate::output::time(end);
    let remedy = "renew it, then run systemctl reload twinlock-web";
    if end <= now {
        return Some(Finding::error(
            path,
            format!("the certificate of the enrollment page ended on {on}: browsers refuse it"),
            remedy,
        ));
    }
    (end - now < SOON).then(|| {
        Finding::warning(path, format!("the certificate of the enrollment page ends on {on}"), remedy)
    })
}

/// When the first certificate of a PEM file ends, in Unix seconds.
fn ends(pem: &str) -> Option<i64> {
    let body = pem.split_once("-----BEGIN CERTIFICATE-----")?.1.split_once("-----END")?.0;
    let body: String = body.split_whitespace().collect();
    let der = BASE64.decode(body.as_bytes()).ok()?;
    // RFC 5280, 4.1: version (may be absent), serialNumber, signature, issuer, validity.
    let (_, certificate, _) = element(&der)?;
    let (_, mut rest, _) = element(certificate)?;
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    let time = str::from_utf8(time).ok()?;
    // UTCTime has two digits of the year: 50 to 99 are of the last century.
    let time = match (tag, time.get(..2)?.parse::<u32>().ok()?) {
        (0x17, 50..) => format!("19{time}"),
        (0x17, _) => format!("20{time}"),
        _ => time.to_owned(),
    };
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", time).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// A DER element: its tag, what is in it, what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, rest) = (*der.first()?, usize::from(*der.get(1)?), der.get(2..)?);
    let (length, rest) = match length {
        0..=0x7f => (length, rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(length - 0x80)?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((tag, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(der: &[u8]) -> String {
        format!("some text\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(der))
    }

    fn wrapped(tag: u8, inside: &[u8]) -> Vec<u8> {
        let length = u8::try_from(inside.len()).unwrap();
        [&[tag, 0x81, length][..], inside].concat()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_and_nonsense_is_not() {
        let time =
            |tag: u8, text: &str| [&[tag, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        let made = |version: &[u8], from: Vec<u8>, to: Vec<u8>| {
            let validity = wrapped(0x30, &[from, to].concat());
            let inner = [version, &[2, 1, 5], &[0x30, 0], &[0x30, 0], &validity].concat();
            wrapped(0x30, &wrapped(0x30, &inner))
        };
        let (early, late) = (time(0x17, "700101000000Z"), time(0x17, "491231235959Z"));
        assert_eq!(ends(&pem(&made(&[0xa0, 3, 2, 1, 2], early.clone(), late))), Some(2_524_607_999));
        assert_eq!(ends(&pem(&made(&[], early.clone(), time(0x18, "20500101000000Z")))), Some(2_524_608_000));
        let whole = made(&[], early.clone(), early);
        assert_eq!(ends(&pem(&whole)), Some(0));
        for length in 0..whole.len() {
            assert_eq!(ends(&pem(&whole[..length])), None, "{length}");
        }
        assert_eq!(ends("no certificate"), None);
    }
}
