//! The folders where libpam looks for stacks and modules.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::read::Files;

/// Folders of stack files and of modules, below a folder that is `/` but for tests.
#[derive(Debug, Clone)]
pub struct Folders {
    root: PathBuf,
    modules: Vec<PathBuf>,
}

/// libpam's order (`_pam_open_config_file`).
const STACKS: [&str; 2] = ["etc/pam.d", "usr/lib/pam.d"];

impl Folders {
    /// `root` is the folder that stands for `/`; `modules` are folders of modules as libpam names them, tried besides
    /// those of the distributions.
    #[must_use]
    pub fn below(root: &Path, modules: &[PathBuf]) -> Self {
        let mut all = modules.to_vec();
        for library in ["lib", "usr/lib", "lib64", "usr/lib64"] {
            let library = root.join(library);
            all.push(library.join("security"));
            // Debian's multiarch folders: lib/x86_64-linux-gnu/security.
            let folders = fs::read_dir(&library).into_iter().flatten().flatten();
            all.extend(folders.map(|entry| entry.path().join("security")).filter(|path| path.is_dir()));
        }
        Self { root: root.to_owned(), modules: all }
    }

    /// Every file of our module.
    #[must_use]
    pub fn ours(&self) -> Vec<PathBuf> {
        let all = self.modules.iter().map(|folder| folder.join("pam_twinlock.so"));
        all.filter(|path| path.exists()).collect()
    }

    /// The services that have a stack file, sorted; without the files that the distributions have only for others to
    /// include.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| !fragment(name)).collect()
    }

    /// The same, and the files that are there to be included.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = STACKS
            .iter()
            .filter_map(|folder| fs::read_dir(self.root.join(folder)).ok())
            .flat_map(Iterator::flatten)
            .filter(|entry| entry.path().is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !leftover(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Debian's and openSUSE's common-*, Fedora's and authselect's *-auth, Arch's system-*.
fn fragment(name: &str) -> bool {
    let name = name.strip_suffix("-ac").or_else(|| name.strip_suffix("-pc")).unwrap_or(name);
    let beginnings = ["common-", "system-"];
    let whole = ["password-auth", "fingerprint-auth", "smartcard-auth", "switchable-auth", "postlogin"];
    beginnings.iter().any(|beginning| name.starts_with(beginning)) || whole.contains(&name)
}

/// Backups of editors and package managers are no services. The packages' scripts have the same list, as a regular expression
/// (packaging/debian/stacks.sh, packaging/rpm/twinlock.spec).
fn leftover(name: &str) -> bool {
    let managers = |ending: &str| ending.starts_with("rpm") || ending.starts_with("dpkg-");
    name.starts_with('.')
        || ["~", ".bak", ".orig", ".pam-old"].iter().any(|ending| name.ends_with(ending))
        || name.rsplit_once('.').is_some_and(|(_, ending)| managers(ending))
}

impl Files for Folders {
    fn read(&self, name: &str) -> io::Result<(String, String)> {
        let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if let Some(inside) = name.strip_prefix('/') {
            return text(&self.root.join(inside)).map(|text| (name.to_owned(), text));
        }
        let mut first = None;
        for folder in STACKS {
            match text(&self.root.join(folder).join(name)) {
                Ok(text) => return Ok((format!("/{folder}/{name}"), text)),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn has_module(&self, module: &str) -> bool {
        // $ISA is the folder of the library's architecture; libpam tries the file without it too.
        let module = module.replace("$ISA/", "");
        match module.strip_prefix('/') {
            Some(inside) => self.root.join(inside).exists(),
            None => self.modules.iter().any(|folder| folder.join(&module).exists()),
        }
    }
}
