//! Who shows a key.

use crate::memory::Memory;
use crate::peer::Peer;
use crate::problem::Problem;
use automation_domain::api_key::ApiKey;
use automation_service_kit::turns::Turns;
use automation_store::Db;
use automation_store::access::api_keys::{self, KeyHolder};
use axum::http::{HeaderMap, header};
use std::sync::Arc;
use std::time::Instant;

/// Holders by the hash of their keys.
pub(crate) type Keys = Memory<[u8; 32], KeyHolder>;

impl Keys {
    /// The holder of the key in `Authorization: Bearer …`.
    pub(crate) async fn holder(
        &self,
        db: &Db,
        turn: (&Arc<Turns<Peer>>, Peer),
        headers: &HeaderMap,
    ) -> Result<Arc<KeyHolder>, Problem> {
        let Some(key) = bearer(headers) else { return Err(Problem::unauthorized()) };
        let (hash, now) = (key.hash(), Instant::now());
        if let Some(holder) = self.believed(&hash, now) {
            return Ok(holder);
        }
        match self.ask(turn, &hash, now, async || api_keys::holder(db, hash).await).await {
            Ok(holder) => holder.ok_or_else(Problem::unauthorized),
            Err(error) => {
                tracing::warn!(%error, "an API key cannot be looked up");
                Err(Problem::unavailable("database_unavailable", "the key cannot be looked up at the moment"))
            }
        }
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
    use axum::http::HeaderValue;

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
}
