//! Places for requests: some for callers who have proved nothing, others for those who have, each with shares.

use crate::peer::Peer;
use crate::problem::Problem;
use automation_domain::id::TenantId;
use automation_service_kit::shares::{Full, Place, Shares};
use std::sync::Arc;

/// Whom a place is counted for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Party {
    Peer(Peer),
    /// A webhook by the id that was called, whether there is such a one or not.
    Hook(String),
    Tenant(TenantId),
}

/// How many requests may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Of those who have proved nothing, and again of those who have.
    pub(crate) whole: usize,
    pub(crate) per_peer: usize,
    /// Of a tenant, and of calls of a webhook.
    pub(crate) per_tenant: usize,
}

/// Both pools.
pub(crate) struct Pools {
    sizes: Sizes,
    unproven: Arc<Shares<Party>>,
    proven: Arc<Shares<Party>>,
}

impl Pools {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Self { sizes, unproven: Shares::new(sizes.whole), proven: Shares::new(sizes.whole) }
    }

    /// A place for a caller who has proved nothing so far.
    pub(crate) fn enter(&self, peer: Peer, hook: Option<&str>) -> Result<Place<Party>, Problem> {
        let mut parties = vec![(Party::Peer(peer), self.sizes.per_peer)];
        parties.extend(hook.map(|hook| (Party::Hook(hook.to_owned()), self.sizes.per_tenant)));
        self.unproven.take(parties).map_err(refused)
    }

    /// A place for one who has.
    pub(crate) fn admit(&self, peer: Peer, tenant: TenantId) -> Result<Place<Party>, Problem> {
        let parties =
            [(Party::Peer(peer), self.sizes.per_peer), (Party::Tenant(tenant), self.sizes.per_tenant)];
        self.proven.take(parties.to_vec()).map_err(refused)
    }
}

fn refused(full: Full<Party>) -> Problem {
    let whose = match full {
        Full::Whole => {
            let detail = "as many requests are under way as are let in at once";
            return Problem::unavailable("overloaded", detail);
        }
        Full::Share(Party::Peer(_)) => "your address",
        Full::Share(Party::Hook(_)) => "this webhook",
        Full::Share(Party::Tenant(_)) => "this tenant",
    };
    Problem::too_many_at_once(format!("as many requests of {whose} are under way as it may have at once"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use uuid::Uuid;

    fn peer(number: u8) -> Peer {
        Peer::of(Ipv4Addr::new(192, 0, 2, number).into())
    }

    fn code(taken: Result<Place<Party>, Problem>) -> Option<String> {
        taken.err().map(|problem| problem.code)
    }

    #[test]
    fn neither_a_peer_nor_a_webhook_nor_a_tenant_has_all_places() {
        let pools = Pools::new(Sizes { whole: 8, per_peer: 2, per_tenant: 3 });
        let too_many = Some("too_many_at_once".to_owned());
        let first: Vec<_> = (0..2).map(|_| pools.enter(peer(1), Some("hk_a")).unwrap()).collect();
        assert_eq!(code(pools.enter(peer(1), Some("hk_b"))), too_many, "the peer has its share");
        let second = pools.enter(peer(2), Some("hk_a")).unwrap();
        assert_eq!(code(pools.enter(peer(3), Some("hk_a"))), too_many, "so has the webhook");
        let third = pools.enter(peer(3), Some("hk_b")).unwrap();

        let tenant = |number| TenantId(Uuid::from_u128(number));
        let proven: Vec<_> = (1..=3).map(|number| pools.admit(peer(number), tenant(1)).unwrap()).collect();
        assert_eq!(code(pools.admit(peer(4), tenant(1))), too_many, "the tenant has its share");
        assert_eq!(code(pools.admit(peer(4), tenant(2))), None);
        drop((first, second, third, proven));
        let all: Vec<_> = (0..8).map(|number| pools.enter(peer(number), None).unwrap()).collect();
        assert_eq!(code(pools.enter(peer(9), None)), Some("overloaded".to_owned()));
        assert_eq!(
            code(pools.admit(peer(9), tenant(1))),
            None,
            "who has proved nothing holds no place of theirs"
        );
        drop(all);
    }
}
