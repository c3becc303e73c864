//! Every way through a stack: a search over (line, state of libpam's evaluation, what is known about the person).
//!
//! States that go on alike are visited once, so a stack of thirty lines costs some thousand steps, not 4^30. The
//! search is breadth first: the way that is shown for a state is a shortest one.

use std::collections::HashSet;

use super::{
    control::{Code, NEW_AUTHTOK_REQD, SUCCESS},
    dispatch::Machine,
    line::{Call, Line, Phase},
    modules::{Answer, Fact, answers},
    read::Files,
};

/// States that are visited at most; real stacks have some thousands.
const LIMIT: usize = 400_000;

/// What became of our lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ours {
    /// None was reached.
    NotReached,
    /// The line at this position failed; none passed or released.
    Failed(usize),
    /// Policy asks for none, said the line at this position; none passed.
    Released(usize),
    /// The line at this position was satisfied.
    Passed(usize),
}

/// What is known about the person at some point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Our lines so far.
    pub ours: Ours,
    /// A password, or what stands for it, was right.
    pub first: bool,
    /// Another product's second factor was right.
    pub second: bool,
    /// A password was asked and was not right.
    pub wrong: bool,
    /// The first line that went past one of ours.
    pub skipped_by: Option<usize>,
}

/// One state, and how it was come to.
#[derive(Debug, Clone)]
pub struct Node {
    /// The next line; the number of lines at the end.
    pub at: usize,
    /// What is known.
    pub facts: Facts,
    /// What libpam answers, at the end.
    pub verdict: Code,
    parent: Option<usize>,
    answer: Option<Code>,
    machine: Machine,
}

/// A step on a way: the line, what it answered, where it went.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The line's position.
    pub at: usize,
    /// What the module answered.
    pub code: Code,
    /// The next line's position.
    pub next: usize,
}

/// All states of a stack.
#[derive(Debug)]
pub struct Ways {
    nodes: Vec<Node>,
    end: usize,
    /// Whether the search gave up.
    pub cut: bool,
}

/// Searches a stack.
pub fn explore(lines: &[Line], phase: Phase, service: &str, files: &dyn Files) -> Ways {
    let answers: Vec<Vec<Answer>> = lines.iter().map(|line| answers(line, phase, service, files)).collect();
    let facts = Facts { ours: Ours::NotReached, first: false, second: false, wrong: false, skipped_by: None };
    let machine = Machine::start();
    let mut ways = Ways { nodes: Vec::new(), end: lines.len(), cut: false };
    let mut seen = HashSet::new();
    ways.nodes.push(Node { at: 0, facts, verdict: machine.verdict(), parent: None, answer: None, machine });
    let mut current = 0;
    while let Some(node) = ways.nodes.get(current).cloned() {
        for (next, code) in successors(&node, lines, &answers) {
            if seen.insert((next.at, next.facts, next.machine.clone())) {
                ways.nodes.push(Node { parent: Some(current), answer: code, ..next });
            }
        }
        current += 1;
        if ways.nodes.len() > LIMIT {
            ways.cut = true;
            break;
        }
    }
    ways
}

fn successors(node: &Node, lines: &[Line], answers: &[Vec<Answer>]) -> Vec<(Node, Option<Code>)> {
    let (Some(line), Some(answers)) = (lines.get(node.at), answers.get(node.at)) else { return Vec::new() };
    let go = |code: Option<Code>, fact: Fact| {
        let mut machine = node.machine.clone();
        let at = machine.step(lines, node.at, code);
        let machine = machine.canonical();
        let mut facts = learnt(node.facts, fact, node.at, line);
        let passed_over = |lines: &[Line]| lines.iter().any(Line::is_ours);
        if facts.skipped_by.is_none() && lines.get(node.at + 1..at).is_some_and(passed_over) {
            facts.skipped_by = Some(node.at);
        }
        (Node { at, facts, verdict: machine.verdict(), parent: None, answer: None, machine }, code)
    };
    if line.call == Call::Substack {
        return vec![go(None, Fact::Nothing)];
    }
    answers.iter().map(|answer| go(Some(answer.code), answer.fact)).collect()
}

fn learnt(facts: Facts, fact: Fact, at: usize, line: &Line) -> Facts {
    // after_key: without a key the module never passes and never releases.
    let keyed = line.has("after_key");
    match fact {
        Fact::Nothing => facts,
        Fact::WrongPassword => Facts { wrong: true, ..facts },
        Fact::FirstFactor => Facts { first: true, ..facts },
        Fact::SecondFactor => Facts { second: true, ..facts },
        Fact::OursPassed => Facts { ours: Ours::Passed(at), first: facts.first || keyed, ..facts },
        Fact::OursReleased => {
            let ours = if let Ours::Passed(_) = facts.ours { facts.ours } else { Ours::Released(at) };
            Facts { ours, first: facts.first || keyed, ..facts }
        }
        Fact::OursFailed => match facts.ours {
            Ours::NotReached => Facts { ours: Ours::Failed(at), ..facts },
            _ => facts,
        },
    }
}

impl Ways {
    /// The ends at which the application lets the person in, those first that need the least explaining: no wrong
    /// password on the way, a right one, few steps.
    pub fn successes(&self, phase: Phase) -> Vec<(usize, &Node)> {
        let good = |node: &Node| match node.verdict {
            SUCCESS => true,
            // The application has the password changed, and goes on.
            NEW_AUTHTOK_REQD => phase == Phase::Account,
            _ => false,
        };
        let mut found: Vec<_> =
            self.nodes.iter().enumerate().filter(|(_, node)| node.at >= self.end && good(node)).collect();
        found.sort_by_key(|(index, node)| (node.verdict, node.facts.wrong, !node.facts.first, *index));
        found
    }

    /// The states in which the line at this position is called.
    pub fn calls(&self, at: usize) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter(move |(_, node)| node.at == at && at < self.end)
    }

    /// The lines that went past one of ours, each once.
    #[must_use]
    pub fn skippers(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.nodes.iter().filter_map(|node| node.facts.skipped_by).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The steps that led to a state.
    #[must_use]
    pub fn path(&self, mut index: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(node) = self.nodes.get(index) {
            let Some((parent, before)) = node.parent.and_then(|at| Some((at, self.nodes.get(at)?))) else {
                break;
            };
            if let Some(code) = node.answer {
                steps.push(Step { at: before.at, code, next: node.at });
            }
            index = parent;
        }
        steps.reverse();
        steps
    }
}
