//! How the shared object is linked. Each line answers a hazard of living in another program's process.

use std::{env, error::Error, fs, path::PathBuf, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    // std registers a thread-local destructor that points into this object; if libpam's dlclose() unmapped
    // it, a host thread that ends later would crash (rust-lang/rust#91979). So it is never unmapped.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,relro,-z,now,-z,noexecstack");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,pam_twinlock.so");
    static_libgcc()
}

/// Links the unwinder statically: loading libgcc_s.so.1 costs a login 100 to 190 us, and a host could carry
/// another version. `-static-libgcc` has no effect on rustc's own `-lgcc_s`; a linker script of that name has.
/// Where gcc has no static unwinder the shared one stays.
fn static_libgcc() -> Result<(), Box<dyn Error>> {
    let (Some(eh), Some(gcc)) = (archive("libgcc_eh.a"), archive("libgcc.a")) else {
        return Ok(());
    };
    let folder = PathBuf::from(env::var("OUT_DIR")?).join("static-libgcc");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("libgcc_s.so"), format!("INPUT({eh} {gcc})\n"))?;
    println!("cargo:rustc-cdylib-link-arg=-L{}", folder.display());
    Ok(())
}

fn archive(name: &str) -> Option<String> {
    let output = Command::new("gcc").arg(format!("-print-file-name={name}")).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    PathBuf::from(&path).is_absolute().then_some(path)
}
