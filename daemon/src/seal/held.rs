//! What of the store is sealed, and what each secret is bound to.

use super::{Binding, SealError, Sealer};
use crate::{
    names::{FactorId, UserName},
    random::Random,
    secret::{Sealed, Secret},
    store::{Portfolio, TokenRecord, Vault},
};

/// What the secret behind delivered codes is sealed as.
pub const COURIER: &str = "courier";

/// What the binding code of an invitation is sealed as.
pub const BINDING_CODE: &str = "binding";

/// What the key of a token in the store is bound to, besides its serial number: it is kept there while it is somebody's too.
const NOBODY: (&str, u32) = ("token", u32::MAX);

/// What stands for a factor in its binding: there is one an account.
#[must_use]
pub fn courier_id() -> FactorId {
    FactorId(COURIER.to_owned())
}

/// A sealed secret of an account.
pub struct Held<'a> {
    /// Which.
    pub of: Vault,
    /// The secret.
    pub sealed: &'a Sealed,
    id: FactorId,
    kind: &'static str,
}

impl Held<'_> {
    /// What it is bound to.
    #[must_use]
    pub const fn binding<'a>(&'a self, user: &'a UserName, portfolio: &Portfolio) -> Binding<'a> {
        Binding { user, uid: portfolio.uid, factor: &self.id, kind: self.kind }
    }

    const fn what(&self) -> &'static str {
        match self.of {
            Vault::Factor(_) => "factor",
            Vault::Contact(_) => "contact",
            Vault::Token(_) => "token",
            Vault::Courier(_) => "the secret behind delivered codes,",
            Vault::Invitation(_) => "the binding code of invitation",
        }
    }
}

/// Everything of an account that is sealed.
#[must_use]
pub fn held(portfolio: &Portfolio) -> Vec<Held<'_>> {
    let factors = portfolio.factors.iter().map(|factor| {
        let (of, id) = (Vault::Factor(factor.id.clone()), factor.id.clone());
        Held { of, id, kind: factor.kind.name(), sealed: &factor.sealed }
    });
    let contacts = portfolio.contacts.iter().map(|contact| {
        let (of, id) = (Vault::Contact(contact.id.clone()), contact.id.clone());
        Held { of, id, kind: contact.kind.name(), sealed: &contact.sealed }
    });
    let courier = portfolio.courier.iter().map(|sealed| Held {
        of: Vault::Courier(portfolio.account),
        id: courier_id(),
        kind: COURIER,
        sealed,
    });
    let invitation = portfolio.invitation.iter().map(|invitation| Held {
        of: Vault::Invitation(portfolio.account),
        id: invitation.id.clone(),
        kind: BINDING_CODE,
        sealed: &invitation.code,
    });
    factors.chain(contacts).chain(courier).chain(invitation).collect()
}

impl Sealer {
    /// What does not open of an account, a sentence each.
    pub fn unreadable<'a>(&'a self, portfolio: &'a Portfolio) -> impl Iterator<Item = String> + 'a {
        held(portfolio).into_iter().filter_map(|held| {
            let opened = UserName::parse(&portfolio.name)
                .map_err(|_| "its user's name is none".to_owned())
                .and_then(|user| {
                    self.open(held.sealed, held.binding(&user, portfolio)).map_err(|error| error.to_string())
                });
            opened.err().map(|why| format!("{} {} of {}: {why}", held.what(), held.id.0, portfolio.name))
        })
    }

    /// Why a token does not open.
    #[must_use]
    pub fn unreadable_token(&self, token: &TokenRecord) -> Option<String> {
        let opened = self.open_token(&token.serial, token.sealed.as_ref()?);
        opened.err().map(|error| format!("token {}: {error}", token.serial))
    }

    /// Seals the key of a token.
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    pub fn seal_token(
        &self,
        serial: &str,
        key: &Secret<Vec<u8>>,
        random: &dyn Random,
    ) -> Result<Sealed, SealError> {
        let (user, id) = (nobody()?, FactorId(serial.to_owned()));
        self.seal(key, Binding { user: &user, uid: NOBODY.1, factor: &id, kind: NOBODY.0 }, random)
    }

    /// Opens it, for one use.
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    pub fn open_token(&self, serial: &str, sealed: &Sealed) -> Result<Secret<Vec<u8>>, SealError> {
        let (user, id) = (nobody()?, FactorId(serial.to_owned()));
        self.open(sealed, Binding { user: &user, uid: NOBODY.1, factor: &id, kind: NOBODY.0 })
    }
}

fn nobody() -> Result<UserName, SealError> {
    UserName::parse(NOBODY.0).map_err(|_| SealError::Refused)
}
