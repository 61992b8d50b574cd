//! A secret with how and where it may be sent.

use crate::clock;
use crate::guard::Target;
use crate::mask::{Form, Number};
use automation_domain::credential::{AllowedHost, Scheme};
use automation_domain::effect::HttpRequest;
use automation_domain::id;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use std::fmt;
use std::time::SystemTime;
use zeroize::Zeroizing;

/// What a credential adds to a request, and the only hosts it is added for. Prints nothing of its secret.
pub struct Authorization {
    scheme: Scheme,
    hosts: Vec<AllowedHost>,
    secret: Zeroizing<String>,
}

/// A secret that cannot be sent in its credential's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the credential's secret cannot be sent in this way; set it again")]
pub struct UnusableSecret;

impl Authorization {
    /// Takes a secret as it was stored.
    ///
    /// # Errors
    ///
    /// [`UnusableSecret`] when it is not text.
    pub fn new(scheme: Scheme, hosts: Vec<AllowedHost>, secret: &[u8]) -> Result<Self, UnusableSecret> {
        let text = std::str::from_utf8(secret).map_err(|_| UnusableSecret)?;
        Ok(Self { scheme, hosts, secret: Zeroizing::new(text.to_owned()) })
    }

    /// Whether it may be sent there.
    pub(crate) fn covers(&self, target: &Target) -> bool {
        self.hosts.iter().any(|host| host.covers(target.url().scheme(), target.host(), target.port()))
    }

    /// Adds itself to a request that is about to leave.
    pub(crate) fn apply(
        &self,
        url: &mut Url,
        headers: &mut HeaderMap,
        request: &HttpRequest,
        body: &str,
    ) -> Result<(), UnusableSecret> {
        match &self.scheme {
            Scheme::Bearer => {
                let value = Zeroizing::new(format!("Bearer {}", *self.secret));
                headers.insert(AUTHORIZATION, sensitive(&value)?);
            }
            Scheme::Basic { username } => {
                let value = Zeroizing::new(format!("Basic {}", *basic(username, &self.secret)));
                headers.insert(AUTHORIZATION, sensitive(&value)?);
            }
            Scheme::Header { name } => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| UnusableSecret)?;
                headers.insert(name, sensitive(&self.secret)?);
            }
            Scheme::Query { name } => {
                url.query_pairs_mut().append_pair(name, &self.secret);
            }
            Scheme::Hmac => {
                let id = message_id(request);
                let since = clock::system_time().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let signed = sign(&self.secret, &id, since.as_secs(), body)?;
                for (name, value) in [
                    ("webhook-id", id),
                    ("webhook-timestamp", since.as_secs().to_string()),
                    ("webhook-signature", signed),
                ] {
                    headers.insert(name, HeaderValue::try_from(value).map_err(|_| UnusableSecret)?);
                }
            }
        }
        Ok(())
    }

    /// The number that the secret is, if it is one.
    pub(crate) fn number(&self) -> Option<Number> {
        Number::of(&self.secret)
    }

    /// Every form in which the secret could come back.
    pub(crate) fn forms(&self) -> Vec<Form> {
        let mut forms = vec![Form::text(&self.secret), Form::hex(self.secret.as_bytes())];
        if let Scheme::Basic { username } = &self.scheme {
            forms.push(Form::base64(basic(username, &self.secret).trim_end_matches('=')));
        }
        forms.extend((0..3).map(|shift| Form::base64(&within_base64(&self.secret, shift))));
        if let Some(key) = self.secret.strip_prefix("whsec_") {
            forms.push(Form::base64(key.trim_end_matches('=')));
            if let Ok(bytes) = signing_key(key) {
                forms.push(Form::hex(&bytes));
            }
        }
        forms
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        f.debug_struct("Authorization")
            .field("kind", &self.scheme.kind())
            .field("hosts", &hosts)
            .finish_non_exhaustive()
    }
}

/// A header's value that the client keeps out of its own logs.
fn sensitive(value: &str) -> Result<HeaderValue, UnusableSecret> {
    let mut value = HeaderValue::from_str(value).map_err(|_| UnusableSecret)?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(username: &str, secret: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{username}:{secret}"));
    Zeroizing::new(STANDARD.encode(pair.as_bytes()))
}

/// What is sure to be there when something with the secret in it comes back in base64, `shift` bytes into a group of
/// three: `user:secret` is not known here, and yet found.
fn within_base64(secret: &str, shift: usize) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(vec![0; shift]);
    bytes.extend_from_slice(secret.as_bytes());
    let encoded = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
    // Each character stands for six bits; those that share bits with a neighbour of the secret are left out.
    let (first, last) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
    Zeroizing::new(encoded.get(first..last).unwrap_or_default().to_owned())
}

/// The same for every try of a request: receivers tell repeats by it.
fn message_id(request: &HttpRequest) -> String {
    let key = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
    match key {
        Some((_, key)) => format!("msg_{key}"),
        None => {
            let body = request.body.as_deref().unwrap_or_default();
            format!(
                "msg_{}",
                id::digest(&[request.method.as_bytes(), request.url.as_bytes(), body.as_bytes()])
            )
        }
    }
}

/// The signature of Standard Webhooks 1.0: over id, time and body.
fn sign(secret: &str, id: &str, seconds: u64, body: &str) -> Result<String, UnusableSecret> {
    let key = signing_key(secret.strip_prefix("whsec_").ok_or(UnusableSecret)?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| UnusableSecret)?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// The key behind `whsec_`, in base64 with or without padding.
fn signing_key(encoded: &str) -> Result<Zeroizing<Vec<u8>>, UnusableSecret> {
    let encoded = encoded.trim_end_matches('=');
    let padded = Zeroizing::new(format!("{encoded}{}", "=".repeat((4 - encoded.len() % 4) % 4)));
    STANDARD.decode(padded.as_bytes()).map(Zeroizing::new).map_err(|_| UnusableSecret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Mask;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of the specification's reference libraries.
        let signed = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn debug_prints_nothing_of_the_secret() {
        let hosts = vec!["api.example.com".parse().unwrap()];
        let authorization = Authorization::new(Scheme::Bearer, hosts, b"canary-secret").unwrap();
        assert_eq!(
            format!("{authorization:?}"),
            r#"Authorization { kind: "bearer", hosts: ["api.example.com:443"], .. }"#
        );
    }

    #[test]
    fn a_secret_is_known_in_all_its_forms() {
        let scheme = Scheme::Basic { username: "shop".to_owned() };
        let authorization = Authorization::new(scheme, vec![], "a b+c/ä!".as_bytes()).unwrap();
        let mask = Mask::new(Some(&authorization));
        for echo in [
            "a b+c/ä!",
            "YSBiK2Mvw6Qh",
            "a+b%2Bc%2F%C3%A4%21",
            "a%20b%2Bc%2F%C3%A4%21",
            "c2hvcDphIGIrYy_DpCE",
        ] {
            assert_eq!(mask.text(echo), "***", "{echo}");
        }
    }
}
