//! `EnrollmentPage`: what a link and its binding code allow, and nothing else. The key that is shown lives here, in memory,
//! until a code of it was seen; then factor, recovery codes and the end of the link are one commit.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use twinlock_proto::v1::{
    AppEnrolled, BindingRequest, BindingResult, Bound, ConfirmAppRequest, ConfirmAppResult, DeadLink,
    LinkRequest, LinkState, Offer, Settings, SettingsRequest, WrongAppCode, WrongBinding, binding_result,
    confirm_app_result, enrollment_page_server,
};

use super::{
    Ports, answers,
    enrolling::Setup,
    policy::Place,
    shown::{Session, State},
    spares::told,
    status::{Undecided, undecided},
};
use crate::{
    access::{self, EnrollmentPage},
    accounts::{Account, Lane},
    audit,
    clock::Timestamp,
    engine::{
        clock_guard::Trust,
        enrollment::{Added, MOST_FACTORS, Pending, Proof, choose_label},
        invitation::{Binding, BindingTry},
        policy::Method,
    },
    factor::{
        code::Code,
        link::{BindingCode, LinkToken},
        totp::{self, Match},
    },
    names::{FactorId, UserName, printable},
    random,
    secret::Secret,
    store::{Portfolio, StoreError},
};

pub(super) struct Service {
    ports: Arc<Ports>,
}

impl Service {
    pub(super) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }
}

#[tonic::async_trait]
impl enrollment_page_server::EnrollmentPage for Service {
    async fn read_settings(&self, request: Request<SettingsRequest>) -> Result<Response<Settings>, Status> {
        let page = access::enrollment_page(&request)?;
        Ok(Response::new(self.ports.page_settings(&page)))
    }

