//! The answer of `sshd -T`: the configuration that counts for one connection.

use std::collections::BTreeMap;

/// Keys in lower case, with every value that was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    values: BTreeMap<String, Vec<String>>,
}

impl Effective {
    /// Reads what `sshd -T` prints: one `key value` a line, a key again for a further value.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (key, value) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            if !key.is_empty() {
                values.entry(key.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
            }
        }
        Self { values }
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(|all| all.first()).map(String::as_str)
    }

    /// Whether a key is there with `yes`.
    #[must_use]
    pub fn yes(&self, key: &str) -> bool {
        self.value(key) == Some("yes")
    }

    /// Whether `keyboard-interactive` is on. Before OpenSSH 8.7 ChallengeResponseAuthentication was the key's name; 8.x
    /// prints both, and the newer one is what the method looks at (auth2-kbdint.c).
    #[must_use]
    pub fn keyboard_interactive(&self) -> bool {
        match self.value("kbdinteractiveauthentication") {
            Some(value) => value == "yes",
            None => self.yes("challengeresponseauthentication"),
        }
    }

    /// The name under which sshd asks PAM (PAMServiceName, OpenSSH 10).
    #[must_use]
    pub fn pam_service(&self) -> &str {
        self.value("pamservicename").unwrap_or("sshd")
    }

    /// The lists of AuthenticationMethods; none stands for `any`.
    #[must_use]
    pub fn lists(&self) -> Vec<Vec<String>> {
        let all = self.values.get("authenticationmethods").map(Vec::as_slice).unwrap_or_default();
        let lists = all.iter().flat_map(|line| line.split_whitespace());
        lists
            .filter(|list| !list.eq_ignore_ascii_case("any"))
            .map(|list| list.split(',').map(str::to_owned).collect())
            .collect()
    }

    /// A time in seconds, as `-T` prints it, or with units, as it may be written (sshd_config(5), TIME FORMATS).
    #[must_use]
    pub fn seconds(&self, key: &str) -> Option<u64> {
        let mut total = 0_u64;
        let mut number = String::new();
        for letter in self.value(key)?.chars() {
            let factor = match letter.to_ascii_lowercase() {
                '0'..='9' => {
                    number.push(letter);
                    continue;
                }
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86400,
                'w' => 604_800,
                _ => return None,
            };
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
            number.clear();
        }
        if number.is_empty() { Some(total) } else { total.checked_add(number.parse().ok()?) }
    }
}
