//! A manual page as data: its sections, and in them the items that are explained. Of roff just what our pages use.

use std::{collections::BTreeSet, fs};

/// A page, with each line as it is read.
pub struct Page {
    lines: Vec<Line>,
}

/// An item: what it is about, and what is said of it.
#[derive(Debug)]
pub struct Item {
    /// Its first line.
    pub heading: String,
    /// The lines behind that.
    pub said: String,
}

enum Line {
    Section(String),
    Item,
    Text(String),
}

impl Page {
    /// Reads a shipped page.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let source = source(&format!("packaging/man/{name}"));
        Self { lines: source.lines().map(read).collect() }
    }

    /// All of its text.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.lines.iter().filter_map(|line| match line {
            Line::Section(text) | Line::Text(text) => Some(text.as_str()),
            Line::Item => None,
        });
        text.collect::<Vec<_>>().join(" ")
    }

    /// The names of its sections, of either level.
    #[must_use]
    pub fn sections(&self) -> Vec<&str> {
        let names = self.lines.iter().filter_map(|line| match line {
            Line::Section(name) => Some(name.as_str()),
            Line::Item | Line::Text(_) => None,
        });
        names.collect()
    }

    /// The text of a section.
    #[must_use]
    pub fn section(&self, name: &str) -> String {
        let text = self.lines_of(name).filter_map(|line| match line {
            Line::Text(text) => Some(text.as_str()),
            Line::Section(_) | Line::Item => None,
        });
        text.collect::<Vec<_>>().join(" ")
    }

    /// The items of a section.
    #[must_use]
    pub fn items(&self, section: &str) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        let mut begins = false;
        for line in self.lines_of(section) {
            match (line, items.last_mut()) {
                (Line::Text(text), _) if begins => {
                    items.push(Item { heading: text.clone(), said: String::new() });
                    begins = false;
                }
                (Line::Text(text), Some(item)) => item.said.extend([text.as_str(), " "]),
                (Line::Text(_) | Line::Section(_), _) => {}
                (Line::Item, _) => begins = true,
            }
        }
        items
    }

    /// What the items of a section are about; one item can be about several.
    #[must_use]
    pub fn names(&self, section: &str) -> BTreeSet<String> {
        let items = self.items(section);
        items.iter().flat_map(|item| item.heading.split(", ").map(str::to_owned)).collect()
    }

    fn lines_of<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Line> {
        let begins = move |line: &&Line| !matches!(line, Line::Section(name) if name == section);
        assert!(self.sections().contains(&section), "no section {section}: {:?}", self.sections());
        self.lines.iter().skip_while(begins).skip(1).take_while(|line| !matches!(line, Line::Section(_)))
    }
}

/// A file of the workspace.
#[must_use]
pub fn source(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(line: &str) -> Line {
    let Some(request) = line.strip_prefix('.') else { return Line::Text(plain(line)) };
    let (name, rest) = request.split_once(' ').unwrap_or((request, ""));
    let words = words(rest);
    match name {
        "SH" | "SS" => Line::Section(words.join(" ")),
        "TP" => Line::Item,
        "B" | "I" => Line::Text(words.join(" ")),
        // Fonts that take turns: what stands beside each other is one word.
        "BR" | "RB" | "BI" | "IB" | "IR" | "RI" => Line::Text(words.concat()),
        _ => Line::Text(String::new()),
    }
}

/// The arguments of a request; quotes keep one together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(plain(word));
        rest = behind.trim_start();
    }
    words
}

fn plain(text: &str) -> String {
    ["\\fB", "\\fI", "\\fR", "\\&"]
        .iter()
        .fold(text.replace("\\-", "-").replace("\\e", "\\"), |text, font| text.replace(font, ""))
}
