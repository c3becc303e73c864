//! Portable Symmetric Key Container (RFC 6030).
//!
//! What would change the meaning of a key and is not understood is refused; what merely describes it is passed over
//! (issuer, model, user, friendly name). Signatures are passed over, too: they say who wrote the file, and there is no
//! list of makers to check that against. What protects a file in transit is the MAC of its values ([`envelope`]).

mod element;
mod envelope;

use std::collections::BTreeSet;

use element::Element;
use envelope::Envelope;
use roxmltree::{Document, ParsingOptions};

use super::{
    Batch, Fault, File, Kind, Token, Unlock, algorithm, counter, drift, manufacturer, number, period, serial,
};
use crate::{factor::totp::Parameters, names::printable};

/// As many nodes a file may have, and `<`: more than 32 MiB of tokens need. The parser reserves memory for each
/// before it looks at the first.
const MAX_NODES: u32 = 2_000_000;
/// As many `=` a file may have, for the same reason.
const MAX_EQUALS: usize = 1_000_000;
/// As many attributes an element may have: the parser compares each with each.
const MAX_ATTRIBUTES: usize = 250;
/// As many prefixes a file may declare: the parser compares each with each, at every element that declares one.
const MAX_PREFIXES: usize = 16;

pub(super) fn read(batch: &mut Batch<'_>, unlock: &Unlock) -> Result<(), Fault> {
    let file = batch.file;
    modest(file)?;
    // No DTD, and so no entities, outside or inside the file, that could be read or multiplied.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(file.text, options).map_err(|error| no_xml(file, &error))?;
    let container = Element::root(&document, &file);
    if !container.is("KeyContainer") {
        return Err(container.fault("this is no PSKC file: its element is no KeyContainer"));
    }
    let version = container.attribute("Version").unwrap_or_default();
    let minor = version.strip_prefix("1.").filter(|minor| minor.parse::<u16>().is_ok());
    if minor.is_none() {
        return Err(container.fault("Version is not 1.0"));
    }
    let envelope = Envelope::open(container, unlock)?;
    for package in container.children().filter(|child| child.is("KeyPackage")) {
        batch.add(package.at(), token(package, &envelope, batch)?)?;
    }
    Ok(())
}

/// Whether the parser, which is quadratic in places, comes to an end in time.
fn modest(file: File<'_>) -> Result<(), Fault> {
    let bytes = file.text.as_bytes();
    let count = |wanted: u8| bytes.iter().filter(|byte| **byte == wanted).count();
    let too_many =
        |at, what| Err(file.fault(at, format!("there are too many {what}: this is no list of tokens")));
    if u32::try_from(count(b'<')).is_ok_and(|tags| tags > MAX_NODES) || count(b'=') > MAX_EQUALS {
        return too_many(0, "elements");
    }
    // In a value `<` is escaped, so that what belongs to a tag ends before the next `<`.
    let mut at = 0;
    for tag in bytes.split(|byte| *byte == b'<') {
        let comment = tag.starts_with(b"!");
        if !comment && tag.iter().filter(|byte| **byte == b'=').count() > MAX_ATTRIBUTES {
            return too_many(at, "attributes");
        }
        at += tag.len() + 1;
    }
    let mut prefixes = BTreeSet::new();
    for (at, name) in file.text.match_indices("xmlns:") {
        let rest = file.text.get(at + name.len()..).unwrap_or_default();
        let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        prefixes.insert(rest.get(..end));
        if prefixes.len() > MAX_PREFIXES {
            return too_many(at, "namespaces");
        }
    }
    Ok(())
}

fn no_xml(file: File<'_>, error: &roxmltree::Error) -> Fault {
    match error {
        roxmltree::Error::DtdDetected => {
            let at = file.text.find("<!DOCTYPE").unwrap_or(0);
            file.fault(at, "there is a document type definition: none is read")
        }
        roxmltree::Error::NodesLimitReached => {
            file.fault(0, "there are too many elements: this is no list of tokens")
        }
        error => {
            let pos = error.pos();
            Fault {
                place: format!("line {}, column {}", pos.row, pos.col),
                sentence: format!("this is no whole XML: {}", printable(&error.to_string(), 120)),
            }
        }
    }
}

fn token(package: Element<'_>, envelope: &Envelope, batch: &Batch<'_>) -> Result<Token, Fault> {
    let key = package.required("Key")?;
    let kind = match key.attribute("Algorithm").unwrap_or_default() {
        "urn:ietf:params:xml:ns:keyprov:pskc:hotp" | "urn:ietf:params:xml:ns:keyprov:pskc#hotp" => Kind::Hotp,
        "urn:ietf:params:xml:ns:keyprov:pskc:totp" | "urn:ietf:params:xml:ns:keyprov:pskc#totp" => Kind::Totp,
        other => {
            let other = printable(other, 80);
            return Err(key.fault(format!("the key is neither for HOTP nor for TOTP, but for \"{other}\"")));
        }
    };
    if let Some(policy) = key.child("Policy")? {
        understood(policy)?;
    }
    let (hash, digits) = parameters(key, kind, batch)?;
    let data = Data::read(key.required("Data")?, kind, envelope)?;
    let secret = data.secret;
    let bytes = envelope.bytes(secret)?;
    let (serial, manufacturer) = device(package, key)?;
    Ok(Token {
        serial,
        kind,
        parameters: Parameters { algorithm: hash, digits, period: data.period },
        counter: data.counter,
        drift: data.drift,
        key: batch.rules.key(bytes).map_err(|sentence| secret.fault(sentence))?,
        manufacturer,
    })
}

