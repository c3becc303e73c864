//! A QR code as a path of an SVG: drawn by the browser, sharp at every size, with nothing to load.

use qrcode::{Color, EcLevel, QrCode};

/// Light modules around it (ISO/IEC 18004 asks for 4): part of the picture, so that a dark page has them too.
const MARGIN: usize = 4;

/// A QR code.
pub struct Qr {
    /// Modules from side to side, the margin too.
    pub size: usize,
    /// The dark ones, as the `d` of a path.
    pub path: String,
}

/// `None` if the text is too long for one.
pub fn draw(text: &str) -> Option<Qr> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (row, colors) in code.to_colors().chunks(width).enumerate() {
        let mut column = 0;
        for run in colors.chunk_by(|left, right| left == right) {
            if run.first() == Some(&Color::Dark) {
                let (x, y, length) = (column + MARGIN, row + MARGIN, run.len());
                path.push_str(&format!("M{x} {y}h{length}v1h-{length}z"));
            }
            column += run.len();
        }
    }
    Some(Qr { size: width + 2 * MARGIN, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_margin_and_its_finders() {
        let qr = draw("otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example")
            .unwrap();
        assert!((41..=53).contains(&qr.size), "{}", qr.size);
        assert!(qr.path.starts_with("M4 4h7v1h-7z"), "the finder at the upper left: {}", qr.path);
        assert!(qr.path.contains(&format!("M{} 4h7v1h-7z", qr.size - 4 - 7)), "at the upper right");
        assert!(draw(&"x".repeat(10_000)).is_none());
    }
}
