//! Who shows a key.

use crate::problems;
use automation_domain::api_key::ApiKey;
use automation_http_server::authorization::bearer;
use automation_http_server::cache::Cache;
use automation_http_server::peer::Peer;
use automation_http_server::problem::Problem;
use automation_service_kit::clock;
use automation_service_kit::turns::Turns;
use automation_store::Db;
use automation_store::access::api_keys::{self, KeyHolder};
use automation_store::role::Door;
use axum::http::HeaderMap;
use std::sync::Arc;

/// Holders by the hash of their keys.
#[derive(Default)]
pub(crate) struct Keys(Cache<[u8; 32], KeyHolder>);

impl Keys {
    /// The holder of the key in `Authorization: Bearer …`.
    pub(crate) async fn holder(
        &self,
        db: &Db<Door>,
        turn: (&Arc<Turns<Peer>>, Peer),
        headers: &HeaderMap,
    ) -> Result<Arc<KeyHolder>, Problem> {
        let Some(key) = shown(headers) else { return Err(problems::unauthorized()) };
        let (hash, now) = (key.hash(), clock::now());
        if let Some(holder) = self.0.believed(&hash, now) {
            return Ok(holder);
        }
        match self.0.ask(turn, &hash, now, async || api_keys::holder(db, hash).await).await {
            Ok(holder) => holder.ok_or_else(problems::unauthorized),
            Err(error) => {
                tracing::warn!(%error, "an API key cannot be looked up");
                Err(problems::unavailable(
                    "database_unavailable",
                    "the key cannot be looked up at the moment",
                ))
            }
        }
    }
}

fn shown(headers: &HeaderMap) -> Option<ApiKey> {
    bearer(headers).and_then(ApiKey::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, header};

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
        let text = key.expose();
        assert_eq!(shown(&headers(&[format!("Bearer {text}")])), Some(key.clone()));
        assert_eq!(shown(&headers(&[format!("bearer  {text} ")])), Some(key.clone()));
        for bad in [&[][..], &[text.to_owned()], &[format!("Basic {text}")], &["Bearer x".to_owned()]] {
            assert_eq!(shown(&headers(bad)), None);
        }
        let twice = format!("Bearer {text}");
        assert_eq!(shown(&headers(&[twice.clone(), twice])), None);
    }
}
