//! Debian's way for every service at once: pam-auth-update and our profile, which is shipped switched off.

use super::file::Root;
use crate::{
    doctor::program,
    failure::{Failure, NO},
};

/// The file that services include.
pub const SERVICE: &str = "common-auth";
const TOOL: &str = "/usr/sbin/pam-auth-update";
const PROFILE: &str = "/usr/share/pam-configs/twinlock";

/// The files that pam-auth-update writes.
pub const FILES: [&str; 5] = [
    "/etc/pam.d/common-auth",
    "/etc/pam.d/common-account",
    "/etc/pam.d/common-password",
    "/etc/pam.d/common-session",
    "/etc/pam.d/common-session-noninteractive",
];

/// Whether it can be done here.
pub fn possible(root: &Root) -> Result<(), Failure> {
    for path in [TOOL, PROFILE] {
        if !root.at(path).exists() {
            let what = "name the services one by one, or install the package libpam-twinlock";
            return Err(Failure::new(NO, format!("there is no {path}, which common-auth needs; {what}")));
        }
    }
    Ok(())
}

/// What pam-auth-update makes of common-auth: our line behind the lines that asked for the first factor.
pub fn expected(text: &str) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let permit = lines.iter().position(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("auth") && words.nth(1) == Some("pam_permit.so")
    })?;
    lines.insert(permit + 1, "auth\trequired\t\t\tpam_twinlock.so after_first_factor");
    Some(lines.join("\n") + "\n")
}

/// Switches the profile on or off.
pub fn switch(on: bool) -> Result<(), Failure> {
    let verb = if on { "--enable" } else { "--disable" };
    let out = program(TOOL).env("DEBIAN_FRONTEND", "noninteractive").args([verb, "twinlock"]).output();
    let out = out.map_err(|error| Failure::new(NO, format!("cannot run {TOOL}: {error}")))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(Failure::new(
        NO,
        format!("{TOOL} {verb} twinlock failed: {}", said.lines().next().unwrap_or_default()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_line_is_reached_by_the_jump_only() {
        let text = "auth\t[success=1 default=ignore]\tpam_unix.so nullok\nauth\trequisite\t\t\tpam_deny.so\n\
                    auth\trequired\t\t\tpam_permit.so\nauth\toptional\t\t\tpam_cap.so\n";
        let new = expected(text).unwrap();
        let at = |what: &str| new.find(what).unwrap();
        assert!(at("pam_permit") < at("pam_twinlock") && at("pam_twinlock") < at("pam_cap"));
        assert_eq!(expected("auth required pam_unix.so\n"), None);
    }
}
