//! What `twinlock pam enable` is going to do: every file as it is and as it will be, judged before any is touched.

use std::{collections::BTreeMap, io};

use super::{
    authselect, debian,
    entry::{Entry, Manner},
    file::{self, Root},
    lines::{self, First, Wanted},
    sshd,
};
use crate::{
    args::PamEnable,
    doctor::{
        Finding, Severity,
        stack::{Files, Folders, judge, places},
    },
    failure::{Failure, NO},
    output::clean,
};

/// A file that the command writes, or has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub path: String,
    pub before: Option<Vec<u8>>,
    pub after: Option<Vec<u8>>,
}

/// A change that nobody has made yet.
#[derive(Debug, Default)]
pub struct Planned {
    /// What will be in the ledger.
    pub entries: Vec<Entry>,
    /// What the command writes itself.
    pub edits: Vec<Edit>,
    /// What a tool of the distribution will write, as far as that is known.
    pub expected: Vec<Edit>,
    /// The stacks that change, by name, as they will be.
    pub texts: BTreeMap<String, String>,
    /// Services that are tried with a wrong code.
    pub tried: Vec<String>,
    /// What is selected of authselect, and what will be.
    pub authselect: Option<authselect::Plan>,
}

/// The stacks as they will be.
pub struct Overlay<'a> {
    pub folders: &'a Folders,
    pub texts: &'a BTreeMap<String, String>,
}

impl Files for Overlay<'_> {
    fn read(&self, name: &str) -> io::Result<(String, String)> {
        let short = name.strip_prefix("/etc/pam.d/").unwrap_or(name);
        match self.texts.get(short) {
            Some(text) => Ok((format!("/etc/pam.d/{short}"), text.clone())),
            None => self.folders.read(name),
        }
    }

    fn has_module(&self, module: &str) -> bool {
        self.folders.has_module(module)
    }
}

fn refused(why: impl Into<String>) -> Failure {
    Failure::new(NO, why)
}

impl Planned {
    /// Plans for these services; those that have our lines already are left out.
    pub fn make(options: &PamEnable, root: &Root, folders: &Folders) -> Result<Self, Failure> {
        let mut services = options.service.clone();
        services.dedup();
        if options.key && services != ["sshd"] {
            return Err(Failure::usage("--key is for sshd alone: other programs know no keys"));
        }
        if options.ask_root && !services.iter().any(|service| service == "login") {
            return Err(Failure::usage("--ask-root is for --service login"));
        }
        for service in &services {
            if service.is_empty() || service.contains('/') || folders.read(service).is_err() {
                return Err(refused(format!(
                    "there is no stack /etc/pam.d/{}; see ls /etc/pam.d",
                    clean(service)
                )));
            }
        }
        let mut planned = Self::default();
        if authselect::rules(root) {
            planned.by_authselect(&services, options, root, folders)?;
        } else {
            for service in &services {
                planned.service(service, options, root, folders)?;
            }
        }
        if planned.texts.contains_key(debian::SERVICE) {
            planned.asked_once(folders)?;
        }
        let first = First::of(options.key);
        let all = services.iter().any(|service| service == debian::SERVICE) && folders.read("sshd").is_ok();
        if !planned.entries.is_empty() && (all || services.iter().any(|service| service == "sshd")) {
            planned.drop_in(first, root)?;
        }
        Ok(planned)
    }

    /// Who has lines of its own would be asked twice, and sshd's methods would belong to two entries of the ledger.
    fn asked_once(&self, folders: &Folders) -> Result<(), Failure> {
        let overlay = Overlay { folders, texts: &self.texts };
        let common = format!("{}:", debian::COMMON_AUTH);
        let own = |service: &String| {
            let Some(at) = places(service, &overlay) else { return false };
            let twice = at.elsewhere.iter().any(|place| place.starts_with(&common));
            service != debian::SERVICE && !at.ours.is_empty() && (twice || service == "sshd")
        };
        let services: Vec<String> = folders.services().into_iter().filter(own).collect();
        let Some(first) = services.first() else { return Ok(()) };
        Err(refused(format!(
            "{} would be asked twice, by lines of its own and by common-auth; run twinlock pam disable --service \
             {first} first",
            services.join(", ")
        )))
    }

