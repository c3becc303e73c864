//! How the values of a PSKC file are protected (RFC 6030 section 6): AES-CBC under a pre-shared key or a password, and a
//! MAC over what was encrypted.
//!
//! CBC by itself tells nobody that a value was changed, and answers the one who changes it (padding oracles): no value is
//! decrypted whose MAC was not verified, and none is taken without one, though the RFC allows it.
//!
//! What the MAC does not prove: the MAC's own key is encrypted in the same way and has no MAC. Who knows some encrypted
//! plaintext of the file (a block of padding) can put a MAC key together from it. A file from a stranger stays one.

use std::num::NonZeroU32;

use aes::{Aes128, Aes192, Aes256};
use cbc::{
    Decryptor,
    cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit, block_padding::Iso10126},
};
use ring::{hmac, pbkdf2};
use zeroize::Zeroizing;

use super::{
    super::{Fault, Unlock, number},
    element::Element,
};
use crate::{names::printable, secret::Secret};

const BLOCK: usize = 16;
/// A million take about a second; a file that asks for more asks for the daemon.
const MOST_ITERATIONS: i64 = 1_000_000;
/// A shorter key of the MAC is none that a writer chose, but one that was cut off to be guessed.
const SHORTEST_MAC_KEY: usize = 16;
const NO_FIT: &str = "the MAC does not fit: wrong password or key, or the file was changed";

/// What opens the values of one file.
pub(super) struct Envelope {
    /// Nothing, if no value is encrypted.
    keys: Option<Keys>,
    /// The file says that it is encrypted, or was given with what opens it: a secret in the open is then somebody else's.
    closed: bool,
}

struct Keys {
    encryption: Zeroizing<Vec<u8>>,
    /// Nothing, if the file has no MACMethod.
    mac: Option<hmac::Key>,
}

impl Envelope {
    pub(super) fn open(container: Element<'_>, unlock: &Unlock) -> Result<Self, Fault> {
        let given = unlock.password.is_some() || unlock.key.is_some();
        let closed =
            given || container.child("EncryptionKey")?.is_some() || container.child("MACMethod")?.is_some();
        if !container.contains("EncryptedValue") {
            return Ok(Self { keys: None, closed });
        }
        let encryption = encryption_key(container, unlock)?;
        let mac = match container.child("MACMethod")? {
            Some(method) => Some(mac_key(method, &encryption)?),
            None => None,
        };
        Ok(Self { keys: Some(Keys { encryption, mac }), closed })
    }

    /// A value in bytes. A MAC of a plain one is passed over: the RFC does not say what it is over, and who changes the
    /// value can leave it out.
    pub(super) fn bytes(&self, value: Element<'_>) -> Result<Secret<Vec<u8>>, Fault> {
        match (value.child("PlainValue")?, value.child("EncryptedValue")?) {
            (Some(_), None) if self.closed => Err(value.fault(
                "a secret is not encrypted, in a file that says it is or that came with a password or key"
                    .to_owned(),
            )),
            (Some(plain), None) => Ok(Secret::new(std::mem::take(&mut *plain.base64()?))),
            (None, Some(encrypted)) => self.decrypted(value, encrypted),
            _ => Err(value.fault(format!("{} has no value, or two", value.name()))),
        }
    }

