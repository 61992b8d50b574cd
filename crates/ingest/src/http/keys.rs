//! Who shows a key. What the database said is believed for some seconds: that is how long a revoked key may still work.

use super::problem::Problem;
use automation_domain::api_key::ApiKey;
use automation_store::Db;
use automation_store::api_keys::{self, KeyHolder};
use axum::http::{HeaderMap, header};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a holder is believed.
const BELIEVED: Duration = Duration::from_secs(5);
/// Most holders that are remembered.
const REMEMBERED: usize = 10_000;

/// Holders by the hash of their keys. Only keys that are good are remembered, so nobody can fill this from outside.
#[derive(Default)]
pub(super) struct Keys {
    known: Mutex<BTreeMap<[u8; 32], Believed>>,
}

/// A holder, and when the database said so.
type Believed = (Instant, Arc<KeyHolder>);

impl Keys {
    /// The holder of the key in `Authorization: Bearer …`.
    pub(super) async fn holder(&self, db: &Db, headers: &HeaderMap) -> Result<Arc<KeyHolder>, Problem> {
        let Some(key) = bearer(headers) else { return Err(Problem::unauthorized()) };
        let hash = key.hash();
        if let Some(holder) = self.believed(&hash, Instant::now()) {
            return Ok(holder);
        }
        match api_keys::holder(db, hash).await {
            Ok(Some(holder)) => {
                let holder = Arc::new(holder);
                self.remember(hash, holder.clone(), Instant::now());
                Ok(holder)
            }
            Ok(None) => {
                self.forget(&hash);
                Err(Problem::unauthorized())
            }
            Err(error) => {
                tracing::warn!(%error, "an API key cannot be looked up");
                Err(Problem::unavailable("database_unavailable", "the key cannot be looked up at the moment"))
            }
        }
    }

    fn believed(&self, hash: &[u8; 32], now: Instant) -> Option<Arc<KeyHolder>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, holder) = known.get(hash)?;
        (now.saturating_duration_since(*at) < BELIEVED).then(|| holder.clone())
    }

    fn remember(&self, hash: [u8; 32], holder: Arc<KeyHolder>, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (at, _)| now.saturating_duration_since(*at) < BELIEVED);
        }
        if known.len() < REMEMBERED {
            known.insert(hash, (now, holder));
        }
    }

    fn forget(&self, hash: &[u8; 32]) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }
}

/// The scheme's name is read in any case, as RFC 9110 says.
fn bearer(headers: &HeaderMap) -> Option<ApiKey> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (one, more) = (all.next()?, all.next());
    let (scheme, key) = one.to_str().ok()?.split_once(' ')?;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| ApiKey::parse(key.trim()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::id::{ApiKeyId, TenantId};
    use axum::http::HeaderValue;
    use uuid::Uuid;

    #[test]
    fn a_key_is_taken_from_one_bearer_header_and_nothing_else() {
        let key = ApiKey::from_random(&[7; 32]);
        let headers = |values: &[String]| {
            let values = values.iter().map(|value| HeaderValue::from_str(value).unwrap());
            values.fold(HeaderMap::new(), |mut headers, value| {
                headers.append(header::AUTHORIZATION, value);
                headers
            })
        };
        let shown = key.expose();
        assert_eq!(bearer(&headers(&[format!("Bearer {shown}")])), Some(key.clone()));
        assert_eq!(bearer(&headers(&[format!("bearer  {shown} ")])), Some(key.clone()));
        for bad in [&[][..], &[shown.to_owned()], &[format!("Basic {shown}")], &["Bearer x".to_owned()]] {
            assert_eq!(bearer(&headers(bad)), None);
        }
        let twice = format!("Bearer {shown}");
        assert_eq!(bearer(&headers(&[twice.clone(), twice])), None);
    }

    #[test]
    fn a_holder_is_believed_for_some_seconds() {
        let keys = Keys::default();
        let holder = KeyHolder {
            tenant_id: TenantId(Uuid::nil()),
            tenant: "acme".to_owned(),
            api_key_id: ApiKeyId(Uuid::nil()),
            name: "shop".to_owned(),
            event_types: vec!["*".to_owned()],
        };
        let now = Instant::now();
        keys.remember([1; 32], Arc::new(holder), now);
        assert!(keys.believed(&[1; 32], now + BELIEVED / 2).is_some());
        assert!(keys.believed(&[1; 32], now + BELIEVED).is_none() && keys.believed(&[2; 32], now).is_none());
        keys.forget(&[1; 32]);
        assert!(keys.believed(&[1; 32], now).is_none());
    }
}
