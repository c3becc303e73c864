//! What is going to change, as diff(1) -u would show it.

use std::fmt::Write;

use crate::{
    failure::Failure,
    output::{clean, line},
};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// Prints the difference of what a file holds and will hold.
pub fn show(path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> Result<(), Failure> {
    let (before, after) = (before.map(String::from_utf8_lossy), after.map(String::from_utf8_lossy));
    let difference = unified(path, before.as_deref(), after.as_deref());
    // Tabs stay: stacks are columns.
    difference.lines().try_for_each(|each| line(each.split('\t').map(clean).collect::<Vec<_>>().join("\t")))
}

/// The difference of two texts that share most of their lines; empty if they are one.
fn unified(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    if before == after {
        return String::new();
    }
    let old: Vec<&str> = before.unwrap_or_default().lines().collect();
    let new: Vec<&str> = after.unwrap_or_default().lines().collect();
    let name = |text: Option<&str>| if text.is_some() { path } else { "/dev/null" };
    let mut out = format!("--- {}\n+++ {}\n", name(before), name(after));
    let edits = edits(&old, &new);
    let changed: Vec<usize> =
        edits.iter().enumerate().filter(|(_, edit)| edit.0 != ' ').map(|(at, _)| at).collect();
    let near = |at: usize| changed.iter().any(|each| each.abs_diff(at) <= CONTEXT);
    let mut numbers = (1, 1);
    let mut at = 0;
    while let Some(edit) = edits.get(at) {
        if !near(at) {
            count(&mut numbers, edit.0);
            at += 1;
            continue;
        }
        let hunk: Vec<_> = edits.iter().enumerate().skip(at).take_while(|(at, _)| near(*at)).collect();
        let of = |sign: char| hunk.iter().filter(|(_, edit)| edit.0 != sign).count();
        let (left, right) = (of('+'), of('-'));
        let _ = writeln!(out, "@@ -{},{left} +{},{right} @@", numbers.0, numbers.1);
        for (_, (sign, line)) in &hunk {
            let _ = writeln!(out, "{sign}{line}");
            count(&mut numbers, *sign);
        }
        at += hunk.len();
    }
    out
}

const fn count(numbers: &mut (usize, usize), sign: char) {
    if sign != '+' {
        numbers.0 += 1;
    }
    if sign != '-' {
        numbers.1 += 1;
    }
}

/// Which lines stay, go and come: by the longest common subsequence. Stacks have some dozen lines.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let at = |table: &[u32], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, left) in old.iter().enumerate().rev() {
        for (j, right) in new.iter().enumerate().rev() {
            let longest = if left == right {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(slot) = common.get_mut(i * width + j) {
                *slot = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut all = Vec::new();
    loop {
        match (old.get(i), new.get(j)) {
            (Some(left), Some(right)) if left == right => {
                all.push((' ', *left));
                (i, j) = (i + 1, j + 1);
            }
            (Some(left), right) if right.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                all.push(('-', *left));
                i += 1;
            }
            (_, Some(right)) => {
                all.push(('+', *right));
                j += 1;
            }
            (Some(_) | None, None) => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_looks_as_diff_shows_it() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let after = "1\n2\n3\n4\nnew\n5\n6\n7\n";
        assert_eq!(
            unified("/etc/x", Some(before), Some(after)),
            "--- /etc/x\n+++ /etc/x\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n+new\n 5\n 6\n 7\n-8\n"
        );
        assert_eq!(unified("/etc/x", None, Some("a\n")), "--- /dev/null\n+++ /etc/x\n@@ -1,0 +1,1 @@\n+a\n");
        assert_eq!(unified("/etc/x", Some("a"), Some("a")), "");
    }
}
