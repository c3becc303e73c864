//! Showing a new key: QR code, key in groups of four, link.

use twinlock_proto::qr;

use crate::{
    args::QrForm,
    failure::Failure,
    output::{clean, line},
    terminal,
};

/// Prints the key in the forms that apps take. Where the terminal is low the link goes first, so that the QR code
/// and the key stay in view.
pub fn show(secret: &str, uri: &str, form: QrForm) -> Result<(), Failure> {
    let drawn = qr::draw(uri, form.into()).unwrap_or_default();
    line(format!("Link: {}", clean(uri)))?;
    for row in &drawn {
        line(row)?;
    }
    if drawn.len() + 4 > terminal::height() {
        line("(if the picture is cut off: make the window higher, or type the key)")?;
    }
    line(format!("Key:  {}", groups(secret)))
}

/// `ABCD EFGH ...`
fn groups(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().filter(char::is_ascii_alphanumeric).collect();
    characters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_shown_in_groups_of_four() {
        assert_eq!(super::groups("GEZDGNBVGY"), "GEZD GNBV GY");
    }
}
