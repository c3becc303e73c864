//! Gives out links: at a login, to a user, to the members of a group.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tonic::Status;
use twinlock_proto::v1::{self, GroupInvitation, InviteRequest};
use zeroize::Zeroizing;

use super::{
    Ports,
    accounts::other_uid,
    policy::{InForce, Place},
    sending::PROMPT,
    status::Undecided,
};
use crate::{
    access::Administrator,
    accounts::{Account, DirectoryError, Lane},
    audit,
    clock::Timestamp,
    delivery::{Address, Contact, Message, Outcome as Sent, Text},
    engine::{
        delivery::{ContactKind, Issued},
        enrollment::MOST_FACTORS,
        invitation::{AT_LOGIN, Grant, InvitationRecord, NewInvitation},
        inviting::{Invited, Outcome},
        policy::{Method, Named},
        throttle::{Account as Charged, Budget},
    },
    factor::link::{BindingCode, LinkToken},
    names::{FactorId, Source, UserName, printable},
    seal::{BINDING_CODE, Binding},
    secret::Secret,
    store::{ContactRecord, Portfolio},
};

/// An administrator waits for what a mail server says; the command waits a little longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A link, just made.
struct Link {
    id: FactorId,
    text: Secret<String>,
    code: Zeroizing<String>,
    expires: Timestamp,
}

impl Ports {
    /// The open link of somebody who logs in, or a new one.
    pub(super) async fn invite_at_login(
        self: &Arc<Self>,
        force: &Arc<InForce>,
        (account, portfolio): (&Account, Option<&Portfolio>),
        (source, subject): (&Source, &audit::Subject),
    ) -> Result<Outcome, Undecided> {
        let Some(portfolio) = portfolio else { return Ok(Outcome::Impossible) }; // no address
        let contact = portfolio.contacts.iter().find(|contact| is_for_links(contact));
        let (Some(contact), true) = (contact, force.config.web.url.is_some()) else {
            return Ok(Outcome::Impossible);
        };
        let rule = force.config.limits.user();
        let budgets = vec![Budget { account: Charged::User(portfolio.account), rule }];
        let shown = |masked: &str, code| {
            let masked = masked.to_owned();
            Outcome::Invited(Invited { account: portfolio.account, budgets, masked, code })
        };
        let now = self.clock.now();
        match portfolio.invitation.as_ref().filter(|open| open.is_open(now)) {
            Some(open) if open.grant == Grant::Login => {
                return Ok(shown(&open.masked, Some(self.binding_code(portfolio, open)?.text())));
            }
            // Its code is the administrator's to hand over, and not for whoever has the password.
            Some(open) => return Ok(shown(&open.masked, None)),
            None => {}
        }
        let to = self.opened(portfolio, contact)?;
        let wish = self.wish(force, portfolio.account, (&to, Method::Email), source.clone())?;
        if let Issued::Refused(limit) = self.store.count_sending(wish).await? {
            self.told_of_sending(subject.clone(), Method::Email, audit::Outcome::Denied, limit).await;
            return Ok(Outcome::NotMailed);
        }
        let record = self.told_of_link(subject.clone(), &to);
        let link = self.new_link(force, account, (Grant::Login, Some(&to)), record).await?;
        // Where it is not taken, the link ends, and the next login tries again.
        match self.mail(force, account, (to, &link), subject.clone(), PROMPT).await? {
            true => Ok(shown(&contact.masked, Some(link.code))),
            false => Ok(Outcome::NotMailed),
        }
    }

    /// A link for one user.
    pub(super) async fn invite(
        self: &Arc<Self>,
        by: &Administrator,
        request: &InviteRequest,
    ) -> Result<v1::Invitation, Undecided> {
        let account = self.existing(by, &request.user).await?;
        self.invite_account(by, &account, request).await
    }

