//! Builds the PAM application that tests drive.

use std::{env, error::Error, path::PathBuf, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=pamhost/pamhost.c");
    let program = PathBuf::from(env::var("OUT_DIR")?).join("pamhost");
    let status = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-o"])
        .arg(&program)
        .args(["pamhost/pamhost.c", "-lpam", "-lpthread"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("cc or libpam0g-dev is missing".into());
    }
    println!("cargo:rustc-env=PAMHOST={}", program.display());
    Ok(())
}
