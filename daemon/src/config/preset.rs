//! How a provider is spoken to: data, not code. A preset is a file `NAME.toml` in `providers.d`, shipped or the
//! administrator's; twinlock-providers(5) is its manual.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::policy::Method;

/// A preset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preset {
    /// Whose it is, in a line.
    pub about: String,
    /// When, and by whom, a message was sent with it that arrived; absent: only its specification was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_live: Option<String>,
    /// What an administrator has to say, besides a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// How an SMS is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<Recipe>,
    /// How a call is placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Recipe>,
}

/// Something that an administrator says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Value {
    /// What it is.
    pub about: String,
    /// What it is unless said otherwise; absent: it must be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// How one kind of message is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// A request by HTTP.
    Http(Box<Http>),
    /// A program of the administrator's.
    Program(Program),
}

/// A program: number and text come on its standard input, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// Its file, an absolute path.
    pub path: String,
}

/// A request, and what its reply means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// GET, POST or PUT.
    pub method: Verb,
    /// Where to. A value that it begins with is taken as it is; any other is escaped.
    pub url: String,
    /// Who we are.
    #[serde(default)]
    pub auth: Auth,
    /// Behind the question mark.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A body as of an HTML form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeMap<String, String>>,
    /// A body in JSON: a table whose strings are filled in after it was read, so that no value can leave its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Map<String, serde_json::Value>>,
    /// Which replies mean that the message was taken.
    #[serde(default)]
    pub reply: Reply,
    /// What the provider's own codes mean, and statuses (`http-402`) that mean something else than usual.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map: BTreeMap<String, Class>,
}

/// The methods of HTTP that send messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    /// Everything is in the query.
    Get,
    /// There is a body.
    Post,
    /// There is a body.
    Put,
}

impl Verb {
    /// As it stands in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// How a request says who we are. `{secret}` is the credential that the provider's `secret` names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Auth {
    /// Not at all, or by `{secret}` in a place that the provider chose.
    #[default]
    None,
    /// RFC 7617.
    Basic {
        /// The user.
        user: String,
        /// The password.
        #[serde(default = "secret")]
        password: String,
    },
    /// RFC 6750.
    Bearer,
    /// A header of the provider's own.
    Header {
        /// Its name.
        name: String,
        /// What stands before the secret.
        #[serde(default)]
        prefix: String,
    },
    /// A JSON Web Token signed with RS256; the secret is the private key, in PEM. `iat`, `exp` and `jti` are added.
    #[serde(rename_all = "kebab-case")]
    JwtRs256 {
        /// What it says besides.
        claims: BTreeMap<String, String>,
    },
    /// AWS Signature Version 4: `{user}` is the access key, `{secret}` its secret.
    Sigv4 {
        /// The name of the service in the signature.
        service: String,
        /// The region.
        region: String,
    },
}

