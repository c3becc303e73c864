//! Secrets at rest: XChaCha20-Poly1305 under a data key, which is itself wrapped by the sealing key that the
//! store never holds. Each secret is bound to its user, factor, kind and key version, so that rows cannot be
//! swapped.

mod held;
mod keysource;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{PoisonError, RwLock},
};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    names::{FactorId, UserName},
    random::{self, NoRandomness, Random},
    secret::{Sealed, Secret},
    store::WrappedKey,
};

pub use held::{BINDING_CODE, COURIER, Held, courier_id, held};
pub use keysource::{KEY_FILE, KeySource, KeySourceError};

/// Length of a key, in bytes.
pub const KEY: usize = 32;
const NONCE: usize = 24;

/// Why a secret could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// It was changed, belongs to something else, or was sealed with another key.
    Refused,
    /// It names a data key that is not in the keyring.
    UnknownKey(u32),
    /// There were no random bytes for a nonce.
    NoRandomness,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("a sealed secret was changed, moved, or sealed with another key"),
            Self::UnknownKey(version) => write!(f, "there is no data key {version} in the keyring"),
            Self::NoRandomness => f.write_str("the system gave no random bytes"),
        }
    }
}

impl std::error::Error for SealError {}

impl From<NoRandomness> for SealError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// What a secret is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Canonical name of the user.
    pub user: &'a UserName,
    /// uid of the user.
    pub uid: u32,
    /// The factor.
    pub factor: &'a FactorId,
    /// The kind of factor.
    pub kind: &'a str,
}

impl Binding<'_> {
    /// The associated data: every part with its length before it, so that no two bindings read the same.
    fn associated(&self, key_version: u32) -> Vec<u8> {
        let mut data = b"twinlock factor v1".to_vec();
        let (uid, version) = (self.uid.to_be_bytes(), key_version.to_be_bytes());
        let parts =
            [self.user.as_str().as_bytes(), &uid, self.factor.0.as_bytes(), self.kind.as_bytes(), &version];
        for part in parts {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// The data keys, unwrapped. Those that were retired stay until the daemon ends: a login may have read what they seal.
pub struct Sealer {
    keys: RwLock<BTreeMap<u32, DataKey>>,
}

/// A data key, ready for use.
struct DataKey {
    cipher: XChaCha20Poly1305,
    /// For digests: another key than that which seals.
    digests: Hmac<Sha256>,
}

impl DataKey {
    fn new(key: &[u8]) -> Option<Self> {
        let derived =
            Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(b"twinlock digest v1").finalize();
        Some(Self {
            cipher: XChaCha20Poly1305::new_from_slice(key).ok()?,
            digests: Hmac::new_from_slice(&derived.into_bytes()).ok()?,
        })
    }
}

impl Sealer {
    /// Unwraps the keyring with the sealing key.
    ///
    /// # Errors
    ///
    /// When the sealing key is not the one that wrapped it.
    pub fn unwrap(sealing_key: &Secret<[u8; KEY]>, ring: &[WrappedKey]) -> Result<Self, SealError> {
        let sealer = Self { keys: RwLock::default() };
        sealer.learn(sealing_key, ring)?;
        Ok(sealer)
    }

    /// Takes the keys of this ring too; from now on the newest of all seals.
    ///
    /// # Errors
    ///
    /// When the sealing key is not the one that wrapped it.
    pub fn learn(&self, sealing_key: &Secret<[u8; KEY]>, ring: &[WrappedKey]) -> Result<(), SealError> {
        let wrapping = XChaCha20Poly1305::new(sealing_key.expose().into());
        let keys = ring.iter().map(|entry| {
            let data_key = unwrap_key(&wrapping, entry)?;
            Ok((entry.version, DataKey::new(&data_key).ok_or(SealError::Refused)?))
        });
        let keys = keys.collect::<Result<Vec<_>, SealError>>()?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).extend(keys);
        Ok(())
    }

    /// Makes the first data key, wrapped for the keyring.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn first_key(sealing_key: &Secret<[u8; KEY]>, random: &dyn Random) -> Result<WrappedKey, SealError> {
        new_key(&XChaCha20Poly1305::new(sealing_key.expose().into()), 1, random)
    }

    /// The keyring with one more data key, all of it wrapped by `next`.
    ///
    /// # Errors
    ///
    /// When `current` is not the key that wrapped it, or there is no randomness.
    pub fn next_ring(
        current: &Secret<[u8; KEY]>,
        next: &Secret<[u8; KEY]>,
        ring: &[WrappedKey],
        random: &dyn Random,
    ) -> Result<Vec<WrappedKey>, SealError> {
        let [current, next] = [current, next].map(|key| XChaCha20Poly1305::new(key.expose().into()));
        let newest = ring.iter().map(|entry| entry.version).max().unwrap_or(0);
        let rewrapped = ring.iter().map(|entry| {
            let data_key = unwrap_key(&current, entry)?;
            let wrapped = seal(&next, &data_key, &ring_label(entry.version), random)?;
            Ok(WrappedKey { version: entry.version, wrapped })
        });
        rewrapped.chain([new_key(&next, newest + 1, random)]).collect()
    }

    /// Seals a secret with the newest data key.
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    pub fn seal(
        &self,
        secret: &Secret<Vec<u8>>,
        binding: Binding<'_>,
        random: &dyn Random,
    ) -> Result<Sealed, SealError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (key_version, key) = keys.last_key_value().ok_or(SealError::UnknownKey(0))?;
        let bytes = seal(&key.cipher, secret.expose(), &binding.associated(*key_version), random)?;
        Ok(Sealed { key_version: *key_version, bytes })
    }

    /// Opens a secret, for one use.
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    pub fn open(&self, sealed: &Sealed, binding: Binding<'_>) -> Result<Secret<Vec<u8>>, SealError> {
        let Sealed { key_version, bytes } = sealed;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(key_version).ok_or(SealError::UnknownKey(*key_version))?;
        open(&key.cipher, bytes, &binding.associated(*key_version)).map(Secret::new)
    }
}

