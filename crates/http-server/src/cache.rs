//! What the database said lately: believed for some seconds, and asked for by few callers at a time.

use crate::peer::Peer;
use automation_service_kit::clock;
use automation_service_kit::turns::Turns;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what the database said is believed: that is how long what was revoked or deleted may still work.
const BELIEVED: Duration = Duration::from_secs(5);
/// Most that is remembered.
const REMEMBERED: usize = 10_000;

/// Answers by what was asked. Only what there is is remembered, so nobody can fill it with guesses.
#[derive(Debug)]
pub struct Cache<K, V> {
    known: Mutex<BTreeMap<K, Answer<V>>>,
}

#[derive(Debug)]
struct Answer<V> {
    at: Instant,
    value: Arc<V>,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { known: Mutex::new(BTreeMap::new()) }
    }
}

impl<K: Ord + Clone, V> Cache<K, V> {
    /// What is still believed at this moment.
    pub fn believed(&self, key: &K, now: Instant) -> Option<Arc<V>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = known.get(key)?;
        (now.saturating_duration_since(answer.at) < BELIEVED).then(|| answer.value.clone())
    }

    /// Asks `question` when it is the peer's turn, unless somebody got an answer since this moment.
    ///
    /// # Errors
    ///
    /// Those of the question; what was known before stays.
    pub async fn ask<E>(
        &self,
        (turns, peer): (&Arc<Turns<Peer>>, Peer),
        key: &K,
        since: Instant,
        question: impl AsyncFnOnce() -> Result<Option<V>, E>,
    ) -> Result<Option<Arc<V>>, E> {
        let _turn = turns.wait(peer).await;
        if let Some(value) = self.answered(key, since) {
            return Ok(Some(value));
        }
        let at = clock::now();
        let answer = question().await?.map(Arc::new);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &answer {
            Some(value) => {
                if known.len() >= REMEMBERED {
                    known.retain(|_, answer| at.saturating_duration_since(answer.at) < BELIEVED);
                }
                if known.len() < REMEMBERED || known.contains_key(key) {
                    known.insert(key.clone(), Answer { at, value: value.clone() });
                }
            }
            None => {
                known.remove(key);
            }
        }
        Ok(answer)
    }

    fn answered(&self, key: &K, since: Instant) -> Option<Arc<V>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|answer| answer.at >= since).map(|answer| answer.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    async fn ask(cache: &Cache<u8, u8>, key: u8, since: Instant, answer: Option<u8>) -> Option<u8> {
        let question = async || Ok::<_, Infallible>(answer);
        let turn = (&Turns::new(1, 1), Peer::of(Ipv4Addr::LOCALHOST.into()));
        let Ok(answer) = cache.ask(turn, &key, since, question).await;
        answer.map(|value| *value)
    }

    #[tokio::test]
    async fn an_answer_is_believed_for_some_seconds_and_asked_for_again_when_it_is_older() {
        let cache = Cache::default();
        let begin = clock::now();
        assert_eq!(ask(&cache, 1, begin, Some(10)).await, Some(10));
        let now = clock::now();
        assert_eq!(cache.believed(&1, now).as_deref(), Some(&10));
        assert_eq!(cache.believed(&1, now + BELIEVED), None);
        assert_eq!(cache.believed(&2, now), None);
        assert_eq!(ask(&cache, 1, begin, Some(20)).await, Some(10), "answered since");
        assert_eq!(ask(&cache, 1, now + BELIEVED, Some(20)).await, Some(20));
        assert_eq!(ask(&cache, 1, now + BELIEVED, None).await, None);
        assert_eq!(cache.believed(&1, now), None, "what is gone is forgotten");
    }

    #[tokio::test]
    async fn of_many_that_ask_the_same_at_once_few_ask_the_database() {
        let (cache, asked) = (Cache::<u8, u8>::default(), AtomicUsize::new(0));
        let (since, turns) = (clock::now(), Turns::new(4, 4));
        let peer = Peer::of(Ipv4Addr::LOCALHOST.into());
        let all = (0..1_000).map(|_| {
            cache.ask((&turns, peer), &1, since, async || {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Some(7))
            })
        });
        let answers = futures_util::future::join_all(all).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(value)) if **value == 7)));
        assert!(asked.load(Ordering::SeqCst) <= 4);
    }
}