    async fn invite_account(
        self: &Arc<Self>,
        by: &Administrator,
        account: &Account,
        request: &InviteRequest,
    ) -> Result<v1::Invitation, Undecided> {
        let (force, name) = (self.in_force(), &account.name);
        if force.config.web.url.is_none() {
            return Err(Undecided::Conflict(
                "there is no enrollment page that a link could lead to: set url in [web], see twinlock-web(8)"
                    .to_owned(),
            ));
        }
        let portfolio = self.portfolio_of(account).await?;
        let decision = self.decide(&force, account, portfolio.as_ref(), Place::default());
        if !decision.methods.contains(&Method::Totp) {
            return Err(Undecided::Conflict(format!(
                "policy gives {name} no authenticator app, which is what the page sets up"
            )));
        }
        if portfolio.as_ref().is_some_and(|portfolio| portfolio.factors.len() >= MOST_FACTORS) {
            return Err(Undecided::Conflict(format!("{name} has {MOST_FACTORS} factors already")));
        }
        let to = match request.no_mail {
            true => None,
            false => Some(self.address_for(portfolio.as_ref(), request, name)?),
        };
        if to.is_some() && force.config.email.from.is_none() {
            return Err(Undecided::Conflict(
                "there is no mail: set from in [email], or hand the link over yourself with --no-mail"
                    .to_owned(),
            ));
        }
        let masked = to.as_ref().map(Contact::masked).unwrap_or_default();
        let told = if masked.is_empty() { "not mailed" } else { &masked };
        let record = self.record(by, audit::Event::Invite, name, "", told);
        let subject = record.subject.clone();
        let link = self.new_link(&force, account, (Grant::Administrator, to.as_ref()), record).await?;
        if let Some(to) = to
            && !self.mail(&force, account, (to, &link), subject, PATIENCE).await?
        {
            return Err(Undecided::Conflict(format!(
                "the link could not be mailed to {masked}, and is dead: twinlock provider test email says why; or hand one over \
                 yourself with --no-mail"
            )));
        }
        Ok(v1::Invitation {
            user: name.clone(),
            link: link.text.expose().clone(),
            binding_code: link.code.to_string(),
            expires: link.expires.secs(),
            masked,
        })
    }

    /// Links for the members of a group who have no factor.
    pub(super) async fn invite_group(
        self: &Arc<Self>,
        by: &Administrator,
        request: &InviteRequest,
        sender: &mpsc::Sender<Result<GroupInvitation, Status>>,
    ) -> Result<(), Undecided> {
        let members = self.members(&request.group).await?;
        let total = u32::try_from(members.len()).unwrap_or(u32::MAX);
        for (account, number) in members.iter().zip(1..) {
            let line = GroupInvitation { user: account.name.clone(), number, total, ..Default::default() };
            let enrolled =
                self.portfolio_of(account).await?.is_some_and(|portfolio| !portfolio.has_no_factor());
            let line = if enrolled {
                GroupInvitation { enrolled, why_not: "has a factor already".to_owned(), ..line }
            } else {
                match self.invite_account(by, account, request).await {
                    Ok(invitation) => GroupInvitation { invitation: Some(invitation), ..line },
                    Err(Undecided::Conflict(why_not) | Undecided::NotFound(why_not)) => {
                        GroupInvitation { why_not, ..line }
                    }
                    Err(error) => return Err(error),
                }
            };
            if sender.send(Ok(line)).await.is_err() {
                return Ok(()); // who asked went away: nobody else is invited
            }
        }
        Ok(())
    }

    /// Whom a group has, by name.
    async fn members(&self, group: &str) -> Result<Vec<Account>, Undecided> {
        let named = Named { groups: [group.to_owned()].into(), ..Named::default() };
        let ids = self.directory.ids(Lane::Admin, &named).await?;
        let gid =
            ids.groups.get(group).copied().ok_or_else(|| {
                Undecided::NotFound(format!("there is no group \"{}\"", printable(group, 64)))
            })?;
        let mut members = Vec::new();
        // Who is in it cannot be known of somebody whose groups cannot be looked up: then nobody is invited.
        let unknown = || DirectoryError("the groups of a user are not known".to_owned());
        for name in self.directory.everybody(&named).await? {
            let Ok(name) = UserName::parse(&name) else { continue };
            let found = self.directory.by_name(Lane::Admin, &name, &self.in_force().named).await?;
            let Some(account) = found.filter(|account| account.name == name.as_str()) else { continue };
            if account.groups.as_ref().ok_or_else(unknown)?.contains(&gid) {
                members.push(account);
            }
        }
        Ok(members)
    }

