//! Whether a tenant has room for more events: asked once somebody has proved who they are, and believed for some seconds.

use crate::Door;
use crate::problems;
use automation_domain::id::TenantId;
use automation_http_server::peer::Peer;
use automation_http_server::problem::Problem;
use automation_service_kit::clock;
use automation_store::upkeep::usage::{self, Grows};

impl Door {
    /// Refuses events of a tenant that keeps more than it may of what events make. Ingest would park them.
    pub(crate) async fn check_quota(&self, tenant: TenantId, peer: Peer) -> Result<(), Problem> {
        let now = clock::now();
        let over = match self.quotas.believed(&tenant, now) {
            Some(over) => over,
            None => {
                let asked = self.quotas.ask((&self.questions, peer), &tenant, now, async || {
                    usage::over_quota_at_the_door(&self.db, tenant).await.map(Some)
                });
                asked.await.map(Option::unwrap_or_default).map_err(|error| {
                    tracing::warn!(%error, "a tenant's quotas cannot be looked up");
                    let detail = "the tenant's quotas cannot be looked up at the moment";
                    problems::unavailable("database_unavailable", detail)
                })?
            }
        };
        let tables = usage::growing(&over, Grows::ByEvents);
        if tables.is_empty() { Ok(()) } else { Err(problems::over_quota(&tables)) }
    }
}
