//! The contract between `twinlockd` and those who call it: generated messages and services, the limits both
//! sides keep, and what the programs share beside it: the channel over a Unix socket (feature `connect`), QR codes as text
//! (feature `qr`).
//!
//! Compatibility: a client works with a daemon one [`REVISION`] older or newer, beyond that both refuse.
//! Fields and values are only ever added; `tests/compatibility.rs` compares with the frozen descriptor.

/// Generated from `twinlock/v1/*.proto`.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code; the .proto files document it"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/twinlock.v1.rs"));
}

#[cfg(feature = "connect")]
pub mod connect;
#[cfg(feature = "qr")]
pub mod qr;
mod redacted;

/// The contract as a `FileDescriptorSet`, for the compatibility test and for fuzzing.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// Revision of the contract. It grows when a release adds something that the other side has to know of.
pub const REVISION: u32 = 1;

/// Whether two revisions may talk: one apart at most.
#[must_use]
pub const fn compatible(ours: u32, theirs: u32) -> bool {
    theirs != 0 && ours.abs_diff(theirs) <= 1
}

/// Where the sockets are unless somebody says otherwise.
pub const RUNTIME_DIR: &str = "/run/twinlock";
/// Login, for PAM applications that run as root. Mode 0600.
pub const LOGIN_SOCKET: &str = "login.sock";
/// Self-service, and login of the caller's own account. Mode 0666.
pub const USER_SOCKET: &str = "user.sock";
/// Administration. Mode 0600.
pub const ADMIN_SOCKET: &str = "admin.sock";
/// What the enrollment page may ask. Mode 0600, owned by the user that the page runs as.
pub const WEB_SOCKET: &str = "web.sock";
/// The user that the page runs as.
pub const WEB_USER: &str = "twinlock-web";

/// The gRPC metadata key that says who stood behind an administrator; a claim, only ever logged.
pub const CLAIMED_BY: &str = "twinlock-claimed-by";

/// Limits that hold before anything is allocated for a message.
pub mod limit {
    /// One gRPC message, in bytes.
    pub const MESSAGE: usize = 64 * 1024;
    /// One HTTP/2 header list, in bytes.
    pub const HEADERS: u32 = 8 * 1024;
    /// A user name, in bytes.
    pub const USER: usize = 256;
    /// What a person types at a prompt, in bytes.
    pub const ANSWER: usize = 512;
    /// The nonce that binds a verdict to its conversation, in bytes.
    pub const NONCE: usize = 16;
}

#[cfg(test)]
mod tests {
    use super::compatible;

    #[test]
    fn one_revision_apart_is_compatible_and_two_are_not() {
        assert!(compatible(3, 2) && compatible(3, 3) && compatible(3, 4));
        assert!(!compatible(3, 1) && !compatible(3, 5));
        assert!(!compatible(1, 0), "0 is what an absent field reads as");
    }
}
