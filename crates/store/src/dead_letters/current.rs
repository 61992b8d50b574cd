//! Whether a run can go on with another version of its workflow.

use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::TenantId;
use sqlx::Row;
use std::fmt;
use uuid::Uuid;

/// What a run needs of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// A node that it stands at.
    Node {
        /// Its id.
        node: String,
        /// The action that it has in the version which the run knows.
        action: String,
    },
    /// The trigger that started it, when it has done nothing yet.
    Trigger(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node { node, action } => write!(f, "node {node} with the action {action}"),
            Self::Trigger(trigger) => write!(f, "trigger {trigger}"),
        }
    }
}

/// The first of these nodes that is not in version `to` with the action it has in version `from`; without nodes, the
/// trigger.
pub(super) async fn missing_in(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    (from, to): (Uuid, Uuid),
    nodes: &[&str],
    trigger: &str,
) -> Result<Option<Missing>, Error> {
    if nodes.is_empty() {
        let exists: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM workflow_triggers WHERE tenant_id = $1 AND version_id = $2 AND trigger_id = $3)",
        )
        .bind(tenant.0)
        .bind(to)
        .bind(trigger)
        .fetch_one(connection.sql())
        .await?;
        return Ok((!exists).then(|| Missing::Trigger(trigger.to_owned())));
    }
    let missing = sqlx::query(
        "SELECT u.node, coalesce(f.action, '') AS action
           FROM unnest($4::text[]) AS u (node)
           LEFT JOIN workflow_nodes f ON f.tenant_id = $1 AND f.version_id = $2 AND f.node_id = u.node
           LEFT JOIN workflow_nodes t ON t.tenant_id = $1 AND t.version_id = $3 AND t.node_id = u.node
          WHERE t.action IS DISTINCT FROM f.action OR t.action IS NULL
          ORDER BY u.node LIMIT 1",
    )
    .bind(tenant.0)
    .bind(from)
    .bind(to)
    .bind(nodes)
    .fetch_optional(connection.sql())
    .await?;
    missing
        .map(|row| Ok(Missing::Node { node: row.try_get("node")?, action: row.try_get("action")? }))
        .transpose()
}
