//! A tree where rpm and dnf install: Debian's own userland with a package that says it is all that ours ask for. There is no
//! distribution of RPM's here: no authselect, no SELinux, no systemd of theirs.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use crate::world::{artefacts, script, sh};

/// The tree, as the box has it.
pub const TREE: &str = "/rpms";
/// What the stand-ins for systemd's and SELinux's programs were called with, a line each.
const CALLED: &str = "/root/called";
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Nothing but our folder, and nobody is asked.
const DNF: &str = "dnf --assumeyes --setopt=reposdir=/nonexistent --setopt=varsdir=/nonexistent --nogpgcheck --releasever=9 \
                   --setopt=install_weak_deps=False";

/// The files that packaging/rpm.sh built.
///
/// # Panics
///
/// When there are none.
#[must_use]
pub fn files() -> Vec<PathBuf> {
    let folder =
        std::env::var("TWINLOCK_PACKAGES").expect("TWINLOCK_PACKAGES: run tests/run.sh, or packaging/rpm.sh");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        path.to_string_lossy().ends_with(".rpm") && !path.to_string_lossy().ends_with(".src.rpm")
    });
    assert_eq!(files.len(), 4, "{files:?}");
    files.sort();
    files
}

/// Runs a shell command in the tree.
#[must_use]
pub fn inside(command: &str) -> Output {
    Command::new("chroot")
        .args([TREE, "sh", "-c", command])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The same; it must succeed. What it said.
#[track_caller]
pub fn done(command: &str) -> String {
    let out = inside(command);
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command}: {said}");
    said
}

/// `dnf` with these arguments, on a folder of packages.
#[must_use]
pub fn dnf(folder: &str, arguments: &str) -> String {
    format!("{DNF} --repofrompath=ours,{folder} {arguments}")
}

/// Makes the tree one where our packages can be installed from `/root/first`, and from `/root/later` the same as another
/// revision, with another configuration.
pub fn prepare() {
    done("mkdir -p /root/first /root/later /root/stand-in && rpm --initdb");
    for file in files() {
        sh(&format!("cp {} {TREE}/root/first/", file.display()));
    }
    stand_in();
    rebuild();
    for program in
        ["usr/lib/systemd/systemd-update-helper", "usr/sbin/semodule", "usr/sbin/restorecon", "usr/bin/make"]
    {
        sh(&format!("mkdir -p $(dirname {TREE}/{program})"));
        let name = program.rsplit('/').next().unwrap();
        script(&format!("{TREE}/{program}"), &format!("#!/bin/sh\necho {name} \"$@\" >>{CALLED}\n"));
    }
    for program in ["usr/sbin/selinuxenabled", "usr/sbin/load_policy"] {
        script(&format!("{TREE}/{program}"), "#!/bin/sh\n");
    }
    done("mkdir -p /etc/selinux && echo SELINUXTYPE=targeted >/etc/selinux/config");
    done("createrepo_c --quiet /root/first && createrepo_c --quiet /root/later");
}

/// What the stand-ins were called with since the last time.
#[must_use]
pub fn called() -> Vec<String> {
    let path = format!("{TREE}{CALLED}");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

/// A package that provides whatever ours require of others.
fn stand_in() {
    let wanted = done(
        "rpm -qp --requires /root/first/*.rpm 2>/dev/null | grep -v -e '^rpmlib' -e '^twinlock' -e '^config(' -e '^(' -e '^/' | sort -u",
    );
    let provides: String = wanted
        .lines()
        .chain(["/bin/sh", "selinux-policy-targeted"])
        .map(|what| format!("Provides: {what}\n"))
        .collect();
    let spec = format!(
        "Name: stand-in\nVersion: 1\nRelease: 1\nSummary: All that others have\nLicense: MIT\nBuildArch: noarch\n{provides}%description\nAll.\n%files\n"
    );
    fs::write(format!("{TREE}/root/stand-in/stand-in.spec"), spec).unwrap();
    done("cd /root/stand-in && rpmbuild --quiet -bb --define '_topdir /root/stand-in' stand-in.spec");
    done("cp /root/stand-in/RPMS/noarch/*.rpm /root/first/ && cp /root/first/stand-in*.rpm /root/later/");
}

/// Builds the later revision from the work tree, with nothing but the spec and rpmbuild.
fn rebuild() {
    let version = sh(&format!("sed -n 's/^Version: *//p' {WORKSPACE}/packaging/rpm/twinlock.spec"));
    let name = format!("twinlock-{}", version.trim());
    let source = format!("{TREE}/root/{name}");
    sh(&format!(
        "mkdir {source} && cd {WORKSPACE} && cp -r packaging docs LICENSE *.md {source}/ && touch {source}/THIRD-PARTY-LICENSES"
    ));
    sh(&format!("echo '# later' >>{source}/packaging/config/twinlock.toml"));
    sh(&format!("tar -C {TREE}/root -czf {TREE}/root/{name}.tar.gz {name}"));
    sh(&format!(
        "mkdir {TREE}/root/built && cp {0}/twinlock* {0}/libpam_twinlock.so {TREE}/root/built/ 2>/dev/null || true",
        artefacts().display()
    ));
    done(&format!(
        "cd /root && rpmbuild --quiet -bb --with prebuilt --define '_topdir /root/build' --define '_sourcedir /root' \
         --define 'revision 2' --define 'artefacts /root/built' {name}/packaging/rpm/twinlock.spec"
    ));
    done("find /root/build/RPMS -name '*.rpm' -exec mv -t /root/later {} +");
}
