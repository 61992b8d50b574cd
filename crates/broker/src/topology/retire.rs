//! Wait queues of rungs that the ladder does not have any more: emptied by time, then deleted.

use super::{RETRY, Topology, WAIT_PREFIX};
use crate::connection;
use crate::depths::depths;
use crate::management::{self, Management};
use std::collections::BTreeSet;

/// What became of wait queues that the table does not know.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Retired {
    /// Nothing comes in any more; what is in them comes out when its time is over.
    pub draining: Vec<String>,
    /// They were empty and are gone.
    pub deleted: Vec<String>,
}

/// Why wait queues could not be retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The management API: the credentials need to be those of an administrator.
    #[error("cannot retire wait queues: {0}")]
    Management(#[from] management::Error),
    /// The broker could not be asked how much a queue holds.
    #[error("cannot look into wait queues: {0}")]
    Connection(#[from] connection::Error),
}

impl Topology {
    /// Takes wait queues that the table does not know out of use: unbinds those that are bound, and deletes those that
    /// were unbound before and are empty. Repeated rounds end with every such queue deleted.
    ///
    /// Quorum queues cannot be deleted on condition, hence the order: what is unbound gets nothing more, so that one
    /// which is empty then stays so. `url` is for the exact count, since the management API's is up to five seconds old;
    /// dead letters that cannot leave are in the latter only, so both have to be zero.
    ///
    /// # Errors
    ///
    /// [`RetireError`]; what was done until then is done.
    pub async fn retire(
        &self,
        management: &Management,
        vhost: &str,
        url: &str,
    ) -> Result<Retired, RetireError> {
        let known: BTreeSet<&str> = self.queues().map(|queue| queue.name.as_ref()).collect();
        let bindings = management.bindings(vhost).await?;
        let mut retired = Retired::default();
        for queue in management.queues(vhost).await? {
            if !queue.name.starts_with(WAIT_PREFIX) || known.contains(queue.name.as_str()) {
                continue;
            }
            let mut bound = false;
            for binding in bindings.iter().filter(|one| one.source == RETRY && one.destination == queue.name)
            {
                management.unbind(vhost, binding).await?;
                bound = true;
            }
            if !bound && queue.is_empty() && is_drained(url, &queue.name).await? {
                management.delete_queue(vhost, &queue.name).await?;
                retired.deleted.push(queue.name);
            } else {
                retired.draining.push(queue.name);
            }
        }
        Ok(retired)
    }
}

/// Whether a queue exists and holds nothing that waits, at this moment.
async fn is_drained(url: &str, queue: &str) -> Result<bool, connection::Error> {
    let found = depths(url, &[queue.to_owned()]).await?;
    Ok(found.get(queue).is_some_and(|depth| depth.ready == 0))
}
