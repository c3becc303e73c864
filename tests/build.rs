//! Builds the PAM applications that tests and benchmarks drive, and a name service that fails.

use std::{env, error::Error, path::PathBuf, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    compile("PAMHOST", "pamhost/pamhost.c", &["-O1"])?;
    compile("BENCH_DRIVER", "bench/driver.c", &["-O2"])?;
    compile("NSS_FAULT", "nss/nss_fault.c", &["-shared", "-fPIC"])
}

fn compile(variable: &str, source: &str, options: &[&str]) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={source}");
    let program = PathBuf::from(env::var("OUT_DIR")?).join(variable.to_lowercase());
    let status = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-g"])
        .args(options)
        .arg("-o")
        .arg(&program)
        .args([source, "-lpam", "-lpthread", "-ldl"])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("cc or libpam0g-dev is missing".into());
    }
    println!("cargo:rustc-env={variable}={}", program.display());
    Ok(())
}
