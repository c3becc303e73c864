//! Many logins that answer at the same instant.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::pamhost::PROGRAM;

/// Logins that wait at their prompt.
pub struct Racers {
    waiting: Vec<(Child, BufReader<ChildStdout>, String)>,
}

impl Racers {
    /// Starts a login for each (service, user, code), with this environment, and waits until all are asked.
    #[must_use]
    pub fn at_the_prompt(logins: &[(&str, &str, String)], environment: &[(&str, String)]) -> Self {
        let mut waiting = Vec::new();
        for (service, user, code) in logins {
            let mut child = Command::new(PROGRAM)
                .args(["-s", service, "-u", user, "@stdin"])
                .envs(environment.iter().map(|(name, value)| (*name, value)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let said = BufReader::new(child.stdout.take().unwrap());
            waiting.push((child, said, code.clone()));
        }
        for (_, said, _) in &mut waiting {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            assert!(line.starts_with("prompt "), "no prompt: {line}");
        }
        Self { waiting }
    }

    /// All answer at once; says who got in.
    #[must_use]
    pub fn answer(mut self) -> Vec<bool> {
        for (child, _, code) in &mut self.waiting {
            // One write each, and no waiting in between: as close to one instant as a driver can come.
            child.stdin.take().unwrap().write_all(format!("{code}\n").as_bytes()).unwrap();
        }
        self.waiting
            .into_iter()
            .map(|(mut child, mut said, _)| {
                let mut rest = String::new();
                said.read_to_string(&mut rest).unwrap();
                child.wait().unwrap();
                rest.lines().any(|line| line.starts_with("auth 0 "))
            })
            .collect()
    }
}
