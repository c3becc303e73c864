//! Asking at the terminal, and showing a key there so that it does not stay.

use std::io::{self, BufRead, IsTerminal, Write};

use twinlock_proto::limit;
use zeroize::Zeroizing;

use crate::{
    args::QrForm,
    failure::{Failure, NO},
};

/// Asks for a line that can be seen while it is typed.
pub async fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let prompt = prompt.to_owned();
    elsewhere(move || {
        // Not locked while somebody types: after Ctrl-C there is something to say.
        write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush())?;
        let mut line = Zeroizing::new(String::new());
        let read = io::Read::take(io::stdin().lock(), limit::ANSWER as u64).read_line(&mut line)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = line.trim_end_matches(['\n', '\r']).len();
        line.truncate(length);
        Ok(line)
    })
    .await
}

/// Asks for a line that cannot be seen; only at a terminal.
pub async fn ask_hidden(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let prompt = prompt.to_owned();
    elsewhere(move || rpassword::prompt_password(&prompt).map(Zeroizing::new)).await
}

/// Reading blocks, so it has a thread of its own: Ctrl-C (main.rs) must still put the terminal in order.
async fn elsewhere(
    read: impl FnOnce() -> io::Result<Zeroizing<String>> + Send + 'static,
) -> Result<Zeroizing<String>, Failure> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(line)) => Ok(line),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Failure::usage("no answer (the input ended); nothing has changed"))
        }
        Ok(Err(error)) => Err(Failure::usage(format!("cannot ask: {error}; this needs a terminal"))),
        Err(_) => Err(Failure::interrupted()),
    }
}

/// Whether both ends are a terminal.
pub fn present() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for a yes, where somebody is there to give it; a script (`json`) has to say --yes.
pub async fn agree_unless(json: bool, question: &str) -> Result<(), Failure> {
    if json || !present() {
        return Err(Failure::usage("there is nobody to ask: say --yes if you mean it"));
    }
    if ask(question).await?.trim() == "yes" { Ok(()) } else { Err(Failure::new(NO, "nothing has changed")) }
}

/// The form of QR code that this terminal can show.
pub fn qr_form(wish: Option<QrForm>) -> QrForm {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale =
        of("LC_ALL").or_else(|| of("LC_CTYPE")).or_else(|| of("LANG")).unwrap_or_default().to_lowercase();
    match wish {
        Some(form) => form,
        None if !io::stdout().is_terminal() => QrForm::None,
        None if locale.contains("utf-8") || locale.contains("utf8") => QrForm::Utf8,
        None => QrForm::Ascii,
    }
}

/// The alternate screen: what is shown there is gone afterwards, from the scrollback too.
pub struct Screen(bool);

impl Screen {
    /// Enters it, if there is a terminal.
    pub fn enter() -> Self {
        let there = io::stdout().is_terminal();
        if there {
            control("\x1b[?1049h\x1b[2J\x1b[H");
        }
        Self(there)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.0 {
            control("\x1b[2J\x1b[3J\x1b[H\x1b[?1049l");
        }
    }
}

fn control(sequence: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(sequence.as_bytes()).and_then(|()| stdout.flush());
}

/// The height of the terminal, in lines.
pub fn height() -> usize {
    terminal_size::terminal_size().map_or(24, |(_, terminal_size::Height(lines))| usize::from(lines))
}
