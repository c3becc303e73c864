//! Generates the Rust types from the `.proto` files with protox: no `protoc` is needed on the machine.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 6] = [
    "twinlock/v1/login.proto",
    "twinlock/v1/account.proto",
    "twinlock/v1/self_service.proto",
    "twinlock/v1/admin.proto",
    "twinlock/v1/page.proto",
    "twinlock/v1/pulse.proto",
];

/// Messages that carry what a person typed, a key or recovery codes: they get a hand-written `Debug` (src/redacted.rs).
const SECRET: [&str; 23] = [
    "TokenFile",
    "MigrationFile",
    "ResyncTokenRequest",
    "ContactRequest",
    "TestProviderRequest",
    "ProviderTest",
    "Prompt",
    "Notice",
    "Answer",
    "EnrollBegin",
    "Offer",
    "RecoveryCodes",
    "RemoveRequest",
    "VerifyRequest",
    "ProvisionRequest",
    "Provisioned",
    "Bypass",
    "LinkRequest",
    "InviteRequest",
    "Invitation",
    "BindingRequest",
    "Bound",
    "ConfirmAppRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), prost::Message::encode_to_vec(&descriptors))?;

    let mut prost = tonic_prost_build::Config::new();
    prost.skip_debug(SECRET.map(|m| format!(".twinlock.v1.{m}")));
    tonic_prost_build::configure().build_transport(false).compile_fds_with_config(descriptors, prost)?;
    Ok(())
}
