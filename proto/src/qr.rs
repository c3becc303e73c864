//! A QR code as text, for the command and for a login's prompt, and as modules, for who draws it on paper. The encoding is
//! the library's; as text it is drawn with the light modules in the foreground, so that it reads right on the dark background
//! that terminals have.

use qrcode::{Color, EcLevel, QrCode};

/// How a QR code is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Half blocks: needs a UTF-8 terminal, and is the only form that fits 80 x 24.
    Utf8,
    /// Two characters a module: shows everywhere, and is large.
    Ascii,
    /// Not at all.
    None,
}

/// Light modules around it on a terminal: 2 fit 80 x 24 and every reader takes them.
const MARGIN: usize = 2;
/// What the standard asks for.
const QUIET_ZONE: usize = 4;

/// The code as lines, or `None` if the text is too long for one or none is wanted.
#[must_use]
pub fn draw(text: &str, form: Form) -> Option<Vec<String>> {
    let modules = Modules::new(text, EcLevel::L, MARGIN)?;
    match form {
        Form::Utf8 => Some(half_blocks(&modules)),
        Form::Ascii => Some(ascii(&modules)),
        Form::None => None,
    }
}

/// The squares that a code is made of, its margin with them.
pub struct Modules {
    width: usize,
    margin: usize,
    colors: Vec<Color>,
}

impl Modules {
    /// A code to be printed, which must bear some dirt; `None` if the text is too long for one.
    #[must_use]
    pub fn for_paper(text: &str) -> Option<Self> {
        Self::new(text, EcLevel::M, QUIET_ZONE)
    }

    fn new(text: &str, level: EcLevel, margin: usize) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, level).ok()?;
        Some(Self { width: code.width(), margin, colors: code.to_colors() })
    }

    /// How many stand in a row, and how many rows there are.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.width + 2 * self.margin
    }

    /// Whether the module is light; the margin is.
    #[must_use]
    pub fn light(&self, row: usize, column: usize) -> bool {
        let inside = |at: usize| at.checked_sub(self.margin).filter(|at| *at < self.width);
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => self.colors.get(row * self.width + column) != Some(&Color::Dark),
            _ => true,
        }
    }
}

fn half_blocks(modules: &Modules) -> Vec<String> {
    let size = modules.size();
    let cell = |row: usize, column: usize| match (
        modules.light(row, column),
        row + 1 < size && modules.light(row + 1, column),
    ) {
        (true, true) => '\u{2588}',
        (true, false) => '\u{2580}',
        (false, true) => '\u{2584}',
        (false, false) => ' ',
    };
    (0..size).step_by(2).map(|row| (0..size).map(|column| cell(row, column)).collect()).collect()
}

fn ascii(modules: &Modules) -> Vec<String> {
    let size = modules.size();
    let cell = |row, column| if modules.light(row, column) { "##" } else { "  " };
    (0..size).map(|row| (0..size).map(|column| cell(row, column)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str =
        "otpauth://totp/Example%20Corp:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20Corp";

    #[test]
    fn a_usual_link_fits_a_small_terminal() {
        let lines = draw(LINK, Form::Utf8).unwrap();
        assert!(lines.len() <= 21, "{} lines", lines.len());
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn ascii_is_ascii() {
        assert!(draw(LINK, Form::Ascii).unwrap().iter().all(|line| line.is_ascii()));
        assert_eq!(draw(LINK, Form::None), None);
    }
}
