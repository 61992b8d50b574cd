//! Places for requests: whom besides a peer they are counted for, and what is said when there is none.

use crate::problems;
use automation_domain::id::TenantId;
use automation_http_server::pools::{self, Party};
use automation_http_server::problem::Problem;
use automation_service_kit::shares::Full;

/// Whom a place is counted for besides a peer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Name {
    /// A webhook by the id that was called, whether there is such a one or not.
    Hook(String),
    Tenant(TenantId),
}

/// Places for requests of peers, to webhooks, and of tenants.
pub(crate) type Pools = pools::Pools<Name>;

/// What a caller is told for whom there is no place.
pub(crate) fn refused(full: Full<Party<Name>>) -> Problem {
    let whose = match full {
        Full::Whole => {
            let detail = "as many requests are under way as are let in at once";
            return problems::unavailable("overloaded", detail);
        }
        Full::Share(Party::Peer(_)) => "your address",
        Full::Share(Party::Named(Name::Hook(_))) => "this webhook",
        Full::Share(Party::Named(Name::Tenant(_))) => "this tenant",
    };
    Problem::too_many_at_once(format!("as many requests of {whose} are under way as it may have at once"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_http_server::peer::Peer;
    use automation_http_server::pools::Sizes;
    use automation_service_kit::shares::Place;
    use std::net::Ipv4Addr;
    use uuid::Uuid;

    fn peer(number: u8) -> Peer {
        Peer::of(Ipv4Addr::new(192, 0, 2, number).into())
    }

    fn hook(id: &str) -> Option<Name> {
        Some(Name::Hook(id.to_owned()))
    }

    fn code(taken: Result<Place<Party<Name>>, Full<Party<Name>>>) -> Option<String> {
        taken.err().map(|full| refused(full).code().to_owned())
    }

    #[test]
    fn neither_a_peer_nor_a_webhook_nor_a_tenant_has_all_places() {
        let pools = Pools::new(Sizes { whole: 8, per_peer: 2, per_name: 3 });
        let too_many = Some("too_many_at_once".to_owned());
        let first: Vec<_> = (0..2).map(|_| pools.enter(peer(1), hook("hk_a")).unwrap()).collect();
        assert_eq!(code(pools.enter(peer(1), hook("hk_b"))), too_many, "the peer has its share");
        let second = pools.enter(peer(2), hook("hk_a")).unwrap();
        assert_eq!(code(pools.enter(peer(3), hook("hk_a"))), too_many, "so has the webhook");
        let third = pools.enter(peer(3), hook("hk_b")).unwrap();

        let tenant = |number| Name::Tenant(TenantId(Uuid::from_u128(number)));
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
