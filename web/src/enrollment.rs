//! The steps of an enrollment: look at a link, prove the binding code, confirm the app. The daemon decides each of them.

use http::{HeaderMap, StatusCode};
use twinlock_proto::v1::{
    BindingRequest, ConfirmAppRequest, LinkRequest, Offer, WrongBinding, binding_result, confirm_app_result,
};

use crate::{
    answer::Answer,
    daemon::NoAnswer,
    forms::Fields,
    guard::{Cookie, Form},
    pages::{self, BindingFault, Frame},
    routes::{Visit, no_answer, refused},
};

/// 256 bits in base64url (RFC 4648, section 5). What is of another form is no token, and the daemon need not hear of it.
fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The form that asks for the binding code, if the link is alive. Changes nothing.
pub async fn show_form(visit: Visit<'_>, token: &str, headers: &HeaderMap) -> Answer {
    let Visit { page, frame, .. } = visit;
    match is_alive(visit, token).await {
        Ok(true) => {
            // The browser's own, so that what it shows in another tab can be sent too.
            if let Some(cookie) = Cookie::of_browser(headers) {
                return pages::form(frame, &page.guard.seal(Form::Binding(token), &cookie), None);
            }
            let Ok(cookie) = page.guard.fresh() else { return no_answer(frame, NoAnswer::Unavailable) };
            let seal = page.guard.seal(Form::Binding(token), &cookie);
            pages::form(frame, &seal, None).with_cookie(cookie.set())
        }
        Ok(false) => dead(frame),
        Err(why) => no_answer(frame, why),
    }
}

async fn is_alive(visit: Visit<'_>, token: &str) -> Result<bool, NoAnswer> {
    if !is_token(token) {
        return Ok(false);
    }
    let request = LinkRequest { token: token.to_owned(), source: visit.source.to_owned() };
    match visit.page.daemon.is_alive(request).await {
        // Somebody floods it with links: those of others are not the worse for it. The form says nothing yet.
        Err(NoAnswer::TooMuch) => Ok(true),
        answer => answer,
    }
}

/// The second proof. Right: the page with the key, and a cookie that stands for both proofs.
pub async fn prove(visit: Visit<'_>, token: &str, headers: &HeaderMap, fields: &Fields) -> Answer {
    let Visit { page, frame, source } = visit;
    let form = Form::Binding(token);
    let (Some(cookie), Some(seal), Some(typed)) =
        (Cookie::of_browser(headers), fields.get("seal"), fields.get("code"))
    else {
        return refused(frame);
    };
    if !is_token(token) || !page.guard.is_sealed(form, &cookie, seal) {
        return refused(frame);
    }
    if typed.trim().is_empty() {
        return match is_alive(visit, token).await {
            Ok(true) => pages::form(frame, seal, Some(BindingFault::Empty)),
            Ok(false) => dead(frame),
            Err(why) => no_answer(frame, why),
        };
    }
    let request =
        BindingRequest { token: token.to_owned(), binding_code: typed.to_owned(), source: source.to_owned() };
    match page.daemon.prove(request).await {
        Ok(binding_result::Kind::Bound(bound)) => {
            let cookie = Cookie::of_session(&bound.session);
            let seal = page.guard.seal(Form::Code, &cookie);
            let Some(offer) = &bound.offer else { return no_answer(frame, NoAnswer::Unavailable) };
            pages::app(frame, &seal, offer, &bound.user, false).with_cookie(cookie.set())
        }
        Ok(binding_result::Kind::Wrong(WrongBinding { malformed: true, .. })) => {
            pages::form(frame, seal, Some(BindingFault::Malformed))
        }
        Ok(binding_result::Kind::Wrong(WrongBinding { tries_left, malformed: false })) => {
            pages::form(frame, seal, Some(BindingFault::Wrong { tries_left }))
        }
        Ok(binding_result::Kind::Dead(_)) => dead(frame),
        Err(why) => no_answer(frame, why),
    }
}

/// A code of the app. Right: the end, and the cookie is taken away.
pub async fn confirm(visit: Visit<'_>, headers: &HeaderMap, fields: &Fields) -> Answer {
    let Visit { page, frame, source } = visit;
    let (Some(cookie), Some(seal), Some(typed)) =
        (Cookie::of_proof(headers), fields.get("seal"), fields.get("code"))
    else {
        return refused(frame);
    };
    let Some(session) = cookie.session().filter(|_| page.guard.is_sealed(Form::Code, &cookie, seal)) else {
        return refused(frame);
    };
    let request = ConfirmAppRequest { session, code: typed.to_owned(), source: source.to_owned() };
    match page.daemon.confirm(request).await {
        Ok(confirm_app_result::Kind::Enrolled(enrolled)) => {
            pages::done(frame, &enrolled).with_cookie(Cookie::clear())
        }
        Ok(confirm_app_result::Kind::Wrong(wrong)) => {
            let none = Offer::default();
            pages::app(frame, seal, wrong.offer.as_ref().unwrap_or(&none), &wrong.user, true)
        }
        // The key went to another window, or the link is over: that, it says when it is opened.
        Ok(confirm_app_result::Kind::Dead(_)) => refused(frame),
        Err(why) => no_answer(frame, why),
    }
}

/// One page and one status for every link that does not count, whatever the reason.
fn dead(frame: Frame<'_>) -> Answer {
    pages::notice(frame, StatusCode::GONE, &frame.texts().dead)
}
