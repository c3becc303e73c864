//! Giving out links by which people set up an app in a browser.

use std::path::Path;

use serde::Serialize;
use twinlock_proto::v1::{GroupInvitation, Invitation, InviteRequest};

use crate::{
    admin::{client, request},
    args::Invite,
    failure::{Failure, NO, answered_at_length, answered_slowly},
    output::{self, clean, line},
};

/// What scripts read of one.
#[derive(Serialize)]
struct InvitationJson {
    user: String,
    link: String,
    binding_code: String,
    expires: String,
    mailed_to: Option<String>,
}

impl From<&Invitation> for InvitationJson {
    fn from(invitation: &Invitation) -> Self {
        Self {
            user: invitation.user.clone(),
            link: invitation.link.clone(),
            binding_code: invitation.binding_code.clone(),
            expires: output::time(invitation.expires),
            mailed_to: Some(invitation.masked.clone()).filter(|masked| !masked.is_empty()),
        }
    }
}

/// What became of one member of a group.
#[derive(Serialize)]
struct MemberJson {
    user: String,
    invitation: Option<InvitationJson>,
    why_not: Option<String>,
}

/// Carries the command out.
pub async fn run(runtime_dir: &Path, command: &Invite, json: bool) -> Result<(), Failure> {
    let Invite { name, group, email, no_mail } = command;
    let message = InviteRequest {
        user: name.clone().unwrap_or_default(),
        group: group.clone().unwrap_or_default(),
        email: email.clone().unwrap_or_default(),
        no_mail: *no_mail,
    };
    if group.is_some() {
        return invite_group(runtime_dir, message, json).await;
    }
    let invitation =
        answered_slowly(client(runtime_dir).await?.invite_user(request(message))).await?.into_inner();
    if json {
        return output::json(&InvitationJson::from(&invitation));
    }
    let user = clean(&invitation.user);
    if invitation.masked.is_empty() {
        line(format!("Link for {user}: {}", clean(&invitation.link)))?;
    } else {
        line(format!("A link for {user} was mailed to {}.", clean(&invitation.masked)))?;
    }
    line(format!("Binding code: {}", clean(&invitation.binding_code)))?;
    line("Hand the code over by another way than the link: by telephone, on paper, in person.")?;
    line(format!("Both can be used until {} and are not shown again.", output::time(invitation.expires)))
}

async fn invite_group(runtime_dir: &Path, message: InviteRequest, json: bool) -> Result<(), Failure> {
    let mut stream =
        answered_at_length(client(runtime_dir).await?.invite_group(request(message))).await?.into_inner();
    let (mut members, mut invited, mut enrolled, mut failed) = (Vec::new(), 0_u32, 0_u32, 0_u32);
    while let Some(member) = answered_at_length(stream.message()).await? {
        match (&member.invitation, member.enrolled) {
            (Some(_), _) => invited += 1,
            (None, true) => enrolled += 1,
            (None, false) => failed += 1,
        }
        if !json {
            told(&member)?;
        }
        members.push(MemberJson {
            user: member.user.clone(),
            invitation: member.invitation.as_ref().map(InvitationJson::from),
            why_not: Some(member.why_not.clone()).filter(|why_not| !why_not.is_empty()),
        });
    }
    if json {
        output::json(&members)?;
    } else {
        line(format!("{invited} invited, {enrolled} with a factor already, {failed} not invited."))?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(NO, if json { "" } else { "not everybody was invited: see above" })),
    }
}

fn told(member: &GroupInvitation) -> Result<(), Failure> {
    let head = format!("{}/{} {}:", member.number, member.total, clean(&member.user));
    let Some(invitation) = &member.invitation else {
        return line(format!("{head} not invited: {}", clean(&member.why_not)));
    };
    let code = clean(&invitation.binding_code);
    match invitation.masked.as_str() {
        "" => line(format!("{head} binding code {code}, link {}", clean(&invitation.link))),
        masked => line(format!("{head} binding code {code}, link mailed to {}", clean(masked))),
    }
}
