//! Requests that carry no secret, but are signed with one. Both schemes are a few lines on ring and RustCrypto; the libraries
//! that there are bring OpenSSL's successor or seventy crates.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// A JSON Web Token signed with RSA and SHA-256 (RFC 7519; RFC 7518, section 3.3).
///
/// # Errors
///
/// When the key is no RSA key in PEM.
pub(super) fn jwt(
    key: &str,
    claims: &serde_json::Map<String, serde_json::Value>,
) -> Result<String, &'static str> {
    const NO_KEY: &str = "the credential is no RSA key in PEM";
    let key = match PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| NO_KEY)? {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(NO_KEY),
    };
    let key = key.map_err(|_| NO_KEY)?;
    let claims = serde_json::Value::Object(claims.clone()).to_string();
    let head = BASE64URL_NOPAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", BASE64URL_NOPAD.encode(claims.as_bytes()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "the key does not sign")?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// What AWS Signature Version 4 signs with.
pub(super) struct Aws<'a> {
    pub(super) access_key: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// Signs a request: the headers `x-amz-date` and `authorization` that it needs besides (AWS, "Create a signed AWS API
/// request"). `path` and `query` are escaped already; `headers` are all that will be sent, but `host` among them.
pub(super) fn aws(
    with: &Aws<'_>,
    now: Timestamp,
    (method, path, query): (&str, &str, &str),
    headers: &[(String, String)],
    body: &[u8],
) -> [(String, String); 2] {
    let time: String = now.rfc_3339().chars().filter(char::is_ascii_alphanumeric).collect();
    let day = time.get(..8).unwrap_or_default();
    let mut signed: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    signed.push(("x-amz-date".to_owned(), time.clone()));
    signed.sort();
    let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let listed: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let (query, body) = (pairs.join("&"), HEXLOWER.encode(&Sha256::digest(body)));
    let canonical = format!("{method}\n{path}\n{query}\n{listed}\n{names}\n{body}");
    let scope = format!("{day}/{}/{}/aws4_request", with.region, with.service);
    let hashed = HEXLOWER.encode(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
    let mut key = format!("AWS4{}", with.secret).into_bytes();
    for part in [day, with.region, with.service, "aws4_request", text.as_str()] {
        key = mac(&key, part.as_bytes());
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        with.access_key,
        HEXLOWER.encode(&key)
    );
    [("x-amz-date".to_owned(), time), ("authorization".to_owned(), authorization)]
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length (RFC 2104, section 3).
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test suite that AWS publishes: `get-vanilla`, `get-vanilla-query-order-key-case`, `post-x-www-form-urlencoded`.
    #[test]
    fn requests_are_signed_as_aws_publishes() {
        let with = Aws {
            access_key: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
        };
        let now = Timestamp::from_secs(1_440_938_160); // 2015-08-30T12:36:00Z
        let host = ("host".to_owned(), "example.amazonaws.com".to_owned());
        let form = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        for (request, headers, body, expected) in [
            (
                ("GET", "/", ""),
                vec![host.clone()],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                ("GET", "/", "Param2=value2&Param1=value1"),
                vec![host.clone()],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                ("POST", "/", ""),
                vec![form, host],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            let [date, authorization] = aws(&with, now, request, &headers, body.as_bytes());
            assert_eq!(date.1, "20150830T123600Z");
            assert!(
                authorization.1.ends_with(&format!("Signature={expected}")),
                "{request:?}: {authorization:?}"
            );
            assert!(authorization.1.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="));
        }
    }

    #[test]
    fn a_token_needs_a_key() {
        for key in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(jwt(key, &serde_json::Map::new()).is_err(), "{key}");
        }
    }
}
