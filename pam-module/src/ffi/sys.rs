//! libc and libpam calls that no crate of ours wraps.

use std::ffi::{CStr, CString, c_char, c_int};

use pam::module::PamHandle;

use crate::record::Level;

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_getenv(pamh: *mut PamHandle, name: *const c_char) -> *const c_char;
}

/// A PAM variable (not one of the process), copied.
pub(super) fn variable(handle: &mut PamHandle, name: &CStr) -> Option<String> {
    // SAFETY: pam_getenv(3): `handle` is the live handle that libpam gave to the entry point, `name` ends in NUL.
    let value = unsafe { pam_getenv(handle, name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: pam_getenv(3): a value that is not null is a C string, owned by the handle; nothing changes it
    // before it is copied here.
    let value = unsafe { CStr::from_ptr(value) };
    Some(value.to_string_lossy().into_owned())
}

/// One line to syslog, facility AUTHPRIV, under the host's own identity: `openlog` would replace that.
pub(super) fn syslog(level: Level, text: &str) {
    let priority = match level {
        Level::Error => libc::LOG_ERR,
        Level::Notice => libc::LOG_NOTICE,
        // Asked for by `debug`, so it should not be lost to a default filter.
        Level::Debug => libc::LOG_INFO,
    };
    let Ok(text) = CString::new(text) else { return };
    let priority: c_int = priority | libc::LOG_AUTHPRIV;
    // SAFETY: syslog(3): the format is a constant with one %s, for which a C string is given.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), text.as_ptr()) };
}
