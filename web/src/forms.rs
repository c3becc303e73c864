//! What a browser posts: a few short fields.

use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes};
use twinlock_proto::limit;

/// A whole form, in bytes. Ours have two fields.
const LARGEST: usize = 4 * 1024;

/// Why there is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoForm {
    /// More than a form of ours can be.
    TooLarge,
    /// Not what a browser sends.
    Nonsense,
}

/// The fields of a form. No `Debug`: they are what a person typed.
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads the body, and no more of it than there may be.
    pub async fn read<B>(headers: &HeaderMap, body: B) -> Result<Self, NoForm>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(NoForm::Nonsense);
        }
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() { NoForm::TooLarge } else { NoForm::Nonsense }
        })?;
        Ok(Self(form_urlencoded::parse(&body.to_bytes()).into_owned().collect()))
    }

    /// A field that is there once, and no longer than what a person types.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next().filter(|value| value.len() <= limit::ANSWER)?;
        values.next().is_none().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    async fn read(kind: &str, body: &str) -> Result<Fields, NoForm> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        Fields::read(&headers, Full::new(Bytes::from(body.to_owned()))).await
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[tokio::test]
    async fn a_field_is_read_as_it_was_typed() {
        let fields = read(FORM, "code=ab12-+cd%33%C3%A9&seal=x").await.ok().unwrap();
        assert_eq!(fields.get("code"), Some("ab12- cd3\u{e9}"));
        assert_eq!(fields.get("seal"), Some("x"));
        assert_eq!(fields.get("other"), None);
    }

    #[tokio::test]
    async fn what_no_browser_sends_is_no_form() {
        let fields = read(&format!("{FORM}; charset=utf-8"), &format!("a=1&a=2&b={}", "x".repeat(513))).await;
        let fields = fields.ok().unwrap();
        assert_eq!((fields.get("a"), fields.get("b")), (None, None));
        assert_eq!(read("application/json", "{}").await.err(), Some(NoForm::Nonsense));
        assert_eq!(read(FORM, &"x".repeat(LARGEST + 1)).await.err(), Some(NoForm::TooLarge));
    }
}
