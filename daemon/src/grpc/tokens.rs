//! Hard tokens: taken in from a file, given to users, set right, taken out of use.

use sha2::{Digest, Sha256};
use tonic::{Status, Streaming};
use twinlock_proto::v1::{
    self, AssignTokenRequest, ResyncTokenRequest, TokenFile, TokenImport, TokenRequest, TokenResync,
};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Ports,
    accounts::{Named, other_uid},
    answers::binding,
    status::Undecided,
};
use crate::{
    access::Administrator,
    audit,
    engine::clock_guard::Trust,
    engine::enrollment::{ADVISED_KEY, Added, MOST_FACTORS, NewFactor, Proof, SHORTEST_KEY, choose_label},
    factor::{Counted, Kind, code::Code, hotp, totp},
    names::{UserName, printable},
    seal::Binding,
    secret::Secret,
    store::{FactorRecord, Portfolio, TokenRecord, TokensAdded},
    tokens::{self, Defaults, Format, MAX_FILE, Unlock},
};

impl Ports {
    /// Reads a file of tokens, and stores all of them in one commit.
    pub(super) async fn import_tokens(
        &self,
        by: &Administrator,
        mut parts: Streaming<TokenFile>,
    ) -> Result<TokenImport, Undecided> {
        let broken =
            |_: Status| Undecided::Conflict("the file did not come whole; nothing is imported".to_owned());
        let mut first = parts.message().await.map_err(broken)?.ok_or(Undecided::Malformed("no file"))?;
        let format = match first.format.as_str() {
            "" => None,
            "csv" => Some(Format::Csv),
            "pskc" => Some(Format::Pskc),
            other => {
                let text = format!("there is no format \"{}\"; there are csv and pskc", printable(other, 16));
                return Err(Undecided::Usage(text));
            }
        };
        let given = |text: &str| (!text.is_empty()).then(|| Secret::new(text.to_owned()));
        let unlock = Unlock {
            password: given(&first.password),
            key: (!first.key.is_empty()).then(|| Secret::new(first.key.clone())),
        };
        let shortest = if first.allow_short { SHORTEST_KEY } else { ADVISED_KEY };
        // As large as it may become: what grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE));
        text.extend_from_slice(&first.data);
        first.data.zeroize();
        while let Some(mut part) = parts.message().await.map_err(broken)? {
            if text.len() + part.data.len() > MAX_FILE {
                return Err(Undecided::Conflict("the file is larger than 32 MiB: split it".to_owned()));
            }
            text.extend_from_slice(&part.data);
            part.data.zeroize();
        }
        let defaults = Defaults { hotp_digits: self.in_force().config.hotp.digits };
        // Passwords are stretched and signatures checked: nobody else should wait for that.
        let read =
            tokio::task::spawn_blocking(move || tokens::read(&text, format, &unlock, defaults, shortest));
        let read = read.await.map_err(|_| Undecided::Malformed("a file of tokens"))?;
        let read = read.map_err(|fault| Undecided::Conflict(format!("{fault}; nothing is imported")))?;
        let count = u32::try_from(read.len()).unwrap_or(u32::MAX);
        let mut records = Vec::with_capacity(read.len());
        for token in read {
            records.push(self.record_of(token)?);
            if records.len().is_multiple_of(500) {
                tokio::task::yield_now().await; // a login may wait
            }
        }
        let record = self.record(by, audit::Event::TokenImport, "", "", &format!("{count} tokens"));
        match self.store.add_tokens(records, record).await? {
            TokensAdded::Stored => Ok(TokenImport { imported: count }),
            TokensAdded::Taken(serial) => Err(Undecided::Conflict(format!(
                "token {} is here already, or another with its key; nothing is imported",
                printable(&serial, 64)
            ))),
        }
    }

