//! Who is at the other end, as far as an address tells: what limits count by, before anything is proven.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where proxies say on whose behalf they call, the nearest hop last.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// What a customer of a network is given of IPv6 at least; the rest of an address is the caller's to choose.
const IPV6_PEER: u128 = !0 << 64;

/// An IPv4 address, or the network of an IPv6 address (/64).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Peer(IpAddr);

impl Peer {
    /// The peer that has this address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_PEER)),
        })
    }
}

/// Proxies whose word about their callers counts.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// The proxies of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether this is the address of one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The peer of a request that came over a connection from `connected`: the last hop that is none of our proxies. What a
    /// caller itself writes into the header stands before that, and is not looked at.
    pub fn peer(&self, connected: IpAddr, headers: &HeaderMap) -> Peer {
        let mut nearest = connected;
        let values: Vec<&str> =
            headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            if !self.trusts(nearest) {
                break;
            }
            let Some(address) = address(hop.trim()) else { break };
            nearest = address;
        }
        Peer::of(nearest)
    }
}

/// Some proxies write the port too.
fn address(hop: &str) -> Option<IpAddr> {
    hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_is_an_address_or_a_network_of_ipv6() {
        assert_eq!(Peer::of(ip("2001:db8:1:2:3::4")), Peer::of(ip("2001:db8:1:2:ffff::1")));
        assert_ne!(Peer::of(ip("2001:db8:1:2::1")), Peer::of(ip("2001:db8:1:3::1")));
        assert_eq!(Peer::of(ip("::ffff:192.0.2.1")), Peer::of(ip("192.0.2.1")));
        assert_ne!(Peer::of(ip("192.0.2.1")), Peer::of(ip("192.0.2.2")));
    }

    #[test]
    fn only_what_trusted_proxies_say_counts() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        let peer = |connected: &str, forwarded: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            proxies.peer(ip(connected), &headers)
        };
        let caller = Peer::of(ip("192.0.2.7"));
        assert_eq!(peer("192.0.2.7", &["198.51.100.1"]), caller, "nobody speaks for themselves");
        assert_eq!(peer("10.0.0.1", &["192.0.2.7"]), caller);
        assert_eq!(peer("::1", &["192.0.2.7:4711"]), caller);
        assert_eq!(peer("10.0.0.1", &["198.51.100.1, 192.0.2.7, 10.9.9.9"]), caller);
        assert_eq!(peer("10.0.0.1", &["198.51.100.1", "192.0.2.7, 10.9.9.9"]), caller, "in two headers");
        assert_eq!(peer("10.0.0.1", &["192.0.2.7, nonsense"]), Peer::of(ip("10.0.0.1")));
        assert_eq!(peer("10.0.0.1", &[]), Peer::of(ip("10.0.0.1")));
    }
}
