//! The table, and the same as JSON.

use std::fmt::Write as _;

use serde_json::json;

use super::{daemon_figures::Resident, systems::System};

pub struct Report {
    pub systems: Vec<System>,
    /// Logins in new processes right after the daemon started, in microseconds.
    pub first: Vec<f64>,
    /// What the disk takes of a login, in microseconds.
    pub flush: f64,
    /// Processes at a time, logins a second: with the module loaded, and in new processes.
    pub crowds: Vec<(usize, f64)>,
    pub storms: Vec<(usize, f64)>,
    /// Milliseconds to READY=1.
    pub start: f64,
    pub after_start: Resident,
    pub at_rest: Resident,
    pub module_kib: f64,
}

pub fn median(times: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = times.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

impl System {
    fn fresh_us(&self) -> f64 {
        median(self.fresh.iter().copied())
    }

    fn resident_us(&self) -> f64 {
        median(self.resident.iter().map(|(all, _)| *all))
    }

    fn verdict_us(&self) -> f64 {
        median(self.resident.iter().map(|(_, behind)| *behind))
    }
}

impl Report {
    fn system(&self, name: &str) -> Option<&System> {
        self.systems.iter().find(|system| system.name == name)
    }

    /// Where the time of a login of ours goes, in microseconds.
    fn stages(&self) -> Vec<(&'static str, f64)> {
        let Some(ours) = self.system("twinlock") else { return Vec::new() };
        let (floor, floor_fresh) =
            self.system("pam_permit").map_or((0.0, 0.0), |floor| (floor.resident_us(), floor.fresh_us()));
        let (fresh, resident, verdict) = (ours.fresh_us(), ours.resident_us(), ours.verdict_us());
        vec![
            ("a new process and libpam (pam_permit, fresh)", floor_fresh),
            ("loading the module", fresh - floor_fresh - (resident - floor)),
            ("connect, look up, prompt", resident - floor - verdict),
            ("answer, verify, commit, verdict", verdict),
            ("of that, five pages to the disk (measured alone)", self.flush),
        ]
    }

    pub fn json(&self) -> String {
        let rows = self
            .systems
            .iter()
            .map(|s| json!({ "system": s.name, "fresh_us": s.fresh_us(), "resident_us": s.resident_us() }));
        let rates = |list: &[(usize, f64)]| -> Vec<_> {
            list.iter().map(|(n, rate)| json!({ "parallel": n, "logins_per_s": rate })).collect()
        };
        let memory = |r: &Resident| json!({ "daemon_kib": r.daemon, "helpers_kib": r.helpers, "together_pss_kib": r.together });
        let stages: serde_json::Map<_, _> =
            self.stages().into_iter().map(|(stage, us)| (stage.to_owned(), us.into())).collect();
        let value = json!({
            "systems": rows.collect::<Vec<_>>(), "stages_us": stages, "first_logins_us": self.first,
            "new_connections": rates(&self.crowds), "new_processes": rates(&self.storms),
            "start_to_ready_ms": self.start, "after_start": memory(&self.after_start), "at_rest": memory(&self.at_rest),
            "module_kib": self.module_kib,
        });
        serde_json::to_string_pretty(&value).unwrap()
    }

    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut put = |line: String| writeln!(text, "{line}").unwrap();
        put(format!(
            "{:<24} {:>9} {:>10} {:>12} {:>10}",
            "one login, median", "fresh us", "ours/this", "resident us", "ours/this"
        ));
        if let Some(ours) = self.system("twinlock") {
            for s in &self.systems {
                let (f, r) = (s.fresh_us(), s.resident_us());
                let (fresh, resident) = (ours.fresh_us() / f, ours.resident_us() / r);
                put(format!("{:<24} {f:>9.0} {fresh:>10.2} {r:>12.0} {resident:>10.2}", s.name));
            }
        }
        for (stage, us) in self.stages() {
            put(format!("  {stage:<50} {us:>8.0} us"));
        }
        let first: Vec<_> = self.first.iter().map(|us| format!("{us:.0}")).collect();
        put(format!("first logins after a start, fresh, us: {}", first.join(" ")));
        for (what, list) in [("new connections", &self.crowds), ("new processes", &self.storms)] {
            for (width, rate) in list {
                let ratio = rate / list[0].1;
                put(format!("{width:>3} at a time, {what}: {rate:.0} logins/s, {ratio:.1} of one at a time"));
            }
        }
        put(format!("start to ready, 1,000 users: {:.0} ms", self.start));
        for (when, r) in [("after a start", self.after_start), ("at rest, after all that", self.at_rest)] {
            put(format!(
                "resident {when}: daemon {:.1} MiB, its helpers {:.1} MiB, together without what they share twice {:.1} MiB",
                r.daemon / 1024.0,
                r.helpers / 1024.0,
                r.together / 1024.0
            ));
        }
        put(format!("module file: {:.0} KiB", self.module_kib));
        text
    }
}