/// A key whose policy is not understood must not be used (RFC 6030 section 5), and we keep to none: not to dates, not to
/// a number of uses, not to a PIN. Extensions are elements of a foreign namespace, and are refused like the others.
fn understood(policy: Element<'_>) -> Result<(), Fault> {
    for rule in policy.children() {
        if rule.is("KeyUsage") {
            let usage = rule.content()?;
            if usage.as_str() != "OTP" {
                let usage = printable(&usage, 32);
                return Err(rule.fault(format!("the key is for \"{usage}\" (KeyUsage), not for OTP")));
            }
        } else {
            let name = rule.name();
            return Err(rule.fault(format!(
                "the policy of the key has {name}, which Twinlock cannot keep to (RFC 6030 section 5); \
                 ask its maker for a file without it"
            )));
        }
    }
    Ok(())
}

/// Hash and number of digits (RFC 6030 section 4.3.4).
fn parameters(
    key: Element<'_>,
    kind: Kind,
    batch: &Batch<'_>,
) -> Result<(crate::factor::totp::Algorithm, u8), Fault> {
    let mut suite = algorithm("SHA1").map_err(|sentence| key.fault(sentence))?;
    let mut length = None;
    let mut place = key;
    if let Some(parameters) = key.child("AlgorithmParameters")? {
        for child in parameters.children() {
            if !["Suite", "ResponseFormat"].iter().any(|known| child.is(known)) {
                let name = child.name();
                return Err(child.fault(format!("the codes depend on {name}, which is not supported")));
            }
        }
        if let Some(named) = parameters.child("Suite")? {
            suite = algorithm(&named.content()?).map_err(|sentence| named.fault(sentence))?;
        }
        if let Some(format) = parameters.child("ResponseFormat")? {
            place = format;
            length = response(format)?;
        }
    }
    let digits = batch.rules.digits(kind, length).map_err(|sentence| place.fault(sentence))?;
    Ok((suite, digits))
}

fn response(format: Element<'_>) -> Result<Option<i64>, Fault> {
    if format.attribute("Encoding") != Some("DECIMAL") {
        return Err(format.fault("the codes are not decimal (Encoding)"));
    }
    // The schema says CheckDigits, some drafts before it CheckDigit.
    for name in ["CheckDigits", "CheckDigit"] {
        match format.attribute(name).map(str::trim) {
            None | Some("false" | "0") => {}
            Some(_) => return Err(format.fault("the codes have a check digit, which is not supported")),
        }
    }
    let length = format.attribute("Length").map(|length| number("Length", length.trim()));
    length.transpose().map_err(|sentence| format.fault(sentence))
}

/// What changes from code to code (RFC 6030 section 4.2).
struct Data<'a> {
    secret: Element<'a>,
    counter: i64,
    period: u8,
    drift: i64,
}

impl<'a> Data<'a> {
    fn read(data: Element<'a>, kind: Kind, envelope: &Envelope) -> Result<Self, Fault> {
        const KNOWN: [&str; 5] = ["Secret", "Counter", "Time", "TimeInterval", "TimeDrift"];
        for child in data.children() {
            if !KNOWN.iter().any(|known| child.is(known)) {
                let name = child.name();
                return Err(child.fault(format!("the key has {name}, which is not supported")));
            }
        }
        let number = |name| match data.child(name)? {
            Some(child) => envelope.number(child).map(|number| (child, Some(number))),
            None => Ok((data, None)),
        };
        let (place, said) = number("Counter")?;
        let next = counter(said).map_err(|sentence| place.fault(sentence))?;
        // T0 of RFC 6238 section 4.1: the epoch, as with every token that is sold.
        let (place, said) = number("Time")?;
        if said.unwrap_or(0) != 0 {
            return Err(place.fault("the token counts its time from a moment of its own (Time is not 0)"));
        }
        let (interval_place, interval) = number("TimeInterval")?;
        let (drift_place, steps) = number("TimeDrift")?;
        let secret = data.required("Secret")?;
        Ok(match kind {
            Kind::Hotp => Self {
                secret,
                counter: next,
                period: period(None).map_err(|sentence| data.fault(sentence))?,
                drift: 0,
            },
            Kind::Totp => Self {
                secret,
                counter: 0,
                period: period(interval).map_err(|sentence| interval_place.fault(sentence))?,
                // Negative: the device is behind (RFC 6030 section 4.2), as with us.
                drift: drift(steps).map_err(|sentence| drift_place.fault(sentence))?,
            },
        })
    }
}

/// Serial number and manufacturer. A package may come without DeviceInfo (RFC 6030 section 4.3.1); the key's Id is then
/// what tells it from others.
fn device(package: Element<'_>, key: Element<'_>) -> Result<(String, String), Fault> {
    let info = package.child("DeviceInfo")?;
    let said = |name| match info {
        Some(info) => info.child(name),
        None => Ok(None),
    };
    let manufacturer = match said("Manufacturer")? {
        Some(named) => manufacturer(&named.content()?),
        None => String::new(),
    };
    let serial = match said("SerialNo")? {
        Some(number) => serial(&number.content()?).map_err(|sentence| number.fault(sentence)),
        None => {
            serial(key.attribute("Id").unwrap_or_default().trim()).map_err(|sentence| key.fault(sentence))
        }
    };
    Ok((serial?, manufacturer))
}

#[cfg(test)]
mod tests;
