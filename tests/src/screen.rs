//! A terminal of a fixed size, seen as a person sees it: what tmux shows of a program.

use std::{
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::wait;

/// A program on a screen of 80 x 24.
pub struct Screen {
    name: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Screen {
    /// Starts a shell command.
    #[must_use]
    pub fn run(command: &str) -> Self {
        let screen = Self { name: format!("screen-{}", NEXT.fetch_add(1, Ordering::Relaxed)) };
        let started =
            screen.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &format!("{command}; sleep 60")]);
        assert!(started.status.success(), "{started:?}");
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-L", &self.name]).args(arguments);
        command.output().expect("tmux is installed")
    }

    /// What is on the screen now.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// What was ever on it.
    #[must_use]
    pub fn all(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]).stdout).into_owned()
    }

    /// Waits until the screen shows a text (tmux drops blanks at the end of a line).
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        wait::until(&format!("{text:?} on the screen"), 20, || {
            Some(self.shown()).filter(|shown| shown.contains(text.trim_end()))
        })
    }

    /// Types a line.
    pub fn type_line(&self, text: &str) {
        let typed = self.tmux(&["send-keys", text, "Enter"]);
        assert!(typed.status.success(), "{typed:?}");
    }

    /// Waits for a prompt and answers it.
    #[track_caller]
    pub fn answer(&self, prompt: &str, text: &str) {
        self.wait_for(prompt);
        self.type_line(text);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// What zbar reads from a QR code that was drawn as text, with light modules as blocks or `#`; `None` if nothing.
#[must_use]
pub fn scan(text: &str) -> Option<String> {
    let drawn = |line: &&str| line.contains(['\u{2588}', '\u{2580}', '\u{2584}']) || line.contains("####");
    let rows: Vec<Vec<char>> = text.lines().filter(drawn).map(|line| line.chars().collect()).collect();
    let ascii = text.contains("####");
    let columns = rows.iter().map(Vec::len).max()?;
    let (width, height) = if ascii { (4, 8) } else { (8, 16) };
    let light = |character: char, lower: bool| match character {
        '\u{2588}' | '#' => true,
        '\u{2580}' => !lower,
        '\u{2584}' => lower,
        _ => false,
    };
    let mut picture = format!("P5 {} {} 255\n", columns * width, rows.len() * height).into_bytes();
    for row in &rows {
        for y in 0..height {
            for column in 0..columns {
                let character = row.get(column).copied().unwrap_or(' ');
                let bright = light(character, !ascii && y >= height / 2);
                picture.extend(std::iter::repeat_n(if bright { 255 } else { 0 }, width));
            }
        }
    }
    std::fs::write("/tmp/screen.pgm", picture).expect("room for a picture");
    read_picture("/tmp/screen.pgm")
}

/// What zbar reads from a QR code in a picture.
#[must_use]
pub fn read_picture(path: &str) -> Option<String> {
    let out = Command::new("zbarimg").args(["-q", "--raw", path]).output().expect("zbarimg is installed");
    Some(String::from_utf8_lossy(&out.stdout).trim().to_owned()).filter(|read| !read.is_empty())
}