    /// A whole number. Encrypted, it is written in digits or in 4 or 8 bytes, most significant first: the RFC says
    /// neither. The digits of a number are no number of 8 bytes that would be within any bounds.
    pub(super) fn number(&self, value: Element<'_>) -> Result<i64, Fault> {
        let name = value.name();
        let wrong = |sentence: String| value.fault(sentence);
        match (value.child("PlainValue")?, value.child("EncryptedValue")?) {
            (Some(plain), None) => number(&name, &plain.content()?).map_err(wrong),
            (None, Some(encrypted)) => {
                let bytes = self.decrypted(value, encrypted)?;
                let bytes = bytes.expose().as_slice();
                if let Some(number) = str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()) {
                    return Ok(number);
                }
                let four = <[u8; 4]>::try_from(bytes).map(|bytes| i64::from(u32::from_be_bytes(bytes)));
                let eight = <[u8; 8]>::try_from(bytes).map(i64::from_be_bytes);
                four.or(eight).map_err(|_| wrong(format!("the {name} is no whole number")))
            }
            _ => Err(wrong(format!("{name} has no value, or two"))),
        }
    }

    fn decrypted(&self, value: Element<'_>, encrypted: Element<'_>) -> Result<Secret<Vec<u8>>, Fault> {
        let Some(keys) = &self.keys else {
            return Err(encrypted.fault("there is no key to decrypt it with"));
        };
        let (Some(key), Some(mac)) = (&keys.mac, value.child("ValueMAC")?) else {
            return Err(encrypted.fault(
                "the value is encrypted and has no MAC (MACMethod, ValueMAC): anybody could have changed it",
            ));
        };
        let cipher = Cipher::parse(encrypted)?;
        let tag = mac.base64()?;
        hmac::verify(key, &cipher.bytes, &tag).map_err(|_| mac.fault(NO_FIT))?;
        let mut plain = cipher.decrypt(&keys.encryption)?.ok_or_else(|| {
            encrypted.fault("the value is no block, or not padded as XML Encryption says (section 5.2)")
        })?;
        Ok(Secret::new(std::mem::take(&mut *plain)))
    }
}

/// RFC 6030 sections 6.1 and 6.2: pre-shared unless it says otherwise.
fn encryption_key(container: Element<'_>, unlock: &Unlock) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let element = container.child("EncryptionKey")?;
    if let Some(element) = element {
        if let Some(derived) = element.child("DerivedKey")? {
            let Some(password) = &unlock.password else {
                return Err(element.fault("the file is encrypted with a password: say it"));
            };
            return derive(derived, password.expose().as_bytes());
        }
        if let Some(other) = element.children().find(|child| !child.is("KeyName")) {
            let name = other.name();
            return Err(other.fault(format!("the file is encrypted with {name}, which is not supported")));
        }
    }
    match &unlock.key {
        Some(key) => Ok(Zeroizing::new(key.expose().clone())),
        None => Err(element
            .unwrap_or(container)
            .fault("the file is encrypted with a pre-shared key: say it, in hexadecimal")),
    }
}

/// PBKDF2 (RFC 8018 section 5.2, its parameters appendix A.2 in XML).
fn derive(derived: Element<'_>, password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let method = derived.required("KeyDerivationMethod")?;
    let uri = method.attribute("Algorithm").unwrap_or_default();
    if ![
        "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2",
        "http://www.w3.org/2009/xmlenc11#pbkdf2",
    ]
    .contains(&uri)
    {
        return Err(unsupported(method, "the key is derived", uri));
    }
    let parameters = method.required("PBKDF2-params")?;
    let whole = |name| {
        let element = parameters.required(name)?;
        number(name, &element.content()?)
            .map(|number| (element, number))
            .map_err(|sentence| element.fault(sentence))
    };
    let salt = parameters.required("Salt")?.required("Specified")?.base64()?;
    let (place, iterations) = whole("IterationCount")?;
    let iterations = Some(iterations)
        .filter(|iterations| *iterations <= MOST_ITERATIONS)
        .and_then(|iterations| NonZeroU32::new(u32::try_from(iterations).ok()?))
        .ok_or_else(|| place.fault(format!("IterationCount is not 1 to {MOST_ITERATIONS}")))?;
    let (place, length) = whole("KeyLength")?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| [16, 24, 32].contains(length))
        .ok_or_else(|| place.fault("KeyLength is none of 16, 24 and 32"))?;
    let prf = match parameters.child("PRF")? {
        None => pbkdf2::PBKDF2_HMAC_SHA1,
        Some(prf) => match prf.attribute("Algorithm") {
            None if prf.children().next().is_none() => pbkdf2::PBKDF2_HMAC_SHA1,
            uri => match Hash::of(uri.unwrap_or_default()) {
                Some(Hash::Sha1) => pbkdf2::PBKDF2_HMAC_SHA1,
                Some(Hash::Sha256) => pbkdf2::PBKDF2_HMAC_SHA256,
                Some(Hash::Sha512) => pbkdf2::PBKDF2_HMAC_SHA512,
                None => return Err(unsupported(prf, "the key is derived", uri.unwrap_or_default())),
            },
        },
    };
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(prf, iterations, &salt, password, &mut key);
    Ok(key)
}

