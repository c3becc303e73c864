//! sshd_config with everything it includes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::pattern::wildcard;

/// Where configuration files are. The program reads folders, tests read maps.
pub trait Source {
    /// The text of a file.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn read(&self, path: &str) -> io::Result<String>;

    /// The files that match a glob(7) pattern, sorted.
    fn expand(&self, pattern: &str) -> Vec<String>;
}

/// Files below a folder that is `/` but for tests.
#[derive(Debug, Clone)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// `root` is the folder that stands for `/`.
    #[must_use]
    pub const fn below(root: PathBuf) -> Self {
        Self { root }
    }
}

impl Source for Disk {
    fn read(&self, path: &str) -> io::Result<String> {
        let bytes = fs::read(self.root.join(path.trim_start_matches('/')))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn expand(&self, pattern: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = found.iter().flat_map(|folder| self.below_folder(folder, part)).collect();
        }
        found.sort_unstable();
        found
    }
}

impl Disk {
    fn below_folder(&self, folder: &str, part: &str) -> Vec<String> {
        let real = self.root.join(folder.trim_start_matches('/'));
        let full = |name: &str| format!("{folder}/{name}");
        if !part.contains(['*', '?']) {
            return if real.join(part).exists() { vec![full(part)] } else { Vec::new() };
        }
        // glob(7): a leading point is only matched by one.
        let hidden = |name: &str| name.starts_with('.') && !part.starts_with('.');
        let names = fs::read_dir(real).into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| wildcard(part, name) && !hidden(name))
            .map(|name| full(&name))
            .collect()
    }
}

/// One condition of a Match line: its keyword in lower case, and its pattern list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// `user`, `group`, `address` ...
    pub keyword: String,
    /// Empty where the keyword takes none.
    pub list: String,
}

/// One Match block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// File, line and what is written there.
    pub name: String,
    /// All must hold, those of the block around an Include too.
    pub criteria: Vec<Criterion>,
}

/// What is of interest in a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The Match blocks in order.
    pub blocks: Vec<Block>,
    /// The first Port.
    pub port: Option<String>,
    /// Files that cannot be read.
    pub unreadable: Vec<(String, String)>,
}

/// Includes nest so deep at most (servconf.c, `SERVCONF_MAX_DEPTH`).
const DEPTH: usize = 16;

/// Reads a configuration.
pub fn read(path: &str, source: &dyn Source) -> Config {
    let mut config = Config::default();
    config.file(path, source, &[], 0);
    config
}

impl Config {
    fn file(&mut self, path: &str, source: &dyn Source, around: &[Criterion], depth: usize) {
        let text = match source.read(path) {
            Ok(text) => text,
            Err(error) => return self.unreadable.push((path.to_owned(), error.to_string())),
        };
        let mut active = around.to_vec();
        for (index, line) in text.lines().enumerate() {
            let words = words(line);
            let Some((key, rest)) = words.split_first() else { continue };
            match key.to_ascii_lowercase().as_str() {
                "port" if self.port.is_none() => self.port = rest.first().cloned(),
                "match" => {
                    active = [around, &criteria(rest)].concat();
                    let name = format!("{path}:{} {}", index + 1, line.trim());
                    self.blocks.push(Block { name, criteria: active.clone() });
                }
                "include" if depth < DEPTH => {
                    for pattern in rest {
                        // sshd_config(5): "Files without absolute paths are assumed to be in /etc/ssh."
                        let pattern = Path::new("/etc/ssh").join(pattern);
                        for file in source.expand(&pattern.to_string_lossy()) {
                            self.file(&file, source, &active, depth + 1);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The words of a line: blanks and the first `=` part them, quotes hold them together, `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.trim().chars() {
        match (letter, quote) {
            (_, Some(end)) if letter == end => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (' ' | '\t', None) => words.extend(word.take()),
            ('=', None) if words.is_empty() || (words.len() == 1 && word.is_none()) => {
                words.extend(word.take());
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

fn criteria(words: &[String]) -> Vec<Criterion> {
    let mut words = words.iter();
    let mut all = Vec::new();
    while let Some(word) = words.next() {
        // OpenSSH 10 takes `user=alice` too.
        let (keyword, list) = match word.split_once('=') {
            Some((keyword, list)) => (keyword.to_ascii_lowercase(), list.to_owned()),
            None => (word.to_ascii_lowercase(), String::new()),
        };
        let bare = ["all", "invalid-user", "canonical", "final"].contains(&keyword.as_str());
        let list = if bare || !list.is_empty() { list } else { words.next().cloned().unwrap_or_default() };
        all.push(Criterion { keyword, list });
    }
    all
}
