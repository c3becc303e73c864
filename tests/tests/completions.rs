//! Tab, in real shells, with the completions where packages put them.

use std::process::Command;

use twinlock_tests::{
    terminal::Terminal,
    world::{World, sh},
};

/// Subcommand, its subcommand and a flag: one that was not completed would be refused before `--help` is answered.
const FLAG: &str = "twinlock us\tli\t--req\t--he\t\r";
/// The value of a flag, likewise.
const VALUE: &str = "twinlock token im\t--for\tps\t--he\t\r";
/// Half the name of a user that there is: a name that was completed would have a space behind it, and `-x` would be a flag.
const NAME: &str = "twinlock user show ali\t-x\r";

fn shell(program: &str, arguments: &[&str], completions: &str, prepared: &str) {
    let _world = World::new();
    sh(&format!("mkdir -p $(dirname {completions}) && twinlock completions {program} >{completions}"));
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env("NO_COLOR", "1");
    let mut terminal = Terminal::run(command);
    // A tab is one only for a shell that waits for it: what ran before has ended.
    let ready = |terminal: &mut Terminal, before: &str| {
        terminal.type_keys(&format!("{before}echo rea''dy\r"));
        terminal.expect("ready");
    };
    ready(&mut terminal, &format!("{prepared}; "));
    terminal.type_keys(FLAG);
    terminal.expect("Usage: twinlock user list [OPTIONS]");
    ready(&mut terminal, "");
    terminal.type_keys(VALUE);
    terminal.expect("Usage: twinlock token import [OPTIONS] <FILE>");
    ready(&mut terminal, "");
    terminal.type_keys(NAME);
    // Who has an account here is nobody's business.
    terminal.expect("twinlockd does not listen");
    terminal.type_keys("exit\r");
    let _ = terminal.finish();
}

#[test]
fn bash_completes_commands_flags_and_values_and_no_names() {
    let load = "source /usr/share/bash-completion/bash_completion";
    shell("bash", &["--norc", "-i"], "/usr/share/bash-completion/completions/twinlock", load);
}

#[test]
fn zsh_completes_commands_flags_and_values_and_no_names() {
    let load = "autoload -U compinit && compinit -u -D";
    shell("zsh", &["-f", "-i"], "/usr/share/zsh/vendor-completions/_twinlock", load);
}

#[test]
fn fish_completes_commands_flags_and_values_and_no_names() {
    shell("fish", &["-i"], "/usr/share/fish/vendor_completions.d/twinlock.fish", "true");
}
