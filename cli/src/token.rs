//! Hard tokens: taking them in, giving them out, setting them right, taking them out of use.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::Path,
};

use twinlock_proto::v1::{
    AssignTokenRequest, ListTokensRequest, ResyncTokenRequest, Token, TokenFile, TokenRequest,
};
use zeroize::Zeroizing;

use crate::{
    admin::{client, request},
    args::{Token as Command, TokenFormat},
    failure::{Failure, NO, answered, answered_at_length},
    output::{self, clean, line},
    terminal,
};

/// Longest file of tokens, and of a key.
const LONGEST: u64 = 32 * 1024 * 1024;
const KEY_FILE: u64 = 1024;
/// Bytes in a message, well under the limit of one.
const PART: usize = 32 * 1024;

/// Carries a command out.
pub async fn run(runtime_dir: &Path, command: &Command, json: bool) -> Result<(), Failure> {
    match command {
        Command::Import { .. } => import(runtime_dir, command, json).await,
        Command::List => list(runtime_dir, json).await,
        Command::Assign { serial, name, label } => {
            let (serial, user, label) = (serial.clone(), name.clone(), label.clone());
            let message = AssignTokenRequest { serial, user, label };
            let account =
                answered(client(runtime_dir).await?.assign_token(request(message))).await?.into_inner();
            if json { output::json(&output::AccountJson::from(&account)) } else { output::account(&account) }
        }
        Command::Resync { serial, code, next } => {
            let (serial, code, next_code) = (serial.clone(), code.clone(), next.clone());
            let message = ResyncTokenRequest { serial, code, next_code };
            let result =
                answered(client(runtime_dir).await?.resync_token(request(message))).await?.into_inner();
            if json {
                output::json(&serde_json::json!({ "found": result.found }))?;
            } else if result.found {
                line("Found: both codes are spent, the next one counts.")?;
            }
            if result.found {
                return Ok(());
            }
            Err(Failure::new(
                NO,
                "these are not two codes in a row of this token, or they were used, or it is too far off; nothing has changed",
            ))
        }
        Command::Revoke { serial } => {
            let message = TokenRequest { serial: serial.clone() };
            let token =
                answered(client(runtime_dir).await?.revoke_token(request(message))).await?.into_inner();
            if json {
                output::json(&described(&token))
            } else {
                line(format!("{}: revoked.", clean(&token.serial)))
            }
        }
    }
}

async fn import(runtime_dir: &Path, command: &Command, json: bool) -> Result<(), Failure> {
    let Command::Import { file, format, password, key_file, allow_short } = command else {
        return Err(Failure::usage("that imports nothing"));
    };
    let text = if file == Path::new("-") { read(io::stdin(), LONGEST, file)? } else { open(file, LONGEST)? };
    let key = match key_file {
        None => Vec::new(),
        Some(path) => {
            let hexadecimal = open(path, KEY_FILE)?;
            let digits: Vec<u8> =
                hexadecimal.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            data_encoding::HEXUPPER_PERMISSIVE
                .decode(&digits)
                .map_err(|_| Failure::usage(format!("{} holds no hexadecimal key", path.display())))?
        }
    };
    let password = if *password {
        terminal::ask_hidden("Password of the file: ").await?.to_string()
    } else {
        String::new()
    };
    let format = match format {
        None => "",
        Some(TokenFormat::Csv) => "csv",
        Some(TokenFormat::Pskc) => "pskc",
    };
    let first =
        TokenFile { format: format.to_owned(), password, key, allow_short: *allow_short, data: Vec::new() };
    let parts: Vec<Vec<u8>> = text.chunks(PART).map(<[u8]>::to_vec).collect();
    let (total, watched) = (parts.len().max(1), io::stderr().is_terminal() && !json);
    let part = move |(n, data): (usize, Vec<u8>)| {
        if watched {
            let _ = write!(io::stderr(), "\rReading {} %", (n + 1) * 100 / total);
        }
        TokenFile {
            format: String::new(),
            password: String::new(),
            key: Vec::new(),
            allow_short: false,
            data,
        }
    };
    let messages = std::iter::once(first).chain(parts.into_iter().enumerate().map(part));
    let mut client = client(runtime_dir).await?;
    let result = answered_at_length(client.import_tokens(request(tokio_stream::iter(messages)))).await;
    if watched {
        let _ = writeln!(io::stderr());
    }
    let imported = result?.into_inner().imported;
    if json {
        return output::json(&serde_json::json!({ "imported": imported }));
    }
    line(format!("Imported {imported} tokens. Give one to a user: twinlock token assign SERIAL NAME"))
}

fn open(path: &Path, longest: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let told = |error| Failure::of_file(format!("{}: {error}", path.display()), &error);
    let file = File::open(path).map_err(told)?;
    read(file, longest, path)
}

fn read(from: impl Read, longest: u64, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut text = Zeroizing::new(Vec::new());
    from.take(longest + 1)
        .read_to_end(&mut text)
        .map_err(|error| Failure::new(NO, format!("{}: {error}", path.display())))?;
    if text.len() as u64 > longest {
        return Err(Failure::new(NO, format!("{} is larger than {longest} bytes", path.display())));
    }
    Ok(text)
}

async fn list(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    let mut tokens =
        answered(client(runtime_dir).await?.list_tokens(request(ListTokensRequest {}))).await?.into_inner();
    let mut all = Vec::new();
    while let Some(token) = answered(tokens.message()).await? {
        if json {
            all.push(described(&token));
            continue;
        }
        let user = if token.user.is_empty() { String::new() } else { format!(" to {}", clean(&token.user)) };
        let made = if token.manufacturer.is_empty() {
            String::new()
        } else {
            format!("  {}", clean(&token.manufacturer))
        };
        let resync = if token.resync_required { ", needs twinlock token resync" } else { "" };
        line(format!(
            "{:<20} {}  {}{user}{resync}{made}",
            clean(&token.serial),
            clean(&token.kind),
            clean(&token.state)
        ))?;
    }
    if json { output::json(&all) } else { Ok(()) }
}

fn described(token: &Token) -> serde_json::Value {
    serde_json::json!({
        "serial": token.serial, "kind": token.kind, "state": token.state,
        "user": (!token.user.is_empty()).then_some(&token.user),
        "manufacturer": (!token.manufacturer.is_empty()).then_some(&token.manufacturer),
        "resync_required": token.resync_required, "digits": token.digits, "imported": output::time(token.created),
    })
}