    fn service(
        &mut self,
        service: &str,
        options: &PamEnable,
        root: &Root,
        folders: &Folders,
    ) -> Result<(), Failure> {
        let Some(places) = places(service, folders) else {
            return Err(refused(format!("{service} has no stack")));
        };
        let path = format!("/etc/pam.d/{service}");
        let before = file::read(&root.at(&path))?;
        let (_, text) =
            folders.read(service).map_err(|error| refused(format!("cannot read {path}: {error}")))?;
        if lines::written(&text) {
            if service == "sshd" && lines::first(&text) != Some(First::of(options.key)) {
                return Err(refused("sshd asks by the other stack already; run twinlock pam disable first"));
            }
            return Ok(());
        }
        if let Some(elsewhere) = places.elsewhere.first() {
            return Err(refused(format!("{service} asks already, by {elsewhere}; nothing has changed")));
        }
        if let Some(number) = places.ours.first() {
            return Err(refused(format!(
                "{path}:{number} has a line of pam_twinlock.so that somebody wrote by hand; leave it as it is, or run \
                 twinlock pam disable --service {service} first"
            )));
        }
        if service == debian::SERVICE {
            return self.profile(root, &text);
        }
        let wanted = Wanted {
            first: First::of(options.key),
            root_passes: service == "login" && !options.ask_root,
            account: service == "sshd",
        };
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(refused(format!(
                "{path} is not UTF-8; write our lines by hand, as pam_twinlock(8) shows"
            )));
        }
        let after = lines::with(&text, &places, wanted).map_err(refused)?;
        self.texts.insert(service.to_owned(), after.clone());
        self.tried.push(service.to_owned());
        self.edits.push(Edit { path: path.clone(), before, after: Some(after.into_bytes()) });
        self.entry(service, options.key, Manner::Lines, vec![path]);
        Ok(())
    }

    fn profile(&mut self, root: &Root, text: &str) -> Result<(), Failure> {
        debian::possible(root)?;
        let Some(after) = debian::expected(text) else {
            return Err(refused(
                "/etc/pam.d/common-auth is not as pam-auth-update writes it; name the services one by one",
            ));
        };
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        self.expected.push(Edit {
            path: debian::COMMON_AUTH.to_owned(),
            before: bytes(text),
            after: bytes(&after),
        });
        self.texts.insert(debian::SERVICE.to_owned(), after);
        self.tried.push(if root.at("/etc/pam.d/sshd").exists() { "sshd" } else { "login" }.to_owned());
        self.entry(debian::SERVICE, false, Manner::Profile, debian::files(root));
        Ok(())
    }

    fn by_authselect(
        &mut self,
        services: &[String],
        options: &PamEnable,
        root: &Root,
        folders: &Folders,
    ) -> Result<(), Failure> {
        if options.key {
            return Err(refused(
                "--key is not for hosts of authselect, whose sshd stack includes password-auth; write the lines by \
                 hand, as pam_twinlock(8) shows",
            ));
        }
        // Our profile asks at every service that includes one of the two; a key alone is refused where sshd was named.
        let asked = |service: &String| {
            let methods = service != "sshd" || root.at(sshd::DROP_IN).exists();
            methods && judge(service, folders).auth_line
        };
        if services.iter().all(asked) {
            return Ok(());
        }
        let plan = authselect::Plan::make(services.iter().any(|service| service == "sshd"))?;
        for (name, text) in &plan.texts {
            let path = format!("/etc/authselect/{name}");
            let before = std::fs::read(&path).ok();
            self.expected.push(Edit { path, before, after: Some(text.clone().into_bytes()) });
            self.texts.insert(name.clone(), text.clone());
        }
        self.tried = services.to_vec();
        let manner = Manner::Authselect { before: plan.before.clone(), base: plan.base() };
        self.entry(authselect::SERVICE, false, manner, authselect::FILES.map(str::to_owned).to_vec());
        self.authselect = Some(plan);
        Ok(())
    }

    fn drop_in(&mut self, first: First, root: &Root) -> Result<(), Failure> {
        let (path, text) = (sshd::DROP_IN.to_owned(), sshd::drop_in(first));
        let before = file::read(&root.at(&path))?;
        self.edits.push(Edit { path: path.clone(), before, after: Some(text.into_bytes()) });
        match self.entries.iter_mut().find(|entry| entry.service == "sshd") {
            Some(entry) => entry.files.push(path),
            None => self.entry("sshd", first == First::Key, Manner::Lines, vec![path]),
        }
        Ok(())
    }

    /// Whether a later plan does to the same files the same.
    pub fn same(&self, later: &Self) -> bool {
        (&self.edits, &self.expected, &self.texts) == (&later.edits, &later.expected, &later.texts)
    }

    /// What comes before the code at sshd, where its methods change.
    pub fn sshd(&self) -> Option<First> {
        self.entries.iter().find(|entry| entry.has_drop_in()).map(|entry| First::of(entry.key))
    }

    fn entry(&mut self, service: &str, key: bool, manner: Manner, files: Vec<String>) {
        self.entries.push(Entry { service: service.to_owned(), key, manner, files, copies: String::new() });
    }

    /// The other name by which a program goes, where that is left out.
    pub fn others(&self, folders: &Folders) -> Vec<String> {
        let overlay = Overlay { folders, texts: &self.texts };
        let left_out = |(program, service, other): &(&str, &str, &str)| {
            let concerned = self.tried.iter().any(|each| each == service);
            let asks =
                places(other, &overlay).is_none_or(|at| !(at.ours.is_empty() && at.elsewhere.is_empty()));
            (concerned && !asks)
                .then(|| format!("{program} is the service {other}, which does not ask: name it too"))
        };
        [("sudo -i", "sudo", "sudo-i"), ("su -", "su", "su-l")].iter().filter_map(left_out).collect()
    }

    /// What doctor says of the stacks as they will be: an error ends the plan, warnings are shown.
    pub fn judged(&self, folders: &Folders) -> Result<Vec<Finding>, Failure> {
        let overlay = Overlay { folders, texts: &self.texts };
        let mut warnings = Vec::new();
        for service in &self.tried {
            let report = judge(service, &overlay);
            if !report.auth_line {
                return Err(refused(format!(
                    "the new stack of {service} would not reach our line; nothing has changed; write our lines by \
                     hand, as pam_twinlock(8) shows"
                )));
            }
            for finding in report.findings {
                if finding.severity == Severity::Error {
                    return Err(refused(format!(
                        "nothing has changed, because of what doctor says of the new stack: {finding}"
                    )));
                }
                warnings.push(finding);
            }
        }
        Ok(warnings)
    }
}
