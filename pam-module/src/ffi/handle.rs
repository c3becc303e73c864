//! The PAM handle as an [`Application`].

use nix::unistd::{geteuid, getuid};
use pam::{
    constants::{PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_SILENT, PAM_TEXT_INFO, PamFlag, PamResultCode},
    conv::Conv,
    items::{AuthTok, Item, RHost, RUser, Service, Tty, User},
    module::PamHandle,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::sys;
use crate::{
    application::{Application, Circumstances, ConversationFailed, Echo},
    outcome::Outcome,
};

/// Name of our data on the handle (pam_set_data(3)).
const GRANTED: &str = "twinlock-granted-to";

/// The application behind a PAM handle.
pub(super) struct Host<'a> {
    pub(super) handle: &'a mut PamHandle,
    pub(super) flags: PamFlag,
}

impl Host<'_> {
    /// Copies what PAM knows of this login. Asks for the user name only if the application gave none.
    pub(super) fn circumstances(&mut self) -> Result<Circumstances, Outcome> {
        let user = self.handle.get_user(None).map_err(|code| match code {
            PamResultCode::PAM_CONV_ERR => Outcome::ConversationFailed,
            _ => Outcome::NoContext("no usable PAM_USER"),
        })?;
        if user.is_empty() || user.len() > twinlock_proto::limit::USER {
            return Err(Outcome::NoContext("PAM_USER is empty or too long"));
        }
        let evidence = sys::variable(self.handle, c"SSH_AUTH_INFO_0").unwrap_or_default();
        Ok(Circumstances {
            user,
            service: self.item(|Service(text)| text),
            tty: self.item(|Tty(text)| text),
            rhost: self.item(|RHost(text)| text),
            ruser: self.item(|RUser(text)| text),
            ssh_connection: sys::variable(self.handle, c"SSH_CONNECTION").unwrap_or_default(),
            publickey: evidence.lines().any(|line| line.starts_with("publickey ")),
            uid: getuid().as_raw(),
            euid: geteuid().as_raw(),
        })
    }

    /// Keeps on the handle that its auth phase passed by us for this user.
    pub(super) fn remember_granted(&mut self, user: &str) {
        // Without it the account phase denies: the safe side.
        let _ = self.handle.set_data(GRANTED, Box::new(Some(user.to_owned())));
    }

    /// An application may use its handle for another try.
    pub(super) fn forget_granted(&mut self) {
        if self.granted().is_some() {
            let _ = self.handle.set_data(GRANTED, Box::new(None::<String>));
        }
    }

    /// For whom the last auth phase of this handle passed by us.
    pub(super) fn granted(&self) -> Option<&str> {
        // SAFETY: pam_get_data(3) gives what was set under this name, which is ours alone and always of this type.
        let granted = unsafe { self.handle.get_data::<Option<String>>(GRANTED) };
        granted.ok()?.as_deref()
    }

    fn item<'a, T: Item<'a>>(&'a self, text: impl FnOnce(T) -> &'a std::ffi::CStr) -> String {
        let item = self.handle.get_item::<T>().ok().flatten();
        item.map(|item| text(item).to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl Application for Host<'_> {
    fn ask(&mut self, prompt: &str, echo: Echo) -> Result<Zeroizing<Vec<u8>>, ConversationFailed> {
        let style = match echo {
            Echo::Visible => PAM_PROMPT_ECHO_ON,
            Echo::Hidden => PAM_PROMPT_ECHO_OFF,
        };
        let conversation = self.handle.get_item::<Conv<'_>>().ok().flatten().ok_or(ConversationFailed)?;
        // su with its input at the end says PAM_SUCCESS and gives no answer.
        let answer = conversation.send(style, prompt).ok().flatten().ok_or(ConversationFailed)?;
        Ok(Zeroizing::new(answer.as_bytes().to_vec()))
    }

    fn tell(&mut self, text: &str) {
        if self.flags & PAM_SILENT != 0 {
            return;
        }
        if let Ok(Some(conversation)) = self.handle.get_item::<Conv<'_>>() {
            let _ = conversation.send(PAM_TEXT_INFO, text);
        }
    }

    fn user_is(&self, user: &str) -> bool {
        self.handle
            .get_item::<User<'_>>()
            .is_ok_and(|item| item.is_some_and(|User(text)| text.to_bytes() == user.as_bytes()))
    }

    fn is_password(&self, typed: &[u8]) -> bool {
        self.handle.get_item::<AuthTok<'_>>().is_ok_and(|item| {
            item.is_some_and(|password| !typed.is_empty() && password.as_bytes().ct_eq(typed).into())
        })
    }
}
