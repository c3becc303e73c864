//! The text of a stack with our lines, and without them. Pure: whoever calls it judges what came out.
//!
//! Our lines stand between two comments, and a line that has to go meanwhile stands there as a comment: so what was
//! before can be had back from the file alone.

use crate::doctor::stack::{Places, Words};

/// The comment above our lines.
const BEGIN: &str = "# Written by \"twinlock pam enable\", taken out by \"twinlock pam disable\":";
/// The comment below them.
const END: &str = "# End of what \"twinlock pam enable\" wrote.";
/// In front of a line that has to go meanwhile.
const WAS: &str = "#was# ";

/// Refuses a login that skipped the auth phase.
const ACCOUNT: &str = "account\trequired\tpam_twinlock.so";

/// What comes before the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// The password.
    Password,
    /// An SSH key, which sshd asks for.
    Key,
}

impl First {
    /// By whether it is a key.
    #[must_use]
    pub const fn of(key: bool) -> Self {
        if key { Self::Key } else { Self::Password }
    }
}

/// What is to stand in a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What comes before the code.
    pub first: First,
    /// Root passes without a code, whatever the daemon does.
    pub root_passes: bool,
    /// Refuse a login that skipped the auth phase.
    pub account: bool,
}

/// Our line that goes past our other one for root.
const ROOT_PASSES: &str = "auth\t[success=1 default=ignore]\tpam_succeed_if.so quiet uid = 0";

/// Our lines of the auth phase.
fn auth(wanted: Wanted) -> Vec<&'static str> {
    let mut lines = Vec::new();
    if wanted.root_passes {
        lines.push(ROOT_PASSES);
    }
    lines.push(match wanted.first {
        First::Password => "auth\trequired\tpam_twinlock.so after_first_factor",
        First::Key => "auth\trequired\tpam_twinlock.so after_key",
    });
    // Whom policy releases is ignored by our line, and somebody has to say yes.
    lines.push("auth\trequired\tpam_permit.so");
    lines
}

/// The text of a stack with our lines: behind the first factor, or in its place where a key is one.
///
/// # Errors
///
/// A sentence: where they would have to stand cannot be told.
pub fn with(text: &str, places: &Places, wanted: Wanted) -> Result<String, String> {
    let path = &places.path;
    let asked: Vec<usize> =
        places.first_factor.iter().flat_map(|begin| *begin..=end_of(text, *begin)).collect();
    let (Some(from), Some(to)) = (asked.first(), asked.last()) else {
        return Err(format!(
            "{path} has no line that asks the password, by a module that is known here; write our line by hand, \
             behind the one that does, as pam_twinlock(8) shows"
        ));
    };
    let account = match (wanted.account, places.account) {
        (true, None) => return Err(format!("{path} has no account line, in front of which ours belongs")),
        (true, line) => line,
        (false, _) => None,
    };
    let replaced: Vec<&str> = text
        .lines()
        .enumerate()
        .filter(|(index, _)| asked.contains(&(index + 1)))
        .map(|(_, line)| line)
        .collect();
    let mut out = String::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        if account == Some(number) {
            block(&mut out, &[ACCOUNT], &[]);
        }
        match wanted.first {
            First::Key if number == *from => block(&mut out, &auth(wanted), &replaced),
            First::Key if asked.contains(&number) => {}
            First::Password | First::Key => out.push_str(line),
        }
        if wanted.first == First::Password && number == *to {
            block(&mut out, &auth(wanted), &[]);
        }
    }
    Ok(out)
}

/// The last physical line of the logical one that begins here.
fn end_of(text: &str, begin: usize) -> usize {
    begin + text.lines().skip(begin.saturating_sub(1)).take_while(|line| goes_on(line)).count()
}

fn goes_on(line: &str) -> bool {
    line.trim_end().ends_with('\\') && !line.contains('#')
}

fn block(out: &mut String, lines: &[&str], instead_of: &[&str]) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    let was = instead_of.iter().map(|line| format!("{WAS}{line}"));
    let all = [BEGIN.to_owned()].into_iter().chain(was).chain(lines.iter().map(ToString::to_string));
    for line in all.chain([END.to_owned()]) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// Whether the command wrote into this text.
#[must_use]
pub fn written(text: &str) -> bool {
    text.lines().any(|line| line == BEGIN)
}

/// What comes before the code, by what the command wrote.
#[must_use]
pub fn first(text: &str) -> Option<First> {
    let ours = text
        .lines()
        .skip_while(|line| *line != BEGIN)
        .find(|line| names_us(line) && phase(line) == "auth")?;
    Some(First::of(ours.contains("after_key")))
}

/// The text without our jump for root: what is judged then is what others wrote around our lines.
#[must_use]
pub fn without_jump(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| line.trim_end() != ROOT_PASSES).collect()
}

/// The text without what the command wrote: what was before, if nobody else wrote into it since.
/// What somebody wrote between our lines stays.
#[must_use]
pub fn without(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if line.trim_end() != BEGIN {
            out.push_str(line);
            continue;
        }
        let known: Vec<&str> = [First::Password, First::Key]
            .into_iter()
            .flat_map(|first| auth(Wanted { first, root_passes: true, account: true }))
            .chain([ACCOUNT])
            .collect();
        for line in lines.by_ref() {
            if line.trim_end() == END {
                break;
            }
            if let Some(was) = line.strip_prefix(WAS) {
                out.push_str(was);
            } else if !known.contains(&line.trim_end()) && !names_us(line) {
                out.push_str(line); // somebody else's
            }
        }
    }
    out
}

/// The text without the lines of ours that somebody wrote by hand.
#[must_use]
pub fn without_by_hand(text: &str) -> String {
    let mut out = String::new();
    let mut logical = String::new();
    for line in text.split_inclusive('\n') {
        logical.push_str(line);
        if goes_on(line) {
            continue;
        }
        if !names_us(&logical) {
            out.push_str(&logical);
        }
        logical.clear();
    }
    if !names_us(&logical) {
        out.push_str(&logical);
    }
    out
}

/// Whether a line calls our module.
fn names_us(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with('#') {
        return false;
    }
    let joined = line.replace("\\\n", " ");
    let module = Words::of(joined.trim_end()).nth(2).unwrap_or_default();
    module.rsplit('/').next() == Some("pam_twinlock.so")
}

fn phase(line: &str) -> String {
    Words::of(line).next().unwrap_or_default().trim_start_matches('-').to_ascii_lowercase()
}

#[cfg(test)]
pub(super) mod tests;
