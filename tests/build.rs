//! Builds the PAM application that tests drive.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=pamhost/pamhost.c");
    let program = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("pamhost");
    let status = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-o"])
        .arg(&program)
        .args(["pamhost/pamhost.c", "-lpam", "-lpthread"])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "cc or libpam0g-dev is missing");
    println!("cargo:rustc-env=PAMHOST={}", program.display());
}
