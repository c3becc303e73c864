//! Where things stand in a service's own file: what whoever edits it has to know.

use super::{
    control::{Action, RETURNS},
    line::{Line, Phase},
    modules::{Class, class},
    read::{Files, read},
    search::{Ours, explore},
};

/// What stands where in the file of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// The file.
    pub path: String,
    /// Its lines, from 1, that ask the first factor, or include the file that does.
    pub first_factor: Vec<usize>,
    /// Its first line that counts in the account phase.
    pub account: Option<usize>,
    /// Its lines that name our module.
    pub ours: Vec<usize>,
    /// Other files that bring our lines in, and their numbers there.
    pub elsewhere: Vec<String>,
}

/// Looks at a service; nothing if it has no file.
pub fn places(service: &str, files: &dyn Files) -> Option<Places> {
    let (path, _) = files.read(service).ok()?;
    let stacks = read(service, files);
    let of = |place: &str| {
        let (file, number) = place.rsplit_once(':')?;
        if file == path { number.parse::<usize>().ok() } else { None }
    };
    let own = |line: &Line| of(line.included.as_deref().unwrap_or(&line.place));
    let first = |line: &&Line| matches!(class(line), Class::Password | Class::FirstFactor);
    let mut places = Places { path: path.clone(), ..Places::default() };
    places.first_factor = stacks.phase(Phase::Auth).iter().filter(first).filter_map(own).collect();
    places.first_factor.dedup();
    places.account = stacks.phase(Phase::Account).iter().filter_map(own).min();
    for line in Phase::ALL.into_iter().flat_map(|phase| stacks.phase(phase)).filter(|line| line.is_ours()) {
        match of(&line.place) {
            Some(number) => places.ours.push(number),
            None => places.elsewhere.push(line.place.clone()),
        }
    }
    Some(places)
}

/// What becomes of a stack whose line of ours was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bare {
    /// The first factor lets in, and nothing else does.
    Sound,
    /// Somebody gets in who proved nothing.
    Open,
    /// Nobody gets in.
    Closed,
    /// The line at this place jumps, and its number counted our line.
    Jumped(String),
}

/// Judges a stack before and after our lines were taken out of it.
pub fn bare(service: &str, before: &dyn Files, after: &dyn Files) -> Bare {
    let old = read(service, before);
    let lines = old.phase(Phase::Auth);
    let ways = explore(lines, Phase::Auth, service, before);
    let jumps = |at: usize| {
        let line = lines.get(at)?;
        let far = (0..RETURNS).any(|code| matches!(line.control.action(code), Action::Jump(_)));
        far.then(|| line.place.clone())
    };
    let ends = ways.successes(Phase::Auth);
    let culprit = ways.skippers().into_iter().find_map(jumps);
    if let Some(place) = culprit {
        return Bare::Jumped(place);
    }
    let proved_nothing =
        ends.iter().any(|(_, node)| !node.facts.first && node.facts.ours == Ours::NotReached);
    let new = read(service, after);
    let ways = explore(new.phase(Phase::Auth), Phase::Auth, service, after);
    let ends = ways.successes(Phase::Auth);
    if ends.is_empty() || new.refused {
        return Bare::Closed;
    }
    // Who got in before with nothing, past our line, is not our doing.
    let open = ends.iter().any(|(_, node)| !node.facts.first);
    if open && !proved_nothing { Bare::Open } else { Bare::Sound }
}
