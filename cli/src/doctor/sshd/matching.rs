//! Which connections to ask `sshd -T -C` about, so that every Match block is seen at work.

use super::{
    pattern::{address_in, addresses, candidates, in_list, positive, wildcard},
    source::{Block, Config, Criterion, Source, read},
};
use crate::doctor::finding::Finding;

/// The host's users and groups.
pub trait People {
    /// The names of all groups.
    fn groups(&self) -> Vec<String>;

    /// The members of a group, those too whose primary group it is.
    fn members(&self, group: &str) -> Vec<String>;

    /// Some user who is not root, for connections whose user does not matter.
    fn ordinary(&self) -> Option<String>;
}

/// One connection to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What it stands for, for people.
    pub name: String,
    /// For `sshd -T -C`.
    pub spec: String,
    /// Whether root may be the one who connects.
    pub root: bool,
}

/// Above this many blocks, overlaps of two are not asked about: sshd is started for each.
const PAIRED: usize = 12;

/// The connections to ask about: those that no block covers, root, one for each block and one for each two that can
/// hold at once (sshd takes the first value it finds, so two blocks together can do what none does alone).
///
/// `path` is sshd's configuration, `/etc/ssh/sshd_config`. What cannot be asked about is a finding.
pub fn probes(path: &str, source: &dyn Source, people: &dyn People) -> (Vec<Probe>, Vec<Finding>) {
    let config = read(path, source);
    let mut findings: Vec<Finding> = config
        .unreadable
        .iter()
        .map(|(path, error)| {
            Finding::warning(
                path,
                format!("the file cannot be read ({error}), and its Match blocks are not seen"),
                "run doctor as root",
            )
        })
        .collect();
    let sampler = Sampler { people, port: config.port.as_deref().unwrap_or("22") };
    let mut probes =
        vec![sampler.probe("all others", &[]).unwrap_or_else(|| Probe::of("all others", &Sample::default()))];
    let root = Criterion { keyword: "user".to_owned(), list: "root".to_owned() };
    probes.extend(sampler.probe("root", &[root]));
    let mut seen: Vec<&Block> = Vec::new();
    for block in config.blocks.iter().filter(|block| !everybody(block) && !nobody(block)) {
        match sampler.explain(block) {
            Ok(probe) => {
                seen.push(block);
                probes.push(probe);
            }
            Err(finding) => findings.push(finding),
        }
    }
    if config.blocks.len() > PAIRED {
        findings.push(Finding::warning(
            path,
            format!(
                "there are over {PAIRED} Match blocks, so what two of them do together was not looked at"
            ),
            "merge blocks, or look through those that can hold at once by hand",
        ));
    }
    probes.extend(overlaps(&config, &sampler, &seen));
    (probes, findings)
}

/// `Match all` covers every connection: what is in it shows in all answers.
fn everybody(block: &Block) -> bool {
    block.criteria.iter().all(|each| each.keyword == "all")
}

/// A user who does not exist reaches no shell (OpenSSH 10, `Match invalid-user`).
fn nobody(block: &Block) -> bool {
    block.criteria.iter().any(|each| each.keyword == "invalid-user")
}

fn overlaps(config: &Config, sampler: &Sampler<'_>, seen: &[&Block]) -> Vec<Probe> {
    let mut probes = Vec::new();
    if config.blocks.len() > PAIRED {
        return probes;
    }
    for (index, one) in seen.iter().enumerate() {
        for other in seen.iter().skip(index + 1) {
            let both = [one.criteria.as_slice(), &other.criteria].concat();
            probes.extend(sampler.probe(&format!("{} and {}", one.name, other.name), &both));
        }
    }
    probes
}

/// A connection. Every field is filled: sshd refuses a specification that lacks what some Match line asks
/// ("'Match LocalPort' in configuration but 'lport' not in connection test specification").
#[derive(Debug, Clone, Default)]
struct Sample {
    user: String,
    host: String,
    address: String,
    local_address: String,
    port: String,
    domain: String,
    root: bool,
}

impl Probe {
    fn of(name: &str, sample: &Sample) -> Self {
        let mut spec = format!(
            "user={},host={},addr={},laddr={},lport={}",
            sample.user, sample.host, sample.address, sample.local_address, sample.port
        );
        if !sample.domain.is_empty() {
            spec.push_str(",rdomain=");
            spec.push_str(&sample.domain);
        }
        Self { name: name.to_owned(), spec, root: sample.root }
    }
}