impl Sealer {
    /// A digest of something that could be guessed, under the newest data key: equal for equal things until the keys change.
    ///
    /// # Errors
    ///
    /// When there is no key.
    pub fn digest(&self, of: &[u8]) -> Result<[u8; 32], SealError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (_, key) = keys.last_key_value().ok_or(SealError::UnknownKey(0))?;
        Ok(key.digests.clone().chain_update(of).finalize().into_bytes().into())
    }
}

fn new_key(wrapping: &XChaCha20Poly1305, version: u32, random: &dyn Random) -> Result<WrappedKey, SealError> {
    let data_key = Zeroizing::new(random::bytes(random, KEY)?);
    Ok(WrappedKey { version, wrapped: seal(wrapping, &data_key, &ring_label(version), random)? })
}

fn unwrap_key(wrapping: &XChaCha20Poly1305, entry: &WrappedKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
    open(wrapping, &entry.wrapped, &ring_label(entry.version)).map(Zeroizing::new)
}

fn ring_label(version: u32) -> Vec<u8> {
    [&b"twinlock keyring v1"[..], &version.to_be_bytes()].concat()
}

/// Nonce, then ciphertext and tag.
fn seal(
    cipher: &XChaCha20Poly1305,
    plain: &[u8],
    associated: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce)?;
    let payload = Payload { msg: plain, aad: associated };
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::Refused)?;
    Ok([&nonce[..], &sealed].concat())
}