    fn record_of(&self, token: tokens::Token) -> Result<TokenRecord, Undecided> {
        let now = self.clock.now();
        let sealed = Some(self.sealer.seal_token(&token.serial, &token.key, self.random.as_ref())?);
        let digest =
            Sha256::new_with_prefix(b"twinlock token v1").chain_update(token.key.expose()).finalize().into();
        let last_step = match token.kind {
            Kind::Hotp => token.counter.checked_sub(1).filter(|last| *last >= 0),
            Kind::Totp => None,
        };
        let tokens::Token { serial, kind, parameters, drift, manufacturer, .. } = token;
        Ok(TokenRecord {
            serial,
            kind,
            parameters,
            last_step,
            drift,
            resync_required: false,
            sealed,
            digest,
            manufacturer,
            created: now,
            user: None,
        })
    }

    async fn token(&self, serial: &str) -> Result<TokenRecord, Undecided> {
        let found = self.store.token(serial.to_owned()).await?;
        found.ok_or_else(|| Undecided::NotFound(format!("there is no token {}", printable(serial, 64))))
    }

    /// Gives a token to a user: it is a factor of theirs from now on.
    pub(super) async fn assign_token(
        &self,
        by: &Administrator,
        request: &AssignTokenRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        let token = self.token(&request.serial).await?;
        let conflict = |text: String| Err(Undecided::Conflict(text));
        let serial = printable(&token.serial, 64);
        let Some(sealed) = &token.sealed else { return conflict(format!("token {serial} is revoked")) };
        if let Some(user) = &token.user {
            return conflict(format!(
                "token {serial} is {user}'s; remove that factor first, or revoke the token"
            ));
        }
        let taken: Vec<_> = portfolio.iter().flat_map(|p| &p.factors).map(|f| f.label.as_str()).collect();
        let wanted = if request.label.is_empty() { &serial } else { &request.label };
        let label = choose_label(wanted, &taken).map_err(Undecided::Conflict)?;
        let key = self.sealer.open_token(&token.serial, sealed)?;
        if let Some(label) = self.holder_of(&key, portfolio.as_ref())? {
            return conflict(format!("{} has this key already, as \"{label}\"", account.name));
        }
        let user = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let (id, uid) = (self.new_factor_id()?, account.uid);
        let binding = Binding { user: &user, uid, factor: &id, kind: token.kind.name() };
        let sealed = self.sealer.seal(&key, binding, self.random.as_ref())?;
        let record = self.record(by, audit::Event::TokenAssign, &account.name, token.kind.name(), &serial);
        let TokenRecord { serial: number, kind, parameters, .. } = token;
        let new = NewFactor {
            id,
            user,
            uid,
            label,
            kind,
            token: Some(number),
            counted: Counted::default(),
            parameters,
            sealed,
            proof: Proof::Administrator { active: true },
            recovery: Vec::new(),
            now: self.clock.now(),
        };
        match self.store.add_factor(new, record).await? {
            Added::Stored => self.show(by, &v1::AccountRequest { user: account.name.clone() }).await,
            Added::TooMany => {
                conflict(format!("{} has {MOST_FACTORS} factors already; remove one", account.name))
            }
            Added::OtherUid => Err(other_uid(&account.name)),
            Added::LabelTaken | Added::NotFirst | Added::NoToken => {
                conflict("the token or the user's factors changed meanwhile; try again".to_owned())
            }
        }
    }