struct Sampler<'a> {
    people: &'a dyn People,
    port: &'a str,
}

/// What a criterion is about.
const KNOWN: [&str; 8] = ["all", "user", "group", "host", "address", "localaddress", "localport", "rdomain"];

impl Sampler<'_> {
    fn explain(&self, block: &Block) -> Result<Probe, Finding> {
        let unknown = block.criteria.iter().find(|each| !KNOWN.contains(&each.keyword.as_str()));
        if let Some(Criterion { keyword, .. }) = unknown {
            return Err(Finding::warning(
                &block.name,
                format!("what holds for this Match block cannot be asked: sshd -T -C knows no {keyword}"),
                "look through the block by hand",
            ));
        }
        self.probe(&block.name, &block.criteria).ok_or_else(|| {
            Finding::warning(
                &block.name,
                "no connection was found that this Match block holds for, so it was not looked at",
                "look through it by hand (a list of negations alone never matches; a directory may not say who is in a \
                 group)",
            )
        })
    }

    /// A connection for which all criteria hold.
    fn probe(&self, name: &str, criteria: &[Criterion]) -> Option<Probe> {
        let lists = |keyword: &str| -> Vec<&str> {
            criteria.iter().filter(|each| each.keyword == keyword).map(|each| each.list.as_str()).collect()
        };
        let user = self.user(&lists("user"), &lists("group"))?;
        let lower = |text: &str| text.to_ascii_lowercase();
        let host = pick(&lists("host"), "client.invalid", candidates, |entry, host| {
            wildcard(&lower(entry), &lower(host))
        })?;
        // Addresses for documentation (RFC 5737): no list should hold them by chance.
        let address = pick(&lists("address"), "198.51.100.77", addresses, address_in)?;
        let local_address = pick(&lists("localaddress"), "198.51.100.1", addresses, address_in)?;
        let port = pick(&lists("localport"), self.port, candidates, |entry, port| entry == port)?;
        let domain = pick(&lists("rdomain"), "", candidates, wildcard)?;
        let root =
            user == "root" || (lists("user").is_empty() && lists("group").is_empty() && !criteria.is_empty());
        Some(Probe::of(name, &Sample { user, host, address, local_address, port, domain, root }))
    }

    fn user(&self, users: &[&str], groups: &[&str]) -> Option<String> {
        let ordinary = self.people.ordinary().unwrap_or_else(|| "nobody".to_owned());
        let mut tried = vec![ordinary, "root".to_owned()];
        for list in groups {
            let named = self.groups_in(list);
            for pattern in positive(list) {
                let real = named
                    .iter()
                    .filter(|name| wildcard(pattern, name))
                    .flat_map(|group| self.people.members(group));
                tried.extend(real);
            }
        }
        tried.extend(users.iter().flat_map(|list| positive(list)).flat_map(candidates));
        let in_groups = |user: &str| {
            groups.iter().all(|list| {
                let named = self.groups_in(list);
                in_list(list, |pattern| {
                    named.iter().any(|name| {
                        wildcard(pattern, name) && self.people.members(name).iter().any(|each| each == user)
                    })
                })
            })
        };
        let fits = |user: &String| {
            !user.contains(',')
                && users.iter().all(|list| in_list(list, |each| wildcard(each, user)))
                && in_groups(user)
        };
        tried.into_iter().find(fits)
    }
}

impl Sampler<'_> {
    /// The host's groups; those too that a directory does not list, and the list names.
    fn groups_in(&self, list: &str) -> Vec<String> {
        let mut named = self.people.groups();
        named.extend(positive(list).filter(|name| !name.contains(['*', '?'])).map(str::to_owned));
        named
    }
}

/// A value in all lists: the usual one, else one made from the patterns.
fn pick(
    lists: &[&str],
    usual: &str,
    make: impl Fn(&str) -> Vec<String>,
    matches: impl Fn(&str, &str) -> bool,
) -> Option<String> {
    let made = lists.iter().flat_map(|list| positive(list)).flat_map(make);
    let fits = |value: &String| {
        !value.contains(',') && lists.iter().all(|list| in_list(list, |entry| matches(entry, value)))
    };
    std::iter::once(usual.to_owned()).chain(made).find(fits)
}