fn secret() -> String {
    "{secret}".to_owned()
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reply {
    /// Statuses that are a success; none: 200 to 299.
    pub accept: Vec<u16>,
    /// What a success says besides: for providers that say 200 whatever happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<Success>,
    /// Where the message's number is (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the provider's code for what went wrong is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What a success says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields, rename_all = "kebab-case")]
pub enum Success {
    /// In JSON, at this place (RFC 6901; `*` is every element of an array, and there must be one): one of these.
    Json {
        /// Where.
        pointer: String,
        /// What.
        equals: Vec<String>,
    },
    /// A text that begins so.
    Text {
        /// How.
        begins: String,
    },
}

/// What became of a message that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// There is no such number, or it takes no messages.
    BadNumber,
    /// Its owner wants none.
    OptedOut,
    /// The provider sends nothing to that country.
    Region,
    /// Wrong credentials, no credit, not allowed.
    Account,
    /// Text or sender are not taken.
    Content,
    /// Too many at once.
    Rate,
    /// The provider is not well.
    Outage,
}

/// What may stand in braces besides the values of a preset.
pub const PLACES: [&str; 21] = [
    "id",
    "to",
    "to_digits",
    "to_00",
    "from",
    "user",
    "secret",
    "text",
    "ttl",
    "ttl_min",
    "ttl_ms",
    "expires_at",
    "lang",
    "language",
    "language_lower",
    "speech",
    "ssml",
    "twiml",
    "digits",
    "ring",
    "ring_ms",
];

impl Preset {
    /// How it carries messages of this kind, if it does.
    #[must_use]
    pub const fn recipe(&self, method: Method) -> Option<&Recipe> {
        match method {
            Method::Sms => self.sms.as_ref(),
            Method::Call => self.call.as_ref(),
            Method::Totp | Method::Hotp | Method::Email => None,
        }
    }

    /// All of them.
    pub fn recipes(&self) -> impl Iterator<Item = &Recipe> {
        self.sms.iter().chain(&self.call)
    }

    /// Everything in braces anywhere in it.
    ///
    /// # Errors
    ///
    /// Names a text whose braces do not close.
    pub fn places(&self) -> Result<BTreeSet<String>, String> {
        let mut texts = Vec::new();
        for recipe in self.recipes() {
            match recipe {
                Recipe::Program(Program { path }) => texts.push(path.as_str()),
                Recipe::Http(http) => http.texts(&mut texts),
            }
        }
        let mut places = BTreeSet::new();
        for text in texts {
            let template =
                leon::Template::parse(text).map_err(|_| format!("the braces in \"{text}\" do not close"))?;
            places.extend(template.keys().map(|key| (*key).to_owned()));
        }
        Ok(places)
    }

    /// What is wrong with it by itself.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match self.places() {
            Err(fault) => faults.push(fault),
            Ok(places) => {
                let known =
                    |place: &String| PLACES.contains(&place.as_str()) || self.values.contains_key(place);
                faults.extend(places.iter().filter(|place| !known(place)).map(|place| {
                    format!(
                        "{{{place}}} stands for nothing; there are {}, and what [values] names",
                        PLACES.join(", ")
                    )
                }));
            }
        }
        faults.extend(
            self.values
                .keys()
                .filter(|name| PLACES.contains(&name.as_str()))
                .map(|name| format!("values.{name} has a name that is taken")),
        );
        if self.recipes().next().is_none() {
            faults.push("it sends nothing: there is no [sms.http], [call.http] or program".to_owned());
        }
        for recipe in self.recipes() {
            match recipe {
                Recipe::Http(http) => faults.extend(http.faults()),
                Recipe::Program(_) => {}
            }
        }
        faults
    }
}

impl Http {
    fn texts<'a>(&'a self, texts: &mut Vec<&'a str>) {
        let Self { method: _, url, auth, query, headers, form, json, reply: _, map: _ } = self;
        texts.push(url);
        texts.extend(
            query
                .values()
                .chain(headers.values())
                .chain(form.iter().flat_map(BTreeMap::values))
                .map(String::as_str),
        );
        match auth {
            Auth::None => {}
            Auth::Basic { user, password } => texts.extend([user.as_str(), password]),
            Auth::Bearer | Auth::Header { .. } => texts.push("{secret}"),
            Auth::JwtRs256 { claims } => {
                texts.extend(claims.values().map(String::as_str).chain(["{secret}"]));
            }
            Auth::Sigv4 { service: _, region } => texts.extend(["{user}", "{secret}", region]),
        }
        let mut trees: Vec<&'a serde_json::Value> = json.iter().flat_map(serde_json::Map::values).collect();
        while let Some(tree) = trees.pop() {
            match tree {
                serde_json::Value::String(text) => texts.push(text),
                serde_json::Value::Array(items) => trees.extend(items),
                serde_json::Value::Object(table) => trees.extend(table.values()),
                serde_json::Value::Number(_) | serde_json::Value::Bool(_) | serde_json::Value::Null => {}
            }
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let bodies = usize::from(self.form.is_some()) + usize::from(self.json.is_some());
        if bodies > 1 {
            faults.push("it has two bodies: write form or json".to_owned());
        }
        let word = |name: &&String| {
            name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let header = if let Auth::Header { name, .. } = &self.auth { Some(name) } else { None };
        faults.extend(
            self.headers
                .keys()
                .chain(header)
                .filter(word)
                .map(|name| format!("\"{name}\" is no name of a header")),
        );
        if bodies > 0 && self.method == Verb::Get {
            faults.push("a GET has no body: write query instead of form or json".to_owned());
        }
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") && !self.url.starts_with('{')
        {
            faults.push(format!("the url \"{}\" begins neither with https:// nor with a value", self.url));
        }
        let pointers = [self.reply.id.as_ref(), self.reply.code.as_ref()];
        let success = self.reply.success.as_ref().and_then(|success| match success {
            Success::Json { pointer, .. } => Some(pointer),
            Success::Text { .. } => None,
        });
        faults.extend(
            pointers
                .into_iter()
                .chain([success])
                .flatten()
                .filter(|pointer| !pointer.starts_with('/'))
                .map(|pointer| format!("\"{pointer}\" is no JSON pointer: it begins with /")),
        );
        faults
    }
}