/// RFC 6030 section 6.1.1: a key of its own, or else the encryption key.
fn mac_key(method: Element<'_>, encryption: &[u8]) -> Result<hmac::Key, Fault> {
    let uri = method.attribute("Algorithm").unwrap_or_default();
    let algorithm = match Hash::of(uri) {
        Some(Hash::Sha1) => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Some(Hash::Sha256) => hmac::HMAC_SHA256,
        Some(Hash::Sha512) => hmac::HMAC_SHA512,
        None => return Err(unsupported(method, "the MAC is made", uri)),
    };
    if let Some(reference) = method.child("MACKeyReference")? {
        return Err(
            reference.fault("the key of the MAC is elsewhere (MACKeyReference): that is not supported")
        );
    }
    match method.child("MACKey")? {
        None => Ok(hmac::Key::new(algorithm, encryption)),
        Some(element) => {
            // There is no MAC yet that would tell a wrong key: this does.
            let key = Cipher::parse(element)?.decrypt(encryption)?;
            let key = key.filter(|key| key.len() >= SHORTEST_MAC_KEY).ok_or_else(|| element.fault(NO_FIT))?;
            Ok(hmac::Key::new(algorithm, &key))
        }
    }
}

/// The hash of an HMAC, as a MAC or as the PRF of PBKDF2.
enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Hash {
    /// RFC 9231 section 2.2.
    fn of(uri: &str) -> Option<Self> {
        match uri {
            "http://www.w3.org/2000/09/xmldsig#hmac-sha1" => Some(Self::Sha1),
            "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256" => Some(Self::Sha256),
            "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// What EncryptedValue and MACKey have in them (XML Encryption section 3.1).
struct Cipher<'a> {
    method: Element<'a>,
    /// Length of the key.
    key_length: usize,
    /// The initialisation vector, and then the blocks.
    bytes: Zeroizing<Vec<u8>>,
}

impl<'a> Cipher<'a> {
    fn parse(encrypted: Element<'a>) -> Result<Self, Fault> {
        let method = encrypted.required("EncryptionMethod")?;
        let key_length = match method.attribute("Algorithm").unwrap_or_default() {
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => 16,
            "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => 24,
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => 32,
            uri => return Err(unsupported(method, "the value is encrypted", uri)),
        };
        let bytes = encrypted.required("CipherData")?.required("CipherValue")?.base64()?;
        Ok(Self { method, key_length, bytes })
    }

    /// Nothing if it is not made of blocks, or not padded.
    fn decrypt(mut self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        if key.len() != self.key_length {
            let (wanted, has) = (self.key_length, key.len());
            return Err(self.method.fault(format!("the key must have {wanted} bytes; this one has {has}")));
        }
        let Some((iv, blocks)) = self.bytes.split_at_mut_checked(BLOCK) else { return Ok(None) };
        let plain = match self.key_length {
            16 => decrypt::<Aes128>(key, iv, blocks),
            24 => decrypt::<Aes192>(key, iv, blocks),
            _ => decrypt::<Aes256>(key, iv, blocks),
        };
        Ok(plain.map(|plain| Zeroizing::new(plain.to_vec())))
    }
}

/// The last byte says how many are padding, and the others may be anything (XML Encryption section 5.2): what is known
/// elsewhere as ISO 10126.
fn decrypt<'a, C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    blocks: &'a mut [u8],
) -> Option<&'a [u8]> {
    Decryptor::<C>::new_from_slices(key, iv).ok()?.decrypt_padded::<Iso10126>(blocks).ok()
}

fn unsupported(element: Element<'_>, what: &str, uri: &str) -> Fault {
    element.fault(format!("{what} with \"{}\", which is not supported", printable(uri, 100)))
}