fn open(cipher: &XChaCha20Poly1305, bytes: &[u8], associated: &[u8]) -> Result<Vec<u8>, SealError> {
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(SealError::Refused)?;
    cipher
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: associated })
        .map_err(|_| SealError::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    fn sealer() -> Sealer {
        let key = Secret::new([7; KEY]);
        Sealer::unwrap(&key, &[Sealer::first_key(&key, &SystemRandom).unwrap()]).unwrap()
    }

    #[test]
    fn a_secret_opens_only_where_it_was_sealed() {
        let (alice, bob) = (UserName::parse("alice").unwrap(), UserName::parse("bob").unwrap());
        let (one, two) = (FactorId("one".into()), FactorId("two".into()));
        let at = Binding { user: &alice, uid: 1000, factor: &one, kind: "totp" };
        let sealer = sealer();
        let sealed = sealer.seal(&Secret::new(b"key".to_vec()), at, &SystemRandom).unwrap();
        assert_eq!(sealer.open(&sealed, at).unwrap().expose(), b"key");
        for elsewhere in [
            Binding { user: &bob, ..at },
            Binding { uid: 1001, ..at },
            Binding { factor: &two, ..at },
            Binding { kind: "hotp", ..at },
        ] {
            assert_eq!(sealer.open(&sealed, elsewhere).err(), Some(SealError::Refused));
        }
    }

    #[test]
    fn digests_have_a_key_and_are_the_same_until_it_changes() {
        let key = Secret::new([7; KEY]);
        let ring = vec![Sealer::first_key(&key, &SystemRandom).unwrap()];
        let sealer = Sealer::unwrap(&key, &ring).unwrap();
        let number = || sealer.digest(b"+4915112345678").unwrap();
        let before = number();
        assert_eq!(before, number());
        assert_ne!(before, sealer.digest(b"+4915112345679").unwrap());
        let again = Sealer::unwrap(&key, &ring).unwrap();
        assert_eq!(before, again.digest(b"+4915112345678").unwrap(), "after a restart");
        let other = Secret::new([8; KEY]);
        let elsewhere = Sealer::unwrap(&other, &[Sealer::first_key(&other, &SystemRandom).unwrap()]).unwrap();
        assert_ne!(before, elsewhere.digest(b"+4915112345678").unwrap());
        let plain = <Sha256 as sha2::Digest>::digest(b"+4915112345678");
        assert_ne!(before.as_slice(), plain.as_slice(), "nobody computes it from the number alone");
        sealer.learn(&key, &Sealer::next_ring(&key, &key, &ring, &SystemRandom).unwrap()).unwrap();
        assert_ne!(before, number());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let (alice, one) = (UserName::parse("alice").unwrap(), FactorId("one".into()));
        let at = Binding { user: &alice, uid: 1000, factor: &one, kind: "totp" };
        let sealer = sealer();
        let sealed = sealer.seal(&Secret::new(b"key".to_vec()), at, &SystemRandom).unwrap();
        for bit in 0..sealed.bytes.len() * 8 {
            let mut flipped = sealed.clone();
            flipped.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(&flipped, at).is_err(), "bit {bit}");
        }
        assert!(sealer.open(&Sealed { key_version: 1, bytes: vec![] }, at).is_err());
        assert_eq!(
            sealer.open(&Sealed { key_version: 2, ..sealed }, at).err(),
            Some(SealError::UnknownKey(2))
        );
    }

    #[test]
    fn behind_a_rotation_the_new_key_seals_and_both_open() {
        let (alice, one) = (UserName::parse("alice").unwrap(), FactorId("one".into()));
        let at = Binding { user: &alice, uid: 1000, factor: &one, kind: "totp" };
        let [old_key, new_key] = [7, 8].map(|byte| Secret::new([byte; KEY]));
        let ring = [Sealer::first_key(&old_key, &SystemRandom).unwrap()];
        let sealer = Sealer::unwrap(&old_key, &ring).unwrap();
        let old = sealer.seal(&Secret::new(b"key".to_vec()), at, &SystemRandom).unwrap();
        let next = Sealer::next_ring(&old_key, &new_key, &ring, &SystemRandom).unwrap();
        sealer.learn(&new_key, &next).unwrap();
        let new = sealer.seal(&Secret::new(b"key".to_vec()), at, &SystemRandom).unwrap();
        assert_eq!((old.key_version, new.key_version), (1, 2));
        for sealed in [&old, &new] {
            assert_eq!(sealer.open(sealed, at).unwrap().expose(), b"key");
        }
        assert_eq!(Sealer::unwrap(&old_key, &next).err(), Some(SealError::Refused));
    }

    #[test]
    fn another_sealing_key_unwraps_nothing() {
        let ring = [Sealer::first_key(&Secret::new([7; KEY]), &SystemRandom).unwrap()];
        assert_eq!(Sealer::unwrap(&Secret::new([8; KEY]), &ring).err(), Some(SealError::Refused));
    }
}
