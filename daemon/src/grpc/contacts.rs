//! Where codes can be sent to: setting it, and sending a code there.

use twinlock_proto::v1::{self, ContactRequest};

use super::{
    Ports,
    accounts::{Named, other_uid},
    status::Undecided,
};
use crate::{
    access::Administrator,
    accounts::Account,
    audit,
    delivery::{Address, destination},
    engine::{
        delivery::ContactKind,
        enrollment::{Added, Voucher},
    },
    factor::delivered::KEY,
    names::{FactorId, UserName},
    random,
    seal::Binding,
    secret::Secret,
    store::NewContact,
};

/// What the secret behind delivered codes is sealed as.
pub(super) const COURIER: &str = "courier";

/// What stands for a factor in its binding: there is one an account.
pub(super) fn courier_id() -> FactorId {
    FactorId(COURIER.to_owned())
}

impl Ports {
    /// What an administrator says of a user's contacts.
    pub(super) async fn set_contacts(
        &self,
        by: &Administrator,
        request: &ContactRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        if request.remove {
            let removed = match &portfolio {
                Some(portfolio) => {
                    let record = self.record(by, audit::Event::Contact, &account.name, "email", "removed");
                    self.store.remove_contact(portfolio.account, ContactKind::Email, record).await?
                }
                None => false,
            };
            if !removed {
                return Err(Undecided::NotFound(format!("{} has no mail address here", account.name)));
            }
        } else {
            let address = Address::parse(&request.email).map_err(Undecided::Conflict)?;
            let told = format!("{}{}", address.masked(), if request.verified { ", verified" } else { "" });
            let record = self.record(by, audit::Event::Contact, &account.name, "email", &told);
            let how = (request.verified, Voucher::Administrator);
            if self.store_contact(&account, &address, how, record).await? != Added::Stored {
                return Err(other_uid(&account.name));
            }
        }
        self.show(by, &v1::AccountRequest { user: account.name.clone() }).await
    }

    /// Seals an address and what its codes will be computed from, and stores both.
    pub(super) async fn store_contact(
        &self,
        account: &Account,
        address: &Address,
        (verified, voucher): (bool, Voucher),
        record: audit::Record,
    ) -> Result<Added, Undecided> {
        let user = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let mut bits = [0; 5];
        self.random.fill(&mut bits)?;
        let (id, kind) = (FactorId::from_bits(bits), ContactKind::Email);
        let uid = account.uid;
        let binding = Binding { user: &user, uid, factor: &id, kind: kind.name() };
        let text = Secret::new(address.as_str().as_bytes().to_vec());
        let sealed = self.sealer.seal(&text, binding, self.random.as_ref())?;
        let key = Secret::new(random::bytes(self.random.as_ref(), KEY)?);
        let courier_id = courier_id();
        let binding = Binding { user: &user, uid, factor: &courier_id, kind: COURIER };
        let courier = self.sealer.seal(&key, binding, self.random.as_ref())?;
        let (masked, destination) = (address.masked(), destination(address));
        let contact = NewContact { id, kind, masked, destination, sealed, verified, voucher, courier };
        Ok(self.store.set_contact(&user, uid, contact, self.clock.now(), record).await?)
    }
}
