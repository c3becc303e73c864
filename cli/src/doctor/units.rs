//! systemd's units: those that are needed run, and run again after a reboot.

use std::collections::HashMap;

use super::{
    finding::Finding,
    host::{complaint, program, systemd},
};

/// What happens to whom while a unit does not do its work.
struct Unit {
    name: &'static str,
    /// Without it, or after a reboot without it.
    loss: &'static str,
    /// Whether this host needs it; else going without is a choice.
    wanted: bool,
    /// Whether it is there to run all the time.
    stays: bool,
}

/// What systemd says of a unit: its properties by name.
pub type Properties = HashMap<String, String>;

/// Looks at the units, where systemd runs. `asked`: some stack has our line; `page`: there is to be an enrollment page.
pub fn look(asked: bool, page: bool) -> Vec<Finding> {
    if !systemd() {
        return Vec::new();
    }
    let units = units(asked, page);
    let mut command = program("systemctl");
    command.args(["show", "--property=Id,LoadState,ActiveState,UnitFileState,Result"]);
    let out = match command.args(units.iter().map(|unit| unit.name)).output() {
        Ok(out) if out.status.success() => out,
        Ok(out) => return vec![silent(&complaint(&out.stderr))],
        Err(error) => return vec![silent(&error.to_string())],
    };
    let said = read(&String::from_utf8_lossy(&out.stdout));
    let mut findings: Vec<Finding> =
        units.iter().filter_map(|unit| judge(unit, said.get(unit.name)?)).collect();
    findings.extend(helpers(&units));
    findings
}

fn silent(why: &str) -> Finding {
    let sentence = format!("systemd does not say how our units are: {why}");
    Finding::warning("systemctl", sentence, "see systemctl status 'twinlock*'")
}

fn units(asked: bool, page: bool) -> Vec<Unit> {
    let login = "every login of a stack with our line is denied";
    let all = [
        ("twinlockd.service", login, asked),
        ("twinlockd.socket", login, asked),
        ("twinlockd-user.socket", "users and screen lockers cannot reach twinlockd", asked),
        ("twinlock-pam-undo.service", "a change of PAM that nobody confirmed stays after a reboot", true),
        ("twinlockd-web.socket", "the enrollment page cannot reach twinlockd", page),
        ("twinlock-web.service", "links to the enrollment page lead nowhere", page),
        ("twinlock-password.socket", "nobody can confirm a login password", false),
        ("twinlock-sendmail.socket", "mail by sendmail is not sent", false),
    ];
    let stays = |name: &str| name != "twinlock-pam-undo.service";
    all.map(|(name, loss, wanted)| Unit { name, loss, wanted, stays: stays(name) }).into()
}

/// `systemctl show`: blocks of `Name=value`, one a unit.
fn read(text: &str) -> HashMap<String, Properties> {
    let block = |block: &str| {
        let properties: Properties = block
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some((properties.get("Id")?.clone(), properties))
    };
    text.split("\n\n").filter_map(block).collect()
}

fn judge(unit: &Unit, properties: &Properties) -> Option<Finding> {
    let Unit { name, loss, wanted, stays } = unit;
    let is = |property: &str, value: &str| properties.get(property).is_some_and(|said| said == value);
    if is("ActiveState", "failed") {
        let result = properties.get("Result").map_or("", String::as_str);
        let sentence = format!("the unit has failed ({result}): {loss}");
        return Some(Finding::error(
            *name,
            sentence,
            format!("see journalctl -u {name}, mend it, then run systemctl restart {}", restarted(name)),
        ));
    }
    if is("LoadState", "masked") && *wanted {
        return Some(Finding::error(
            *name,
            format!("the unit is masked: {loss}"),
            format!("run systemctl unmask {name}"),
        ));
    }
    if is("LoadState", "not-found") {
        // Whoever built it from the source may start it otherwise.
        return wanted.then(|| {
            Finding::warning(
                *name,
                format!("systemd has no such unit: after a reboot {loss}"),
                "install the package again, or the unit by hand",
            )
        });
    }
    if is("UnitFileState", "disabled") && *wanted {
        let sentence = format!("the unit is not enabled: after a reboot {loss}");
        return Some(Finding::error(*name, sentence, format!("run systemctl enable {name}")));
    }
    if is("ActiveState", "inactive") && *wanted && *stays {
        return Some(Finding::error(
            *name,
            format!("the unit does not run: {loss}"),
            format!("run systemctl restart {}", restarted(name)),
        ));
    }
    None
}

/// A socket is handed to the daemon as that starts.
fn restarted(unit: &str) -> &str {
    if unit.starts_with("twinlockd") { "twinlockd.service" } else { unit }
}

/// Helpers that are started for each use: what failed once may fail again.
fn helpers(units: &[Unit]) -> Vec<Finding> {
    let listed =
        program("systemctl").args(["list-units", "--failed", "--plain", "--no-legend", "twinlock*"]).output();
    let Ok(listed) = listed else { return Vec::new() };
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| !units.iter().any(|unit| unit.name == *name))
        .map(|name| {
            let remedy = format!("see journalctl -u {name}, then run systemctl reset-failed {name}");
            Finding::warning(name, "this helper has failed", remedy)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, load: &str, active: &str, file: &str) -> Vec<String> {
        let text = format!(
            "Id=other.service\nLoadState=loaded\n\nId={name}\nLoadState={load}\nActiveState={active}\nUnitFileState={file}\nResult=exit-code\n"
        );
        let said = read(&text);
        units(true, false)
            .iter()
            .filter_map(|unit| judge(unit, said.get(unit.name)?))
            .map(|finding| format!("{} {}", finding.severity.word(), finding.sentence))
            .collect()
    }

    #[test]
    fn what_failed_is_off_or_is_not_there_is_told_apart() {
        assert_eq!(of("twinlockd.service", "loaded", "active", "enabled"), Vec::<String>::new());
        assert!(
            of("twinlockd.service", "loaded", "failed", "enabled")[0]
                .starts_with("error the unit has failed (exit-code)")
        );
        assert!(
            of("twinlockd.socket", "loaded", "active", "disabled")[0]
                .starts_with("error the unit is not enabled")
        );
        assert!(
            of("twinlockd.service", "loaded", "inactive", "enabled")[0]
                .starts_with("error the unit does not run")
        );
        assert!(
            of("twinlock-pam-undo.service", "not-found", "inactive", "")[0]
                .starts_with("warning systemd has no such unit")
        );
        assert!(
            of("twinlockd-user.socket", "loaded", "inactive", "enabled")[0]
                .starts_with("error the unit does not run")
        );
        // It has nothing to do but at boot.
        assert_eq!(of("twinlock-pam-undo.service", "loaded", "inactive", "enabled"), Vec::<String>::new());
        // No page is wanted here.
        assert_eq!(of("twinlock-web.service", "loaded", "inactive", "disabled"), Vec::<String>::new());
        assert_eq!(of("twinlock-sendmail.socket", "not-found", "inactive", ""), Vec::<String>::new());
    }
}