    async fn look_at_link(&self, request: Request<LinkRequest>) -> Result<Response<LinkState>, Status> {
        let page = access::looking_page(&request)?;
        let answer = self.ports.look(&page, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn prove_binding(
        &self,
        request: Request<BindingRequest>,
    ) -> Result<Response<BindingResult>, Status> {
        let page = access::enrollment_page(&request)?;
        let answer = self.ports.prove_binding(&page, request.get_ref()).await;
        let answer = answer.map(|kind| Response::new(BindingResult { kind: Some(kind) }));
        answer.map_err(|error| undecided(&error))
    }

    async fn confirm_app(
        &self,
        request: Request<ConfirmAppRequest>,
    ) -> Result<Response<ConfirmAppResult>, Status> {
        let page = access::enrollment_page(&request)?;
        let answer = self.ports.confirm_app(&page, request.get_ref()).await;
        let answer = answer.map(|kind| Response::new(ConfirmAppResult { kind: Some(kind) }));
        answer.map_err(|error| undecided(&error))
    }
}

impl Ports {
    fn page_settings(&self, _: &EnrollmentPage) -> Settings {
        let force = self.in_force();
        let web = force.config.web.clone();
        Settings {
            url: web.url.unwrap_or_default().trim_end_matches('/').to_owned(),
            listen: web.listen,
            certificate: web.certificate.unwrap_or_default(),
            key: web.key.unwrap_or_default(),
            proxies: web.proxies,
            issuer: force.issuer.clone(),
            host: force.host.clone(),
            language: force.config.codes.language.into(),
            logo: force.logo.clone(),
        }
    }

    async fn look(&self, _: &EnrollmentPage, request: &LinkRequest) -> Result<LinkState, Undecided> {
        let portfolio = self.store.invited(LinkToken::digest(&request.token)).await?;
        let invitation = portfolio.and_then(|portfolio| portfolio.invitation);
        Ok(LinkState { alive: invitation.is_some_and(|open| open.is_open(self.clock.now())) })
    }

    async fn prove_binding(
        self: &Arc<Self>,
        _: &EnrollmentPage,
        request: &BindingRequest,
    ) -> Result<binding_result::Kind, Undecided> {
        let dead = || binding_result::Kind::Dead(DeadLink {});
        let portfolio = self.store.invited(LinkToken::digest(&request.token)).await?;
        let Some(portfolio) = portfolio else { return Ok(dead()) };
        let Some(invitation) = &portfolio.invitation else { return Ok(dead()) };
        let code = self.binding_code(&portfolio, invitation)?;
        let now = self.clock.now();
        let right = match BindingCode::parse(&request.binding_code) {
            Some(typed) => typed.is(&code),
            // A scanner that fills in forms, a phone that writes another dash: no try.
            None if invitation.is_open(now) => {
                let tries_left = invitation.tries_left();
                return Ok(binding_result::Kind::Wrong(WrongBinding { tries_left, malformed: true }));
            }
            None => return Ok(dead()),
        };
        let tried = BindingTry { account: portfolio.account, id: invitation.id.clone(), right, now };
        let subject = from_page(&portfolio.name, &request.source);
        match self.store.try_binding(tried, self.told_on_page(audit::Event::Binding, subject)).await? {
            Binding::Dead => Ok(dead()),
            Binding::Wrong(tries_left) => {
                Ok(binding_result::Kind::Wrong(WrongBinding { tries_left, malformed: false }))
            }
            Binding::Right => match self.invitee(&portfolio).await? {
                Some(account) => {
                    self.show_key(&portfolio, account, (&invitation.id, invitation.expires)).await
                }
                None => Ok(dead()),
            },
        }
    }

    /// Whom an invitation means, if that is who it was for, and may have an app.
    async fn invitee(&self, portfolio: &Portfolio) -> Result<Option<Account>, Undecided> {
        let name =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let force = self.in_force();
        let found = self.directory.by_name(Lane::Other, &name, &force.named).await?;
        let Some(account) = found.filter(|account| account.uid == portfolio.uid) else { return Ok(None) };
        let decision = self.decide(&force, &account, Some(portfolio), Place::default());
        let has_room = portfolio.factors.len() < MOST_FACTORS;
        Ok((has_room && decision.methods.contains(&Method::Totp)).then_some(account))
    }

    /// A key for an invitation: the one that was shown before, or a new one. Who comes again has a session of their own.
    async fn show_key(
        self: &Arc<Self>,
        portfolio: &Portfolio,
        account: Account,
        (invitation, until): (&FactorId, Timestamp),
    ) -> Result<binding_result::Kind, Undecided> {
        self.shown.forget_old(self.clock.now());
        let name = account.name.clone();
        let (pending, setup) = match self.shown.take(invitation).await {
            Some(before) => before,
            None => {
                let parameters = self.in_force().config.totp.parameters();
                let length = parameters.algorithm.key_length();
                let key = Secret::new(random::bytes(self.random.as_ref(), length)?);
                let wanted = self.wants_recovery(portfolio, &account);
                let label = String::new(); // chosen when it is stored
                (Pending { key, parameters, label }, Setup::begin(self, account, wanted))
            }
        };
        let session = LinkToken::generate(self.random.as_ref())?;
        let offer = self.offer(&pending, &name)?;
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let new = Session::new(invitation.clone(), (user, portfolio.uid), until, (pending, setup));
        self.shown.keep(LinkToken::digest(session.text()), new)?;
        let (session, offer) = (session.text().to_owned(), Some(offer));
        Ok(binding_result::Kind::Bound(Bound { session, offer, user: name }))
    }

    /// Whether recovery codes come with an app of theirs.
    fn wants_recovery(&self, portfolio: &Portfolio, account: &Account) -> bool {
        let decision = self.decide(&self.in_force(), account, Some(portfolio), Place::default());
        decision.recovery && portfolio.recovery_left == 0 && decision.renewing().contains(&Method::Totp)
    }

    fn offer(&self, pending: &Pending, user: &str) -> Result<Offer, Undecided> {
        let uri = totp::uri(&pending.key, pending.parameters, &self.in_force().issuer, user)
            .map_err(|_| Undecided::Malformed("a name that no link can hold"))?;
        let secret = data_encoding::BASE32_NOPAD.encode(pending.key.expose());
        Ok(Offer { secret, uri: uri.expose().clone() })
    }

    /// In a task of its own: a browser that goes away in the middle takes nothing back, and finds the same page again.
    async fn confirm_app(
        self: &Arc<Self>,
        _: &EnrollmentPage,
        request: &ConfirmAppRequest,
    ) -> Result<confirm_app_result::Kind, Undecided> {
        if self.trust_in_clock() != Trust::Believed {
            return Err(answers::clock_is_off());
        }
        self.shown.forget_old(self.clock.now());
        let Some(session) = self.shown.find(&LinkToken::digest(&request.session)) else { return Ok(dead()) };
        let (ports, code, source) =
            (Arc::clone(self), Code::parse(&request.code).ok(), request.source.clone());
        let confirming = tokio::spawn(async move { ports.confirm(&session, code, &source).await });
        confirming.await.map_err(|_| Undecided::Store(StoreError::Stopped))?
    }

    async fn confirm(
        self: &Arc<Self>,
        session: &Session,
        code: Option<Code>,
        source: &str,
    ) -> Result<confirm_app_result::Kind, Undecided> {
        let mut state = session.state.lock().await;
        let pending = match &*state {
            State::Enrolled { label, recovery } => return Ok(enrolled(label, recovery)),
            State::Over => return Ok(dead()),
            State::Waits(pending, _) => pending,
        };
        let portfolio = self.store.portfolio(&session.user).await?.filter(|of| of.uid == session.uid);
        let account = match &portfolio {
            Some(portfolio) => self.invitee(portfolio).await?,
            None => None,
        };
        let (Some(portfolio), Some(account)) = (portfolio, account) else { return Ok(dead()) };
        let window = self.in_force().config.totp.accepted();
        let Some(matched) = code.and_then(|code| pending.confirm(&code, self.clock.now(), window)) else {
            let offer = Some(self.offer(pending, &account.name)?);
            return Ok(confirm_app_result::Kind::Wrong(WrongAppCode { offer, user: account.name.clone() }));
        };
        let State::Waits(pending, mut setup) = std::mem::replace(&mut *state, State::Over) else {
            return Ok(dead());
        };
        let key = Secret::new(pending.key.expose().clone());
        let parameters = pending.parameters;
        let wanted = self.wants_recovery(&portfolio, &account);
        let stored = self
            .store_app((&portfolio, &account), pending, (matched, session), (&mut setup, wanted), source)
            .await;
        match stored {
            Ok(Some((label, recovery))) => {
                let page = enrolled(&label, &recovery);
                *state = State::Enrolled { label, recovery };
                session.ends_soon(self.clock.now());
                Ok(page)
            }
            Ok(None) => Ok(dead()),
            Err(error) => {
                // Nothing was stored: the same key waits on.
                let pending = Pending { key, parameters, label: String::new() };
                *state = State::Waits(pending, Setup::begin(self, account, wanted));
                Err(error)
            }
        }
    }

    /// Stores the factor and its recovery codes, and ends the link; `None`: that was over already.
    async fn store_app(
        &self,
        (portfolio, account): (&Portfolio, &Account),
        pending: Pending,
        (matched, session): (Match, &Session),
        (setup, wanted): (&mut Setup, bool),
        source: &str,
    ) -> Result<Option<(String, Vec<Secret<String>>)>, Undecided> {
        let (codes, rows) = if wanted { setup.recovery().await? } else { (Vec::new(), Vec::new()) };
        let taken: Vec<_> = portfolio.factors.iter().map(|factor| factor.label.as_str()).collect();
        let label = choose_label("", &taken).map_err(Undecided::Conflict)?;
        let pending = Pending { label: label.clone(), ..pending };
        let proof = Proof::Invitation(matched, session.invitation.clone());
        let new = self.new_factor((&account.name, account.uid), pending, proof, rows)?;
        let mut record = self.told_on_page(audit::Event::Enroll, from_page(&account.name, source));
        (record.method, record.reason) = (Method::Totp.name(), new.id.0.clone());
        match self.store.add_factor(new, record).await? {
            Added::Stored => Ok(Some((label, codes))),
            Added::NotFirst | Added::OtherUid | Added::NoToken | Added::TooMany | Added::LabelTaken => {
                Ok(None)
            }
        }
    }

    fn told_on_page(&self, event: audit::Event, subject: audit::Subject) -> audit::Record {
        let (time, outcome) = (self.clock.now(), audit::Outcome::Granted);
        audit::Record { time, event, subject, method: "", outcome, reason: String::new() }
    }
}

fn dead() -> confirm_app_result::Kind {
    confirm_app_result::Kind::Dead(DeadLink {})
}

fn enrolled(label: &str, recovery: &[Secret<String>]) -> confirm_app_result::Kind {
    let recovery = (!recovery.is_empty()).then(|| told(recovery));
    confirm_app_result::Kind::Enrolled(AppEnrolled { label: label.to_owned(), recovery })
}

/// The address is what the page says: it decides nothing.
fn from_page(user: &str, source: &str) -> audit::Subject {
    audit::Subject {
        user: user.to_owned(),
        service: "web".to_owned(),
        rhost: printable(source, 64),
        actor: twinlock_proto::WEB_USER.to_owned(),
        claimed_by: String::new(),
    }
}
