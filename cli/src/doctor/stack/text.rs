//! Lines and words of a stack file, as libpam cuts them (`_pam_assemble_line`, `_pam_StrTok`).

/// A line with its number; continuations are joined.
#[derive(Debug, PartialEq, Eq)]
pub struct Logical {
    /// Where it begins, from 1.
    pub number: usize,
    /// Without comment.
    pub text: String,
}

/// The file ends after a `\`: libpam gives up the whole file.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The line with the last `\`.
    pub number: usize,
}

/// Cuts a file into lines. Everything from the first `#` is a comment, also inside brackets, and a line with a comment
/// is never continued; blank lines and comments between a `\` and its continuation are skipped.
pub fn lines(file: &str) -> (Vec<Logical>, Option<Unfinished>) {
    let mut all = Vec::new();
    let mut open: Option<Logical> = None;
    for (index, raw) in file.split('\n').enumerate() {
        let text = raw.trim_matches([' ', '\t']);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let mut line = open.take().unwrap_or_else(|| Logical { number: index + 1, text: String::new() });
        match (text.split_once('#'), text.strip_suffix('\\')) {
            (Some((before, _)), _) => line.text.push_str(before),
            (None, None) => line.text.push_str(text),
            (None, Some(before)) => {
                line.text.push_str(before);
                line.text.push(' ');
                open = Some(line);
                continue;
            }
        }
        all.push(line);
    }
    (all, open.map(|line| Unfinished { number: line.number }))
}

/// Words, apart by blanks; `[...]` is one word, without its brackets, in which `\]` stands for `]`.
pub struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The words of a line.
    #[must_use]
    pub const fn of(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let text = self.rest.trim_start_matches([' ', '\t', '\n']);
        let Some(inner) = text.strip_prefix('[') else {
            let end = text.find([' ', '\t', '\n']).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            self.rest = rest;
            return (!word.is_empty()).then(|| word.to_owned());
        };
        let mut word = String::new();
        let mut letters = inner.char_indices().peekable();
        self.rest = "";
        while let Some((at, letter)) = letters.next() {
            match (letter, letters.peek()) {
                ('\\', Some((_, ']'))) => {
                    word.push(']');
                    letters.next();
                }
                (']', _) => {
                    self.rest = inner.get(at + 1..).unwrap_or_default();
                    break;
                }
                _ => word.push(letter),
            }
        }
        Some(word)
    }
}
