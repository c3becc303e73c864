//! Lists the languages: a file in `texts/` is one.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=texts");
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("texts");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut list = String::from("[\n");
    for file in files {
        let name = file.file_stem().and_then(|name| name.to_str()).ok_or("a file without a name")?;
        list.push_str(&format!("({name:?}, include_str!({:?})),\n", file.display().to_string()));
    }
    list.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("texts.rs"), list)?;
    Ok(())
}
