//! Files that are replaced in one step, and keep who may do what with them.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use crate::failure::{Failure, NO};

/// The SELinux context of a file.
const CONTEXT: &str = "security.selinux";

/// A tree of files that is `/`, or a disk that a rescue system has mounted.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    pub fn new(below: &Path) -> Self {
        Self(below.to_owned())
    }

    /// Whether it is the host that this runs on.
    pub fn is_host(&self) -> bool {
        self.0 == Path::new("/")
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Where an absolute path is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

/// What could not be done with which file, and why.
pub fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::of_file(format!("cannot {what} {}: {error}", path.display()), error)
}

/// What a file holds; nothing if there is none. A link is refused: what it leads to would be replaced by a file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("look at", path, &error)),
    };
    if about.is_symlink() {
        let what = "is a symbolic link, which this would replace by a file: change what it leads to by hand";
        return Err(Failure::new(NO, format!("{} {what}", path.display())));
    }
    if !about.is_file() {
        return Err(Failure::new(NO, format!("{} is no regular file", path.display())));
    }
    fs::read(path).map(Some).map_err(|error| failed("read", path, &error))
}

/// Gives a file this content, or removes it. After a power cut there is what was before, or this.
pub fn put(path: &Path, content: Option<&[u8]>) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    match content {
        Some(content) => replace(path, content).map_err(|error| failed("write", path, &error))?,
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", path, &error));
            }
            _ => {}
        },
    }
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("write to", folder, &error))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A name that libpam, sshd's Include and package managers pass over.
    let draft = path.with_file_name(format!(".{name}.twinlock-new"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_draft(path, &draft, content).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(path: &Path, draft: &Path, content: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_NOFOLLOW.bits();
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(draft)?;
    file.write_all(content)?;
    match fs::symlink_metadata(path) {
        Ok(about) => {
            fchown(&file, Some(about.uid()), Some(about.gid()))?;
            file.set_permissions(Permissions::from_mode(about.mode() & 0o7777))?;
            keep_context(path, &file)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            file.set_permissions(Permissions::from_mode(0o644))?;
        }
        Err(error) => return Err(error),
    }
    file.sync_all()
}

/// A file made anew has the context of its folder, with which sshd may not be allowed to read it.
fn keep_context(path: &Path, file: &File) -> io::Result<()> {
    use rustix::{fs::XattrFlags, io::Errno};
    let mut context = [0_u8; 4096];
    match rustix::fs::lgetxattr(path, CONTEXT, &mut context) {
        Ok(length) => {
            let context = context.get(..length).unwrap_or_default();
            rustix::fs::fsetxattr(file, CONTEXT, context, XattrFlags::empty()).map_err(io::Error::from)
        }
        // There is no SELinux here, or no such thing in this file system.
        Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A folder of root's own. What has to be made above it is root's own too: the daemon does not start on looser modes.
pub fn private_folder(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .map_err(|error| failed("make", path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_keeps_its_mode_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd");
        put(&path, Some(b"one")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // What a command that was killed left there.
        fs::write(folder.path().join(".sshd.twinlock-new"), "half").unwrap();
        put(&path, Some(b"two")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        put(&path, None).unwrap();
        put(&path, None).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn a_link_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd");
        symlink("/etc/hostname", &path).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("symbolic link"));
    }
}
