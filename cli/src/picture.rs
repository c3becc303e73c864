//! A key as a picture, to be printed: a PNG that only root can read, of a code and nothing else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::libc;
use png::{BitDepth, ColorType, Encoder};
use twinlock_proto::qr::Modules;
use zeroize::Zeroizing;

use crate::failure::{Failure, NO};

/// Pixels of a module, in each direction: it can be printed as large as a hand without looking washed out.
const SCALE: usize = 8;

/// Where a picture goes. A file is there only if it is whole.
pub enum Picture {
    Stdout,
    File { file: File, path: PathBuf, whole: bool },
}

impl Picture {
    /// Nothing that is there is written over, and no link is followed.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            if io::stdout().is_terminal() {
                return Err(Failure::usage("a picture is no text: send it to a file or a program"));
            }
            return Ok(Self::Stdout);
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        match options.open(path) {
            Ok(file) => Ok(Self::File { file, path: path.to_owned(), whole: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let path = path.display();
                Err(Failure::new(
                    NO,
                    format!("{path} is there already and stays as it is: choose another name"),
                ))
            }
            Err(error) => Err(Failure::new(NO, format!("cannot write {}: {error}", path.display()))),
        }
    }

    /// Says what went wrong.
    pub fn draw(mut self, text: &str) -> Result<(), String> {
        let modules = Modules::for_paper(text).ok_or("the link is too long for a picture")?;
        let image = encode(&modules).map_err(|error| format!("the picture cannot be made: {error}"))?;
        match &mut self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                let written = stdout.write_all(&image).and_then(|()| stdout.flush());
                written.map_err(|error| format!("the picture was not taken: {error}"))
            }
            Self::File { file, path, whole } => {
                let written = file.write_all(&image).and_then(|()| file.sync_all());
                *whole = written.is_ok();
                written.map_err(|error| format!("cannot write {}: {error}", path.display()))
            }
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        if let Self::File { path, whole: false, .. } = self {
            let _ = fs::remove_file(path);
        }
    }
}

/// One bit a pixel, 1 is white.
fn encode(modules: &Modules) -> Result<Zeroizing<Vec<u8>>, png::EncodingError> {
    let pixels = modules.size() * SCALE;
    let mut rows = Zeroizing::new(Vec::with_capacity(pixels * pixels.div_ceil(8)));
    for row in 0..modules.size() {
        // A module is as wide as a byte.
        let line: Vec<u8> =
            (0..modules.size()).map(|column| if modules.light(row, column) { 0xff } else { 0 }).collect();
        for _ in 0..SCALE {
            rows.extend_from_slice(&line);
        }
    }
    let mut image = Zeroizing::new(Vec::new());
    let side = u32::try_from(pixels).unwrap_or(u32::MAX);
    let mut encoder = Encoder::new(&mut *image, side, side);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    encoder.write_header()?.write_image_data(&rows)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_quiet_zone_and_whole_modules() {
        let modules = Modules::for_paper("otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQ").unwrap();
        let image = encode(&modules).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(&image[..])).read_info().unwrap();
        let (info, side) = (reader.info().clone(), modules.size() * SCALE);
        assert_eq!(
            (info.width as usize, info.bit_depth, info.color_type),
            (side, BitDepth::One, ColorType::Grayscale)
        );
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let row = |n: usize| &pixels[n * side / 8..][..side / 8];
        assert!((0..4 * SCALE).all(|n| row(n).iter().all(|byte| *byte == 0xff)), "four modules of white");
        let first = row(4 * SCALE);
        assert_eq!((&first[..4], &first[4..11]), (&[0xff; 4][..], &[0; 7][..]), "then the corner");
    }
}
