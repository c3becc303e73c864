//! The ways to be authenticated that a configuration leaves open (auth2.c).

use super::effective::Effective;

/// Methods that have to succeed one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    methods: Vec<String>,
    /// From AuthenticationMethods; else one of the methods that `any` allows.
    pub listed: bool,
}

/// The methods that sshd has, and the option that switches each on.
fn enabled(effective: &Effective) -> Vec<&'static str> {
    let gssapi = effective.yes("gssapiauthentication");
    let all = [
        // On unless it is said to be off, and older versions print it always.
        ("publickey", effective.value("pubkeyauthentication") != Some("no")),
        ("keyboard-interactive", effective.keyboard_interactive()),
        ("password", effective.yes("passwordauthentication")),
        ("hostbased", effective.yes("hostbasedauthentication")),
        ("gssapi-with-mic", gssapi),
        // The distributions' patch for key exchange with GSSAPI.
        ("gssapi-keyex", gssapi && effective.yes("gssapikeyexchange")),
    ];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

/// All ways. Lists with a method that is off are skipped, as `auth2_setup_methods_lists` does; if none is left, no
/// login succeeds.
pub fn ways(effective: &Effective) -> Vec<Way> {
    let enabled = enabled(effective);
    let lists = effective.lists();
    if lists.is_empty() {
        return enabled
            .iter()
            .map(|method| Way { methods: vec![(*method).to_owned()], listed: false })
            .collect();
    }
    let possible = |method: &String| {
        let (name, device) = method.split_once(':').unwrap_or((method, ""));
        // With UsePAM the only device of keyboard-interactive is pam (auth2-chall.c).
        enabled.contains(&name) && (name != "keyboard-interactive" || matches!(device, "" | "pam"))
    };
    let live = lists.into_iter().filter(|list| list.iter().all(possible));
    live.map(|methods| Way { methods, listed: true }).collect()
}

impl Way {
    fn position(&self, method: &str) -> Option<usize> {
        self.methods.iter().position(|each| each.split(':').next() == Some(method))
    }

    /// Whether our PAM line can show its prompt on this way.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.position("keyboard-interactive").is_some()
    }

    /// Whether sshd gives the login password to PAM on this way.
    #[must_use]
    pub fn password(&self) -> bool {
        self.position("password").is_some()
    }

    /// Whether a key is proved on this way.
    #[must_use]
    pub fn key(&self) -> bool {
        self.position("publickey").is_some()
    }

    /// Whether a key has been proved before our line is called.
    #[must_use]
    pub fn key_first(&self) -> bool {
        match (self.position("publickey"), self.position("keyboard-interactive")) {
            (Some(key), Some(asked)) => key < asked,
            _ => false,
        }
    }

    /// Whether there is more on this way than our PAM stack.
    #[must_use]
    pub const fn several(&self) -> bool {
        self.methods.len() > 1
    }

    /// As AuthenticationMethods has it.
    #[must_use]
    pub fn written(&self) -> String {
        self.methods.join(",")
    }

    /// The option that switches a single method off.
    #[must_use]
    pub fn switch(&self) -> Option<&'static str> {
        match self.methods.as_slice() {
            [one] => match one.as_str() {
                "hostbased" => Some("HostbasedAuthentication no"),
                "gssapi-with-mic" => Some("GSSAPIAuthentication no"),
                "gssapi-keyex" => Some("GSSAPIKeyExchange no"),
                _ => None,
            },
            _ => None,
        }
    }
}
