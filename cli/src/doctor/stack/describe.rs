//! A way through a stack in words.

use super::{
    control::{Action, IGNORE, SUCCESS, name},
    line::Line,
    modules::{Class, class},
    search::Step,
};

/// Steps that are shown at most.
const SHOWN: usize = 12;

/// The steps that matter: factors, our lines, and what ends or jumps; and the success that carries the stack, if none
/// of these does.
#[must_use]
pub fn path(lines: &[Line], steps: &[Step]) -> String {
    let carries =
        |step: &&Step| step.code == SUCCESS && matches!(action(lines, step), Some(Action::Ok | Action::Done));
    let carried = steps.iter().filter(|step| matters(lines, step)).any(|step| carries(&step));
    let carrier = if carried { None } else { steps.iter().find(carries).map(|step| step.at) };
    let shown: Vec<String> = steps
        .iter()
        .filter(|step| matters(lines, step) || carrier == Some(step.at))
        .filter_map(|step| Some(sentence(lines, lines.get(step.at)?, step)))
        .collect();
    let more = shown.len().saturating_sub(SHOWN);
    let mut text = shown.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", then ");
    if more > 0 {
        text.push_str(", and so on");
    }
    text
}

fn action(lines: &[Line], step: &Step) -> Option<Action> {
    Some(lines.get(step.at)?.control.action(step.code))
}

fn matters(lines: &[Line], step: &Step) -> bool {
    let Some(line) = lines.get(step.at) else { return false };
    match line.control.action(step.code) {
        Action::Done | Action::Jump(_) | Action::Reset => true,
        Action::Ok | Action::Ignore | Action::Bad | Action::Die => match class(line) {
            Class::Password | Class::FirstFactor | Class::SecondFactor | Class::Unknown => {
                step.code != IGNORE
            }
            Class::Ours | Class::RootOk => true,
            _ => false,
        },
    }
}

fn sentence(lines: &[Line], line: &Line, step: &Step) -> String {
    let answer = match step.code {
        SUCCESS => "succeeds".to_owned(),
        IGNORE => "answers ignore".to_owned(),
        code => format!("fails ({})", name(code)),
    };
    let lands = lines.get(step.next);
    let action = line.control.action(step.code);
    let effect = match (action, lands) {
        (Action::Done | Action::Die, None) => ", and the stack ends there".to_owned(),
        (Action::Done | Action::Die, Some(next)) if next.level == line.level => String::new(),
        (Action::Done | Action::Die, Some(_)) => ", and the substack ends there".to_owned(),
        (Action::Jump(_), None) => " and jumps to the end".to_owned(),
        (Action::Jump(_), Some(next)) => format!(" and jumps to {}", next.place),
        (Action::Reset, _) => ", and what was before counts again".to_owned(),
        (Action::Ignore, _) if !matches!(step.code, SUCCESS | IGNORE) => ", which is ignored".to_owned(),
        (Action::Bad, _) => ", and libpam goes on".to_owned(),
        (Action::Ok | Action::Ignore, _) => String::new(),
    };
    format!("{} {answer}{effect}", line.described())
}
