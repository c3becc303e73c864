//! The file that is read by others: written whole or not at all, in a folder that only the daemon's user can change. In any
//! other, somebody could put a link in its place, and have root write where they want.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{self, OFlag},
    sys::stat::Mode,
    unistd::{self, UnlinkatFlags},
};

/// Where figures are put up: one file, and what went wrong with it last.
#[derive(Debug, Default)]
pub struct Board {
    file: Option<PathBuf>,
    up: bool,
    told: String,
}

impl Board {
    /// Puts a text up in this file, and takes that of another file down; without a file only that.
    pub fn show(&mut self, file: Option<&Path>, text: &[u8]) {
        if self.file.as_deref() != file {
            self.clear();
            *self = Self { file: file.map(Path::to_owned), ..Self::default() };
        }
        let Some(file) = file else { return };
        match write(file, text) {
            Ok(()) => {
                self.up = true;
                self.told.clear();
            }
            Err(error) => self.tell(&format!("{}: {error}", file.display())),
        }
    }

    /// Takes the file down, so that nobody takes old figures for new ones.
    pub fn clear(&mut self) {
        if let Some(file) = self.file.take_if(|_| self.up)
            && let Err(error) = remove(&file)
        {
            self.tell(&format!("{} is not removed: {error}", file.display()));
        }
    }

    /// Once, not every few seconds.
    fn tell(&mut self, what: &str) {
        if self.told != what {
            tracing::error!("no figures for Prometheus: {what}");
            what.clone_into(&mut self.told);
        }
    }
}

fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let (folder, name) = place(file)?;
    let draft = format!("{name}.new");
    forget(&folder, &draft)?; // of a daemon that was killed
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = fcntl::openat(&folder, draft.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let mut opened = File::from(opened);
    // The daemon's umask lets nobody in, and is everybody's: the mode is opened up here, before the file has its name.
    let written = opened
        .write_all(text)
        .and_then(|()| opened.set_permissions(Permissions::from_mode(0o644)))
        .and_then(|()| Ok(fcntl::renameat(&folder, draft.as_str(), &folder, name.as_str())?));
    if written.is_err() {
        let _ = forget(&folder, &draft);
    }
    written
}

fn remove(file: &Path) -> io::Result<()> {
    let (folder, name) = place(file)?;
    forget(&folder, &name)
}

fn forget(folder: &impl AsFd, name: &str) -> io::Result<()> {
    match unistd::unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(nix::Error::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The folder, which is what was looked at from here on whatever its name comes to mean; and the name in it.
fn place(file: &Path) -> io::Result<(OwnedFd, String)> {
    let name = file.file_name().and_then(|name| name.to_str());
    let (Some(folder), Some(name)) = (file.parent(), name) else {
        return Err(io::Error::other("not a path of a file"));
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = fcntl::open(folder, flags, Mode::empty())
        .map_err(|error| io::Error::other(format!("its folder cannot be opened, or is a link ({error})")))?;
    let opened = File::from(opened);
    let metadata = opened.metadata()?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    // A sticky one too: there anybody can put a file of that name first.
    if owner != unistd::geteuid().as_raw() || mode & 0o022 != 0 {
        let folder = folder.display();
        return Err(io::Error::other(format!(
            "its folder belongs to uid {owner} and has mode {mode:04o}, so others can change it: chown root {folder}; \
             chmod 0755 {folder}"
        )));
    }
    Ok((opened.into(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn folder(mode: u32) -> tempfile::TempDir {
        tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempdir().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_is_there_whole_and_for_all_to_read_and_goes_when_it_is_over() {
        let folder = folder(0o755);
        let (file, other) = (folder.path().join("a.prom"), folder.path().join("b.prom"));
        fs::write(folder.path().join("a.prom.new"), "of a daemon that was killed").unwrap();
        let mut board = Board::default();
        for text in ["one", "two"] {
            board.show(Some(&file), text.as_bytes());
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
            assert_eq!(names(folder.path()), ["a.prom"]);
        }
        board.show(Some(&other), b"three");
        assert_eq!(names(folder.path()), ["b.prom"]);
        board.show(None, b"");
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_that_others_can_change_is_not_written_to() {
        for mode in [0o775, 0o757, 0o1777] {
            let folder = folder(0o700);
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let mut board = Board::default();
            board.show(Some(&folder.path().join("a.prom")), b"one");
            assert!(names(folder.path()).is_empty(), "{mode:o}");
            assert!(board.told.contains("others can change it: chown root"), "{}", board.told);
        }
    }

    #[test]
    fn links_lead_nowhere() {
        let (real, folder) = (folder(0o755), folder(0o755));
        let (victim, link) = (real.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "as it was").unwrap();
        symlink(real.path(), &link).unwrap();
        let mut board = Board::default();
        board.show(Some(&link.join("a.prom")), b"one");
        assert!(board.told.contains("or is a link"), "{}", board.told);
        // In place of the file, and of its draft: replaced, never followed.
        for name in ["a.prom", "a.prom.new"] {
            symlink(&victim, folder.path().join(name)).unwrap();
        }
        let file = folder.path().join("a.prom");
        board.show(Some(&file), b"one");
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(
            (fs::read_to_string(&victim).unwrap(), names(real.path())),
            ("as it was".into(), vec!["victim".to_owned()])
        );
    }
}
