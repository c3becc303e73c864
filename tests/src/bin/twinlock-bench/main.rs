//! How long a login takes, beside the peers, in one run on one machine. Run by tests/bench.sh, in a box.
//!
//!     twinlock-bench [--json] [--ours]      --ours: beside pam_permit alone, for who looks for microseconds
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod daemon_figures;
mod driver;
mod report;
mod systems;

use twinlock_tests::{daemon::Daemon, world::World};

use report::Report;
use systems::{LOGINS, ROUNDS, System, Users};

/// Processes at a time.
const WIDTHS: [usize; 3] = [1, 8, 64];
/// Logins for each width.
const CROWD: usize = 128;

fn main() {
    let flag = |name: &str| std::env::args().any(|argument| argument == name);
    let world = World::new();
    let daemon = Daemon::quiet();
    systems::stacks();
    // Every login of ours is the first of a user in this step: one durable record each, as for the peers.
    let mut users = Users::enroll(ROUNDS * LOGINS * 2 + WIDTHS.len() * (CROWD + LOGINS) + 20);
    assert!(users.left() >= 1000, "figures are for 1,000 enrolled users");
    assert!(daemon.stop().success());

    let start = daemon_figures::start_to_ready();
    let daemon = Daemon::quiet();
    let after_start = daemon_figures::resident(&daemon);
    let first = driver::fresh("twinlock", &users.take(20));
    let mut systems: Vec<System> = systems::ALL.into_iter().map(System::new).collect();
    if flag("--ours") {
        systems.retain(|system| matches!(system.name, "pam_permit" | "twinlock"));
    }
    for round in 0..ROUNDS {
        for turn in 0..systems.len() {
            let at = (turn + round) % systems.len();
            systems[at].measure(&mut users);
        }
    }
    let crowds = WIDTHS.map(|width| (width, driver::crowd(width, &users.take(CROWD)))).to_vec();
    let storms = WIDTHS.map(|width| (width, driver::storm(width, &users.take(LOGINS)))).to_vec();
    let report = Report {
        systems,
        first: first[..5].to_vec(),
        flush: driver::flush(),
        crowds,
        storms,
        start,
        after_start,
        at_rest: daemon_figures::resident(&daemon),
        module_kib: daemon_figures::module_kib(),
    };
    println!("{}", if flag("--json") { report.json() } else { report.table() });
    drop((daemon, world));
}
