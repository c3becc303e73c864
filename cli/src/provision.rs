//! `twinlock user enroll`: a factor from an administrator, its key on the terminal, in JSON or in a picture.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use twinlock_proto::v1::{ProvisionRequest, Provisioned};
use zeroize::Zeroizing;

use crate::{
    admin::{client, request},
    args::ProvisionTotp,
    failure::{Failure, NO, answered},
    offer,
    output::{self, clean, line},
    picture::Picture,
    terminal,
};

/// Longest secret file.
const SECRET_FILE: u64 = 4096;

pub async fn totp(
    runtime_dir: &Path,
    name: &str,
    options: &ProvisionTotp,
    json: bool,
) -> Result<(), Failure> {
    let secret = match &options.secret_file {
        Some(path) => read_secret(path)?.as_str().trim().to_owned(),
        None => String::new(),
    };
    let stdout = options.png.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if stdout && json {
        return Err(Failure::usage("the picture and JSON cannot both go to standard output: name a file"));
    }
    // Before there is a factor: most of what can be wrong with a file is wrong now.
    let picture = options.png.as_deref().map(Picture::open).transpose()?;
    let message = ProvisionRequest {
        user: name.to_owned(),
        label: options.label.clone(),
        secret,
        activate: options.activate,
        allow_short: options.allow_short,
    };
    let provisioned =
        answered(client(runtime_dir).await?.provision_totp(request(message))).await?.into_inner();
    let drawn = picture.is_some();
    if let Some(picture) = picture {
        picture.draw(&provisioned.uri).map_err(|why| undrawn(&why, name, &provisioned))?;
    }
    let Provisioned { factor, uri, secret } = &provisioned;
    if json {
        let mut fields = serde_json::json!({ "factor": factor, "uri": uri, "secret": secret });
        if let Some(path) = &options.png {
            fields["png"] = path.display().to_string().into();
        }
        return output::json(&fields);
    }
    let when = if options.activate {
        "counts at once"
    } else {
        "counts after the user's first code (twinlock verify)"
    };
    let said = format!("Factor {factor} of {} {when}.", clean(name));
    if stdout {
        return Ok(writeln!(io::stderr(), "{said}")?);
    }
    match options.png.as_ref().filter(|_| drawn) {
        Some(path) => {
            line(said)?;
            let path = clean(&path.display().to_string());
            line(format!("Its key is in {path}, and nowhere else: hand it over, then remove it."))
        }
        None => {
            offer::show(secret, uri, terminal::qr_form(options.qr))?;
            line(format!("{said} This key is not shown again."))
        }
    }
}

/// The factor is stored, and nobody has its key.
fn undrawn(why: &str, name: &str, provisioned: &Provisioned) -> Failure {
    let (name, factor) = (clean(name), &provisioned.factor);
    Failure::new(
        NO,
        format!(
            "{why}; factor {factor} of {name} is stored, and nobody has its key: remove it (twinlock remove {factor}, by \
             {name}; or all that {name} has: twinlock user reset {name}), then try again"
        ),
    )
}

/// The command opens the file; the daemon gets what is in it.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(SECRET_FILE).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(SECRET_FILE).read_to_string(&mut text))
    };
    let told =
        |error| Failure::of_file(format!("cannot read the key from {}: {error}", path.display()), &error);
    read.map_err(told)?;
    Ok(text)
}
