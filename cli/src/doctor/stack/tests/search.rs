//! The search: quick, and the same as trying everything.

use super::{super::search::Ours, *};

#[test]
fn a_long_stack_is_searched_in_a_moment() {
    let mut text = String::from("auth requisite pam_unix.so\n");
    for _ in 0..60 {
        text.push_str(
            "auth [success=2 auth_err=1 user_unknown=ignore default=reset] pam_succeed_if.so x\nauth \
             sufficient pam_mystery.so\n",
        );
    }
    text.push_str("auth required pam_twinlock.so\n");
    let report = only(&text);
    assert!(report.findings.len() >= 60);
}

/// Numbers that look random and are the same each time (Knuth's MMIX generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    /// Some lines of known modules, ours among them.
    fn stack(&mut self) -> String {
        let controls = [
            "required",
            "requisite",
            "sufficient",
            "optional",
            "[success=1 default=ignore]",
            "[default=die success=ok ignore=ignore]",
            "[success=2 auth_err=1 default=reset]",
            "[default=1 success=done]",
            "[success=ok ignore=ignore authinfo_unavail=ignore default=bad]",
            "substack",
            "include",
        ];
        let modules = [
            "pam_unix.so",
            "pam_twinlock.so",
            "pam_succeed_if.so",
            "pam_env.so",
            "pam_permit.so",
            "pam_deny.so",
            "pam_u2f.so",
        ];
        let mut text = String::new();
        for _ in 0..=self.below(4) {
            let control = self.pick(&controls);
            let module = if control.ends_with(['k', 'e']) && control.len() < 9 && !control.ends_with("site") {
                "inner"
            } else {
                self.pick(&modules)
            };
            text.push_str(&format!("auth {control} {module}\n"));
        }
        text
    }
}

/// Everything that any combination of answers comes to: success, and what became of our lines and the first factor.
fn by_trying(
    lines: &[line::Line],
    files: &Map,
    at: usize,
    machine: &dispatch::Machine,
    told: (usize, bool),
    all: &mut Vec<(bool, usize, bool)>,
) {
    let Some(line) = lines.get(at) else {
        return all.push((machine.verdict() == control::SUCCESS, told.0, told.1));
    };
    let answers = if line.call == line::Call::Substack {
        vec![(None, modules::Fact::Nothing)]
    } else {
        modules::answers(line, Phase::Auth, "sshd", files)
            .into_iter()
            .map(|each| (Some(each.code), each.fact))
            .collect()
    };
    for (code, fact) in answers {
        let mut machine = machine.clone();
        let next = machine.step(lines, at, code);
        let rank = match fact {
            modules::Fact::OursFailed => 1,
            modules::Fact::OursReleased => 2,
            modules::Fact::OursPassed => 3,
            _ => 0,
        };
        by_trying(
            lines,
            files,
            next,
            &machine,
            (told.0.max(rank), told.1 || fact == modules::Fact::FirstFactor),
            all,
        );
    }
}

#[test]
fn the_search_finds_what_trying_everything_finds() {
    let mut numbers = Numbers(1);
    for _ in 0..300 {
        let (outer, mut inner) = (numbers.stack(), numbers.stack());
        inner = inner
            .lines()
            .filter(|line| !line.contains("inner"))
            .take(2)
            .map(|line| format!("{line}\n"))
            .collect();
        let files = map(&[("sshd", &outer), ("inner", &inner)]);
        let stacks = read("sshd", &files);
        let lines = stacks.phase(Phase::Auth);
        if lines.iter().filter(|line| line.call == line::Call::Module).count() > 5 {
            continue;
        }
        let mut tried = Vec::new();
        by_trying(lines, &files, 0, &dispatch::Machine::start(), (0, false), &mut tried);
        let mut tried: Vec<_> =
            tried.into_iter().filter(|each| each.0).map(|(_, ours, first)| (ours, first)).collect();
        let ways = explore(lines, Phase::Auth, "sshd", &files);
        let mut found: Vec<_> = ways
            .successes(Phase::Auth)
            .into_iter()
            .map(|(_, node)| {
                let ours = match node.facts.ours {
                    Ours::NotReached => 0,
                    Ours::Failed(_) => 1,
                    Ours::Released(_) => 2,
                    Ours::Passed(_) => 3,
                };
                (ours, node.facts.first)
            })
            .collect();
        for all in [&mut tried, &mut found] {
            all.sort_unstable();
            all.dedup();
        }
        assert_eq!(found, tried, "{outer}--\n{inner}");
    }
}
