//! What dpkg does with our packages, and what the PAM stacks are then.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{machine, world::sh};

/// Every package.
pub const ALL: [&str; 3] = ["libpam-twinlock", "twinlock", "twinlock-web"];

/// What dpkg says of a package of the first build.
pub const FIRST: &str = concat!("installed ", env!("CARGO_PKG_VERSION"), "-1");
/// And of the later one.
pub const LATER: &str = concat!("installed ", env!("CARGO_PKG_VERSION"), "-2");

/// The file of the later build of a package (tests/packages.sh).
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn later(name: &str) -> PathBuf {
    let file = machine::package(name);
    let later = file.file_name().expect("a file").to_string_lossy().replace("-1_", "-2_");
    let path = file.parent().expect("a file in a folder").with_file_name("packages-later").join(later);
    assert!(path.exists(), "{}: run tests/packages.sh", path.display());
    path
}

/// `dpkg` with these arguments; nobody answers it.
#[must_use]
pub fn dpkg(arguments: &[&str]) -> Output {
    quiet(Command::new("dpkg").args(arguments))
}

/// `apt-get remove` or `purge` of these.
#[must_use]
pub fn apt(verb: &str, packages: &[&str]) -> Output {
    quiet(Command::new("apt-get").args([verb, "--yes"]).args(packages))
}

/// Runs where nobody is there to be asked.
///
/// # Panics
///
/// When the program is not there.
pub fn quiet(command: &mut Command) -> Output {
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// `dpkg --install` of module, daemon and command: the later ones are an upgrade.
#[must_use]
pub fn dpkg_install(build: fn(&str) -> PathBuf) -> Command {
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("--install").args(["libpam-twinlock", "twinlock"].map(build));
    dpkg
}

/// What was printed; apt gives dpkg a terminal.
#[must_use]
pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr[..]].concat()).replace('\r', "")
}

/// What stands in `dpkg-query` for a package: its state and version, `absent` if dpkg does not know it.
#[must_use]
pub fn state(name: &str) -> String {
    let out = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status} ${Version}", name])
        .output()
        .expect("dpkg-query is there");
    if out.status.success() { String::from_utf8_lossy(&out.stdout).into_owned() } else { "absent".to_owned() }
}

/// Every PAM stack, by its file's name.
///
/// # Panics
///
/// When one cannot be read.
#[must_use]
pub fn stacks() -> BTreeMap<String, String> {
    fs::read_dir("/etc/pam.d")
        .expect("PAM is there")
        .map(|entry| {
            let entry = entry.expect("a file");
            let text = fs::read_to_string(entry.path()).expect("a stack");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect()
}

/// The lines of all stacks that name a module which is not there: each would deny every login that meets it. Copies that dpkg
/// and editors made are no stacks.
#[must_use]
pub fn broken_lines() -> Vec<String> {
    let triplet = sh("dpkg-query --listfiles libpam-modules | grep '/security/pam_unix.so$'");
    let folder = Path::new(triplet.trim()).parent().expect("a file in a folder").to_owned();
    let missing = |line: &&str| {
        let module = line.split_whitespace().find(|word| {
            Path::new(word).extension().is_some_and(|end| end == "so") && !line.trim_start().starts_with('#')
        });
        // With a dash, the administrator says that it may be absent.
        module.is_some_and(|module| !folder.join(module).exists() && !line.starts_with('-'))
    };
    stacks()
        .iter()
        .filter(|(file, _)| {
            !file.contains(".dpkg-") && Path::new(file).extension().is_none_or(|end| end != "bak")
        })
        .flat_map(|(file, text)| {
            text.lines().filter(missing).map(move |line| format!("{file}: {line}")).collect::<Vec<_>>()
        })
        .collect()
}
