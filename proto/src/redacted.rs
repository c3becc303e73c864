//! Messages that carry what a person typed, or a key: their `Debug` says nothing, and they are wiped when
//! dropped. (What the HTTP/2 buffers keep is said in docs/threat-model.md.)

use std::fmt;

use zeroize::Zeroize;

use crate::v1::{
    Answer, BindingRequest, Bound, Bypass, ConfirmAppRequest, ContactRequest, EnrollBegin, Invitation,
    InviteRequest, LinkRequest, MigrationFile, Notice, Offer, Prompt, ProviderTest, ProvisionRequest,
    Provisioned, RecoveryCodes, RemoveRequest, ResyncTokenRequest, TestProviderRequest, TokenFile,
    VerifyRequest,
};

macro_rules! secret_message {
    ($($message:ident: $($field:ident),+;)+) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "(redacted)"))
            }
        }

        impl Drop for $message {
            fn drop(&mut self) {
                $(self.$field.zeroize();)+
            }
        }
    )+};
}

secret_message! {
    Answer: text;
    Prompt: text;
    ContactRequest: email, phone;
    TestProviderRequest: to;
    ProviderTest: lines;
    Notice: text;
    EnrollBegin: secret, address;
    Offer: secret, uri;
    VerifyRequest: code;
    ProvisionRequest: secret;
    Provisioned: secret, uri;
    RecoveryCodes: codes;
    RemoveRequest: code;
    Bypass: code;
    TokenFile: password, key, data;
    MigrationFile: data;
    ResyncTokenRequest: code, next_code;
    LinkRequest: token;
    InviteRequest: email;
    Invitation: link, binding_code;
    BindingRequest: token, binding_code;
    Bound: session;
    ConfirmAppRequest: session, code;
}

#[cfg(test)]
mod tests {
    use crate::v1::{Answer, Reply, reply};

    #[test]
    fn debug_output_of_a_reply_does_not_hold_the_answer() {
        let reply = Reply { kind: Some(reply::Kind::Answer(Answer { text: "287082".into() })) };
        assert!(!format!("{reply:?}").contains("287082"));
    }
}