    /// Where an administrator wants a link to go.
    fn address_for(
        &self,
        portfolio: Option<&Portfolio>,
        request: &InviteRequest,
        name: &str,
    ) -> Result<Contact, Undecided> {
        if !request.email.is_empty() {
            return Address::parse(&request.email).map(Contact::Email).map_err(Undecided::Conflict);
        }
        let known = portfolio
            .into_iter()
            .flat_map(|portfolio| portfolio.contacts.iter().map(move |of| (portfolio, of)));
        let usable = |(_, contact): &(&Portfolio, &ContactRecord)| {
            contact.kind == ContactKind::Email && (contact.verified || contact.by_administrator)
        };
        match known.into_iter().find(usable) {
            Some((portfolio, contact)) => self.opened(portfolio, contact),
            None => Err(Undecided::Conflict(format!(
                "no mail address of {name} is known: --email ADDRESS, or hand the link over yourself with --no-mail"
            ))),
        }
    }

    /// Makes and stores a link; the one before is dead.
    async fn new_link(
        &self,
        force: &InForce,
        account: &Account,
        (grant, to): (Grant, Option<&Contact>),
        record: audit::Record,
    ) -> Result<Link, Undecided> {
        let random = self.random.as_ref();
        let user = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        let (token, code, id) =
            (LinkToken::generate(random)?, BindingCode::generate(random)?, self.new_factor_id()?);
        let text =
            force.config.web.link(token.text()).ok_or(Undecided::Malformed("a link without a page"))?;
        let binding = Binding { user: &user, uid: account.uid, factor: &id, kind: BINDING_CODE };
        let sealed = self.sealer.seal(&code.bytes(), binding, random)?;
        let now = self.clock.now();
        let expires = now.after(force.config.enrollment.link_lifetime);
        let code_expires = match grant {
            Grant::Login => now.after(AT_LOGIN).min(expires),
            Grant::Administrator => expires,
        };
        let (token, masked) = (LinkToken::digest(token.text()), to.map(Contact::masked).unwrap_or_default());
        let new = NewInvitation { id: id.clone(), token, code: sealed, grant, masked, expires, code_expires };
        if !self.store.invite(&user, account.uid, new, now, record).await? {
            return Err(other_uid(&account.name));
        }
        Ok(Link { id, text: Secret::new(text), code: code.text(), expires })
    }

    /// Whether a link is on its way, as far as is known after that time. One that nobody took is dead.
    async fn mail(
        self: &Arc<Self>,
        force: &Arc<InForce>,
        account: &Account,
        (to, link): (Contact, &Link),
        subject: audit::Subject,
        wait: Duration,
    ) -> Result<bool, Undecided> {
        let message = Message {
            id: self.message_id()?,
            to,
            by: Method::Email,
            text: Text::Invitation(Secret::new(link.text.expose().clone())),
            host: force.host.clone(),
            user: account.name.clone(),
            service: subject.service.clone(),
            rhost: subject.rhost.clone(),
            lifetime: link.expires.since(self.clock.now()),
        };
        let (ports, force, id) = (Arc::clone(self), Arc::clone(force), link.id.clone());
        let mailing = tokio::spawn(async move {
            let mailed = match ports.give_away_patiently(&force, &message, subject).await {
                Sent::Accepted | Sent::Unknown => true,
                Sent::Rejected(_) | Sent::Unavailable { .. } => false,
            };
            if !mailed && let Err(error) = ports.store.end_invitation(id).await {
                tracing::warn!(%error, "a link that was not mailed lives on until its time is over");
            }
            mailed
        });
        Ok(match tokio::time::timeout(wait, mailing).await {
            Ok(mailed) => mailed.unwrap_or(false),
            Err(_) => true, // perhaps
        })
    }

    fn told_of_link(&self, subject: audit::Subject, to: &Contact) -> audit::Record {
        let (time, event, reason) = (self.clock.now(), audit::Event::Invite, to.masked());
        audit::Record { time, event, subject, method: "", outcome: audit::Outcome::Granted, reason }
    }

    /// The binding code of an invitation.
    pub(super) fn binding_code(
        &self,
        portfolio: &Portfolio,
        invitation: &InvitationRecord,
    ) -> Result<BindingCode, Undecided> {
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let binding = Binding { user: &user, uid: portfolio.uid, factor: &invitation.id, kind: BINDING_CODE };
        let bytes = self.sealer.open(&invitation.code, binding)?;
        BindingCode::stored(&bytes).ok_or(Undecided::Malformed("a binding code in the store"))
    }
}

/// Links of logins go where an administrator said, and nowhere else.
fn is_for_links(contact: &ContactRecord) -> bool {
    contact.kind == ContactKind::Email && contact.by_administrator
}
