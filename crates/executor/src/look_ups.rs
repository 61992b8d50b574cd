//! Names looked up for requests: so many at once, of one tenant fewer, and none for longer than a moment.
//!
//! The system's resolver works on threads and cannot be stopped, so that a name server which does not answer would take one
//! after the other.

use automation_connectors::{Resolve, Resolved};
use automation_domain::id::TenantId;
use automation_service_kit::turns::Turns;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Look-ups at once; far below the threads that the runtime has for such work (512).
const LOOK_UPS: usize = 64;
/// Of these, for one tenant.
const PER_TENANT: usize = 16;
/// Longest wait for an answer, a turn included: shorter than that for a connection, of which it is a part.
const PATIENCE: Duration = Duration::from_secs(4);

tokio::task_local! {
    /// For whom a request is sent: a resolver is told nothing but a name.
    static TENANT: TenantId;
}

/// Runs what looks names up for this tenant.
pub(crate) async fn for_tenant<F: Future>(tenant: TenantId, work: F) -> F::Output {
    TENANT.scope(tenant, work).await
}

/// Has names looked up in turns.
pub(crate) struct BoundedResolver {
    inner: Arc<dyn Resolve>,
    turns: Arc<Turns<Option<TenantId>>>,
    patience: Duration,
}

impl fmt::Debug for BoundedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedResolver").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl BoundedResolver {
    pub(crate) fn new(inner: Arc<dyn Resolve>) -> Self {
        Self { inner, turns: Turns::new(LOOK_UPS, PER_TENANT), patience: PATIENCE }
    }
}

impl Resolve for BoundedResolver {
    fn resolve(&self, name: String) -> Resolved {
        let (inner, turns, patience) = (self.inner.clone(), self.turns.clone(), self.patience);
        let tenant = TENANT.try_with(|tenant| *tenant).ok();
        Box::pin(async move {
            let looking_up = async {
                let turn = turns.wait(tenant).await;
                // It has its turn until it is through, also when nobody waits for it any more.
                let look_up = tokio::spawn(async move {
                    let found = inner.resolve(name).await;
                    drop(turn);
                    found
                });
                look_up.await.map_err(io::Error::other)?
            };
            match tokio::time::timeout(patience, looking_up).await {
                Ok(found) => found,
                Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_connectors::Connectors;
    use automation_domain::effect::{HttpRequest, Outcome, Request};
    use automation_domain::limits::Limits;
    use automation_domain::outbound::Outbound;
    use std::collections::BTreeMap;
    use std::net::IpAddr;
    use tokio::sync::{Semaphore, mpsc};
    use tokio::task::JoinSet;
    use uuid::Uuid;

    /// Says which names it is asked for, and answers none of `slow.example` before it is let.
    struct Slow {
        asked: mpsc::UnboundedSender<String>,
        gate: Arc<Semaphore>,
    }

    impl Resolve for Slow {
        fn resolve(&self, name: String) -> Resolved {
            let (asked, gate) = (self.asked.clone(), self.gate.clone());
            Box::pin(async move {
                let is_slow = name.contains("slow");
                let _ = asked.send(name);
                if is_slow {
                    let _turn = gate.acquire().await;
                }
                // Private, so that the guard refuses it and nobody is called.
                Ok(vec![IpAddr::from([10, 0, 0, 1])])
            })
        }
    }

    fn get(url: &str) -> Request {
        Request::Http(HttpRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            credential: None,
            timeout_ms: 60_000,
            redirects: 0,
            save: BTreeMap::new(),
        })
    }

    fn code(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Retry { error, .. } | Outcome::Failed { error } => &error.code,
            Outcome::Done { .. } => "done",
        }
    }

    #[tokio::test]
    async fn a_tenants_slow_names_hold_up_no_other_tenants() {
        automation_service_kit::bootstrap();
        let (asked, mut asks) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let resolver = BoundedResolver::new(Arc::new(Slow { asked, gate: gate.clone() }));
        let outbound = Outbound { connect_timeout: Duration::from_secs(60), ..Outbound::default() };
        let connectors =
            Arc::new(Connectors::with_resolver(outbound, &Limits::default(), Arc::new(resolver)).unwrap());
        let send = |tenant: u128, url: String| {
            let connectors = connectors.clone();
            async move {
                let request = get(&url);
                for_tenant(TenantId(Uuid::from_u128(tenant)), connectors.perform(&request, None)).await
            }
        };
        let mut slow = JoinSet::new();
        for number in 0..2 * LOOK_UPS {
            slow.spawn(send(1, format!("http://slow{number}.example/")));
        }
        for _ in 0..PER_TENANT {
            assert!(asks.recv().await.unwrap().contains("slow"));
        }
        let other = send(2, "http://fast.example/".to_owned()).await;
        assert_ne!(code(&other.outcome), "dns_failed", "{other:?}");
        assert_eq!(asks.recv().await.unwrap(), "fast.example.");
        assert!(asks.is_empty(), "the first tenant has its share");

        // Those that wait are told so in time; those that ask keep their turns, since nothing stops them.
        while let Some(ended) = slow.join_next().await {
            let attempt = ended.unwrap();
            assert_eq!(code(&attempt.outcome), "dns_failed", "{attempt:?}");
        }
        let still = send(1, "http://slow.example/".to_owned()).await;
        assert_eq!(code(&still.outcome), "dns_failed", "{still:?}");
        gate.add_permits(LOOK_UPS);
        let again = send(1, "http://slow.example/".to_owned()).await;
        assert_ne!(code(&again.outcome), "dns_failed", "{again:?}");
    }
}
