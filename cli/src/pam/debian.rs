//! Debian's way for every service at once: pam-auth-update and our profile, which is shipped switched off.

use super::file::Root;
use crate::{
    doctor::{complaint, program},
    failure::{Failure, NO},
};

/// The file that services include.
pub const SERVICE: &str = "common-auth";
const TOOL: &str = "/usr/sbin/pam-auth-update";
const PROFILE: &str = "/usr/share/pam-configs/twinlock";

/// Where our line is.
pub const COMMON_AUTH: &str = "/etc/pam.d/common-auth";

/// The files that pam-auth-update writes, as far as they are there.
pub fn files(root: &Root) -> Vec<String> {
    let names = ["auth", "account", "password", "session", "session-noninteractive"];
    let paths = names.iter().map(|name| format!("/etc/pam.d/common-{name}"));
    paths.filter(|path| root.at(path).exists()).collect()
}

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
    Err(Failure::new(NO, format!("{TOOL} {verb} twinlock failed: {}", complaint(&out.stderr))))
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
