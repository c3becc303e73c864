//! Who carries codes: seeing and trying them.

use std::path::Path;

use twinlock_proto::v1::{ListProvidersRequest, TestProviderRequest};

use crate::{
    admin::{client, request},
    args::Provider,
    failure::{Failure, NO, answered_slowly},
    output::{self, clean, line},
};

/// Shows them, or has one carry a test message.
pub async fn run(runtime_dir: &Path, command: &Provider, json: bool) -> Result<(), Failure> {
    match command {
        Provider::List { presets } => list(runtime_dir, *presets, json).await,
        Provider::Test { name, to, call, dry_run } => {
            let (name, to, call, dry_run) = (name.clone(), to.clone(), *call, *dry_run);
            let message = TestProviderRequest { name, to, dry_run, call };
            test(runtime_dir, message, json).await
        }
    }
}

async fn list(runtime_dir: &Path, presets: bool, json: bool) -> Result<(), Failure> {
    let mut client = client(runtime_dir).await?;
    let found = answered_slowly(client.list_providers(request(ListProvidersRequest {}))).await?.into_inner();
    if presets {
        if json {
            let of = |preset: &twinlock_proto::v1::Preset| {
                let live = (!preset.verified_live.is_empty()).then_some(&preset.verified_live);
                serde_json::json!({ "name": preset.name, "about": preset.about, "verified_live": live })
            };
            return output::json(&found.presets.iter().map(of).collect::<Vec<_>>());
        }
        for preset in &found.presets {
            let live = match preset.verified_live.as_str() {
                "" => "not verified live".to_owned(),
                live => format!("verified live: {}", clean(live)),
            };
            line(format!("{:<12} {} ({live})", clean(&preset.name), clean(&preset.about)))?;
        }
        return Ok(());
    }
    if json {
        let of = |provider: &twinlock_proto::v1::Provider| {
            serde_json::json!({
                "name": provider.name,
                "preset": (!provider.preset.is_empty()).then_some(&provider.preset),
                "open_for_s": provider.open_for_s,
                "last_used": provider.last_used.map(output::time),
                "last_outcome": (!provider.last_outcome.is_empty()).then_some(&provider.last_outcome),
                "problem": (!provider.problem.is_empty()).then_some(&provider.problem),
            })
        };
        return output::json(&found.providers.iter().map(of).collect::<Vec<_>>());
    }
    if found.providers.is_empty() {
        return line(
            "Nothing carries codes: there is no [email] from and no [[provider]] in the configuration.",
        );
    }
    for provider in &found.providers {
        let preset = if provider.preset.is_empty() { "mail server" } else { &provider.preset };
        let state = match (provider.problem.as_str(), provider.open_for_s) {
            ("", 0) => "ready".to_owned(),
            ("", seconds) => format!("not asked for {seconds} s: it failed"),
            (problem, _) => clean(problem),
        };
        let last = match (provider.last_used, provider.last_outcome.as_str()) {
            (Some(time), outcome) => format!("; last used {}: {}", output::time(time), clean(outcome)),
            (None, _) => String::new(),
        };
        line(format!("{:<12} {:<12} {state}{last}", clean(&provider.name), clean(preset)))?;
    }
    Ok(())
}

async fn test(runtime_dir: &Path, message: TestProviderRequest, json: bool) -> Result<(), Failure> {
    let dry = message.dry_run;
    let mut client = client(runtime_dir).await?;
    let result = answered_slowly(client.test_provider(request(message))).await?.into_inner();
    if json {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        output::json(&serde_json::json!({
            "request": dry.then_some(&result.lines),
            "accepted": (!dry).then_some(result.accepted),
            "outcome": text(&result.outcome),
            "status": (result.status != 0).then_some(result.status),
            "code": text(&result.code),
            "id": text(&result.id),
        }))?;
    } else if dry {
        for part in &result.lines {
            line(clean(part))?;
        }
    } else {
        let status = if result.status == 0 { String::new() } else { format!(", HTTP {}", result.status) };
        let code =
            if result.code.is_empty() { String::new() } else { format!(", code {}", clean(&result.code)) };
        let id =
            if result.id.is_empty() { String::new() } else { format!(", message {}", clean(&result.id)) };
        line(format!("{}{status}{code}{id}", clean(&result.outcome)))?;
    }
    if dry || result.accepted {
        Ok(())
    } else {
        Err(Failure::new(NO, "it was not taken; see twinlock-providers(5)"))
    }
}
