//! The program that loaded us, as far as a login needs it.

use zeroize::Zeroizing;

/// What PAM knows of this login. Copied before the first prompt: an application may change its items while
/// it shows one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// PAM_USER.
    pub user: String,
    /// PAM_SERVICE.
    pub service: String,
    /// PAM_TTY, or empty.
    pub tty: String,
    /// PAM_RHOST, or empty.
    pub rhost: String,
    /// PAM_RUSER, or empty.
    pub ruser: String,
    /// The PAM variable SSH_CONNECTION, or empty.
    pub ssh_connection: String,
    /// Whether the PAM variable SSH_AUTH_INFO_0 has a `publickey` line.
    pub publickey: bool,
    /// Real uid of the process.
    pub uid: u32,
    /// Effective uid of the process.
    pub euid: u32,
}

/// The application's conversation function failed, or answered nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationFailed;

/// The application's side of the conversation.
pub trait Application {
    /// Shows a prompt and returns what was typed.
    ///
    /// # Errors
    ///
    /// When the conversation function says so, or returns no answer.
    fn ask(&mut self, prompt: &str, echo: Echo) -> Result<Zeroizing<Vec<u8>>, ConversationFailed>;

    /// Shows a message. It may never be seen: nothing may depend on it.
    fn tell(&mut self, text: &str);

    /// Whether PAM_USER is still this user.
    fn user_is(&self, user: &str) -> bool;

    /// Whether these bytes are PAM_AUTHTOK, the password that an earlier module was given.
    fn is_password(&self, typed: &[u8]) -> bool;
}

/// Whether what is typed can be read on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It can (the default: see [`crate::options::Options::hidden`]).
    Visible,
    /// It cannot.
    Hidden,
}