    /// The factor that a token is, and whose.
    async fn holder(&self, token: &TokenRecord) -> Result<(Portfolio, FactorRecord), Undecided> {
        let serial = printable(&token.serial, 64);
        let nobody = || Undecided::Conflict(format!("token {serial} is nobody's: assign it first"));
        let name = token.user.as_deref().ok_or_else(nobody)?;
        let user = UserName::parse(name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let portfolio = self.store.portfolio(&user).await?.ok_or_else(nobody)?;
        let is_it = |factor: &&FactorRecord| factor.serial.as_deref() == Some(token.serial.as_str());
        let factor = portfolio.factors.iter().find(is_it).cloned().ok_or_else(nobody)?;
        Ok((portfolio, factor))
    }

    /// The factor that is meant: by its token's serial number, or by its own identifier.
    async fn counting(&self, named: &str) -> Result<(Portfolio, FactorRecord), Undecided> {
        if let Some(token) = self.store.token(named.to_owned()).await? {
            return self.holder(&token).await;
        }
        let is_it = |factor: &&FactorRecord| factor.id.0 == named;
        let found = self.store.portfolios().await?.into_iter().find_map(|portfolio| {
            let factor = portfolio.factors.iter().find(is_it).cloned()?;
            Some((portfolio, factor))
        });
        let named = printable(named, 64);
        found.ok_or_else(|| {
            Undecided::NotFound(format!("there is no token {named}, nor a factor of that identifier"))
        })
    }

    /// Looks for two codes in a row, far beyond what a login would take. Both are spent then.
    pub(super) async fn resync_token(
        &self,
        by: &Administrator,
        request: &ResyncTokenRequest,
    ) -> Result<TokenResync, Undecided> {
        let (portfolio, factor) = self.counting(&request.serial).await?;
        if factor.kind == Kind::Totp && self.trust_in_clock() != Trust::Believed {
            // It would learn how far off this host is.
            return Err(Undecided::Conflict(
                "the clock of this host is not believed: set it right, then twinlock clock accept".to_owned(),
            ));
        }
        let code = |text: &str| {
            let digits = usize::from(factor.parameters.digits);
            Code::parse(text).ok().filter(|code| code.length() == digits).ok_or_else(|| {
                Undecided::Usage(format!(
                    "write two codes of {digits} digits, the second right after the first"
                ))
            })
        };
        let (first, second) = (code(&request.code)?, code(&request.next_code)?);
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let key = self.sealer.open(&factor.sealed, binding(&user, portfolio.uid, &factor))?;
        let now = self.clock.now();
        let ahead = if factor.resync_required { hotp::FAR_RESYNC } else { hotp::RESYNC };
        let found = match factor.kind {
            Kind::Hotp => hotp::Generator::new(&key, factor.parameters.algorithm, factor.parameters.digits)
                .resync(&first, &second, factor.next_counter(), ahead),
            Kind::Totp => {
                totp::Generator::new(&key, factor.parameters).resync(&first, &second, now, factor.last_step)
            }
        };
        let named = printable(&request.serial, 64);
        let record = self.record(by, audit::Event::TokenResync, &portfolio.name, factor.kind.name(), &named);
        let Some(to) = found else {
            let denied = audit::Record { outcome: audit::Outcome::Denied, ..record };
            self.store.append(denied).await?;
            return Ok(TokenResync { found: false });
        };
        Ok(TokenResync { found: self.store.resync(portfolio.account, factor.id, to, record).await? })
    }

    /// Takes a token out of use.
    pub(super) async fn revoke_token(
        &self,
        by: &Administrator,
        request: &TokenRequest,
    ) -> Result<v1::Token, Undecided> {
        let token = self.token(&request.serial).await?;
        let user = token.user.clone().unwrap_or_default();
        let record = self.record(by, audit::Event::TokenRevoke, &user, token.kind.name(), &token.serial);
        if !self.store.revoke_token(token.serial.clone(), record).await? {
            let serial = printable(&token.serial, 64);
            return Err(Undecided::Conflict(format!("token {serial} is revoked already")));
        }
        Ok(described(self.token(&request.serial).await?))
    }
}

/// A token as an administrator sees it.
pub(super) fn described(token: TokenRecord) -> v1::Token {
    let state = match (&token.sealed, &token.user) {
        (None, _) => "revoked",
        (Some(_), None) => "free",
        (Some(_), Some(_)) => "assigned",
    };
    v1::Token {
        serial: token.serial,
        kind: token.kind.name().to_owned(),
        state: state.to_owned(),
        user: token.user.unwrap_or_default(),
        manufacturer: token.manufacturer,
        digits: u32::from(token.parameters.digits),
        created: token.created.secs(),
        resync_required: token.resync_required,
    }
}
