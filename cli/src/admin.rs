//! What root does: accounts, the daemon, audit.

use std::{fs, path::Path};

use jiff::Timestamp;
use serde::Serialize;
use tonic::{Request, transport::Channel};
use twinlock_proto::{
    ADMIN_SOCKET, CLAIMED_BY, connect, limit,
    v1::{
        AcceptClockRequest, Account, AccountRequest, AuditEntry, AuditRequest, DaemonState,
        ListAccountsRequest, Requirement, ShowDaemonRequest, admin_client::AdminClient,
    },
};

use crate::{
    args::{Audit, Provision, User},
    failure::{Failure, answered},
    flags, invite, lifecycle,
    output::{self, clean, line},
    provision, when,
};

pub async fn client(runtime_dir: &Path) -> Result<AdminClient<Channel>, Failure> {
    let channel = connect::channel(&runtime_dir.join(ADMIN_SOCKET)).await?;
    Ok(AdminClient::new(channel).max_decoding_message_size(limit::MESSAGE))
}

/// A request that says who stands behind root: a claim, for the trail.
pub fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let claim = claim();
    if let Ok(value) = claim.parse()
        && !claim.is_empty()
    {
        request.metadata_mut().insert(CLAIMED_BY, value);
    }
    request
}

/// Who stands behind root.
pub fn claim() -> String {
    let login = fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = login.trim().parse::<u32>().ok().filter(|uid| *uid != u32::MAX);
    let sudo = std::env::var("SUDO_USER").ok();
    let claims = [login.map(|uid| format!("loginuid={uid}")), sudo.map(|user| format!("sudo={user}"))];
    clean(&claims.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

pub async fn user(runtime_dir: &Path, command: &User, json: bool) -> Result<(), Failure> {
    let of = |name: &str| request(AccountRequest { user: name.to_owned() });
    match command {
        User::List { throttled, required, not_enrolled, would_deny } => {
            let wanted = |account: &Account| {
                (!required || account.requirement() == Requirement::Required)
                    && (!not_enrolled || !account.enrolled)
                    && (!would_deny || account.would_deny)
            };
            let everybody = *required || *not_enrolled || *would_deny;
            let message = ListAccountsRequest { throttled: *throttled, everybody };
            list(runtime_dir, message, wanted, json).await
        }
        User::Show { name } => {
            let account = answered(client(runtime_dir).await?.show_account(of(name))).await?.into_inner();
            if json { output::json(&output::AccountJson::from(&account)) } else { output::account(&account) }
        }
        User::Enroll { name, kind: Provision::Totp(options) } => {
            provision::totp(runtime_dir, name, options, json).await
        }
        User::Contact { .. } | User::Require { .. } | User::Exempt { .. } | User::OpenEnrollment { .. } => {
            flags::set(runtime_dir, command, json).await
        }
        User::Invite(options) => invite::run(runtime_dir, options, json).await,
        User::Reset { name } => lifecycle::reset(runtime_dir, name, json).await,
        User::Unlock { name } => lifecycle::unlock(runtime_dir, name, json).await,
        User::Bypass(options) => lifecycle::bypass(runtime_dir, options, json).await,
        User::Adopt { name } => lifecycle::adopt(runtime_dir, name, json).await,
        User::Purge { name } => lifecycle::purge(runtime_dir, name, json).await,
    }
}

async fn list(
    runtime_dir: &Path,
    message: ListAccountsRequest,
    wanted: impl Fn(&Account) -> bool,
    json: bool,
) -> Result<(), Failure> {
    let mut stream = answered(client(runtime_dir).await?.list_accounts(request(message))).await?.into_inner();
    let mut accounts: Vec<Account> = Vec::new();
    while let Some(account) = answered(stream.message()).await? {
        if wanted(&account) {
            accounts.push(account);
        }
    }
    if json {
        return output::json(&accounts.iter().map(output::AccountJson::from).collect::<Vec<_>>());
    }
    if accounts.is_empty() {
        return line("No accounts.");
    }
    line(format!("{:<24} {:>8}  {:<9} {:<8} STATE", "USER", "UID", "FACTORS", "FAILURES"))?;
    for account in &accounts {
        let active = account.factors.iter().filter(|factor| factor.active).count();
        let state = match (account.stopped, account.throttled_until) {
            (true, _) => "stopped: twinlock user unlock".to_owned(),
            (false, Some(until)) => format!("throttled until {}", output::time(until)),
            (false, None) if account.enrolled => "enrolled".to_owned(),
            (false, None) => "not enrolled".to_owned(),
        };
        let state = match account.exempt_until {
            Some(until) => format!("{state}, exempt until {}", output::time(until)),
            None => format!("{state}, {}", output::requirement(account.requirement())),
        };
        let (user, uid, failures) = (clean(&account.user), account.uid, account.failures_since_success);
        line(format!("{user:<24} {uid:>8}  {active:<9} {failures:<8} {state}"))?;
    }
    Ok(())
}

pub async fn daemon(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    let answer = answered(client(runtime_dir).await?.show_daemon(request(ShowDaemonRequest {}))).await?;
    state(&answer.into_inner(), json)
}

pub async fn accept_clock(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    let answer = answered(client(runtime_dir).await?.accept_clock(request(AcceptClockRequest {}))).await?;
    state(&answer.into_inner(), json)
}

fn state(state: &DaemonState, json: bool) -> Result<(), Failure> {
    let DaemonState {
        version,
        configuration,
        accounts,
        enrolled,
        clock_believed,
        clock,
        account_services,
        policy_services,
        page_url,
        page_certificate: _,
        page_key: _,
    } = state;
    if json {
        return output::json(&serde_json::json!({
            "version": version, "configuration": configuration, "accounts": accounts, "enrolled": enrolled,
            "clock_believed": clock_believed, "clock": clock, "account_services": account_services, "policy_services": policy_services,
            "page_url": Some(page_url).filter(|url| !url.is_empty()),
        }));
    }
    line(format!("twinlockd:     {}", clean(version)))?;
    line(format!("Configuration: {}", clean(configuration)))?;
    line(format!("Accounts:      {accounts}, {enrolled} enrolled"))?;
    line(format!("Clock:         {}", clean(clock)))?;
    if !clock_believed {
        line("               Time codes are refused. Mend it; or if it is right: twinlock clock accept")?;
    }
    Ok(())
}

/// An entry of the trail. Scripts rely on these names.
#[derive(Serialize)]
struct EntryJson<'a> {
    time: String,
    event: &'a str,
    user: &'a str,
    service: &'a str,
    rhost: &'a str,
    method: &'a str,
    outcome: &'a str,
    reason: &'a str,
    actor: &'a str,
    claimed_by: &'a str,
}

pub async fn audit(runtime_dir: &Path, options: &Audit, json: bool) -> Result<(), Failure> {
    let since = options.since.as_deref().map(when::past).transpose()?;
    let until = options.until.as_deref().map(when::past_to_end).transpose()?;
    let message = AuditRequest {
        user: options.user.clone().unwrap_or_default(),
        since: since.map(Timestamp::as_second),
        until: until.map(Timestamp::as_second),
        event: options.event.clone().unwrap_or_default(),
        follow: options.follow,
    };
    let mut stream = answered(client(runtime_dir).await?.read_audit(request(message))).await?.into_inner();
    while let Some(entry) = stream.message().await? {
        print(&entry, json)?;
    }
    Ok(())
}

fn print(entry: &AuditEntry, json: bool) -> Result<(), Failure> {
    let time =
        Timestamp::from_millisecond(entry.time_ms).map_or_else(|_| "?".to_owned(), |time| time.to_string());
    let AuditEntry { time_ms: _, event, user, service, rhost, method, outcome, reason, actor, claimed_by } =
        entry;
    if json {
        return output::json_line(&EntryJson {
            time,
            event,
            user,
            service,
            rhost,
            method,
            outcome,
            reason,
            actor,
            claimed_by,
        });
    }
    let mut text = format!("{time} {event} {outcome}");
    for (name, value) in [
        ("user", user),
        ("service", service),
        ("rhost", rhost),
        ("method", method),
        ("reason", reason),
        ("actor", actor),
        ("claimed_by", claimed_by),
    ] {
        if !value.is_empty() {
            text.push_str(&format!(" {name}=\"{}\"", clean(value).replace('"', "'")));
        }
    }
    line(text)
}
