//! Which addresses are not public. Sources: the IANA special-purpose address registries for IPv4 and IPv6, and the
//! metadata services of the large clouds.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of address that is not public.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Range {
    /// This machine.
    Loopback,
    /// A private network, or a provider's.
    Private,
    /// The link: also where clouds have their metadata.
    LinkLocal,
    /// A cloud's metadata outside the link's range.
    Metadata,
    /// Several receivers.
    Multicast,
    /// An IPv4 address in the clothes of IPv6: what is connected to in the end is someone else's choice.
    Translated,
    /// Everything else that is nobody's public address.
    Reserved,
}

impl Range {
    /// For people, as the rest of a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a metadata service",
            Self::Multicast => "a multicast address",
            Self::Translated => "an address that is translated to another",
            Self::Reserved => "a reserved address",
        }
    }

    /// Whether a deployment may mean it when it allows a name.
    pub(super) fn is_private(self) -> bool {
        match self {
            Self::Loopback | Self::Private => true,
            Self::LinkLocal | Self::Metadata | Self::Multicast | Self::Translated | Self::Reserved => false,
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, third: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0), prefix)
}

/// The first that contains an address counts.
const V4: [(Ipv4Net, Range); 21] = [
    (v4(168, 63, 129, 16, 32), Range::Metadata),   // Azure
    (v4(100, 100, 100, 200, 32), Range::Metadata), // Alibaba Cloud
    (v4(192, 0, 0, 192, 32), Range::Metadata),     // Oracle Cloud
    (v4(127, 0, 0, 0, 8), Range::Loopback),
    (v4(10, 0, 0, 0, 8), Range::Private),
    (v4(172, 16, 0, 0, 12), Range::Private),
    (v4(192, 168, 0, 0, 16), Range::Private),
    (v4(100, 64, 0, 0, 10), Range::Private), // shared by a provider's customers
    (v4(169, 254, 0, 0, 16), Range::LinkLocal),
    (v4(224, 0, 0, 0, 4), Range::Multicast),
    (v4(0, 0, 0, 0, 8), Range::Reserved), // "this network": 0.0.0.0 is this machine
    (v4(192, 0, 0, 0, 24), Range::Reserved),
    (v4(192, 0, 2, 0, 24), Range::Reserved), // documentation
    (v4(192, 31, 196, 0, 24), Range::Reserved),
    (v4(192, 52, 193, 0, 24), Range::Reserved),
    (v4(192, 88, 99, 0, 24), Range::Reserved), // 6to4 relays
    (v4(192, 175, 48, 0, 24), Range::Reserved),
    (v4(198, 18, 0, 0, 15), Range::Reserved),   // benchmarks
    (v4(198, 51, 100, 0, 24), Range::Reserved), // documentation
    (v4(203, 0, 113, 0, 24), Range::Reserved),  // documentation
    (v4(240, 0, 0, 0, 4), Range::Reserved),     // with the broadcast address
];

const V6: [(Ipv6Net, Range); 13] = [
    (v6(0xfd00, 0x0ec2, 0, 32), Range::Metadata), // Amazon: fd00:ec2::254 and its neighbours
    (v6(0xfc00, 0, 0, 7), Range::Private),        // unique local
    (v6(0xfe80, 0, 0, 10), Range::LinkLocal),
    (v6(0xfec0, 0, 0, 10), Range::Private), // site-local, deprecated
    (v6(0xff00, 0, 0, 8), Range::Multicast),
    (v6(0x0064, 0xff9b, 0, 96), Range::Translated), // NAT64
    (v6(0x0064, 0xff9b, 1, 48), Range::Translated), // NAT64, local use
    (v6(0x2002, 0, 0, 16), Range::Translated),      // 6to4
    (v6(0x2001, 0, 0, 32), Range::Translated),      // Teredo
    (v6(0x2001, 0, 0, 23), Range::Reserved),        // protocol assignments
    (v6(0x2001, 0x0db8, 0, 32), Range::Reserved),   // documentation
    (v6(0x3fff, 0, 0, 20), Range::Reserved),        // documentation
    (v6(0x2620, 0x004f, 0x8000, 48), Range::Reserved),
];

/// Only from here are addresses given to anyone: the rest is refused without being listed.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// What an address is if it is not public.
pub(super) fn range_of(ip: IpAddr) -> Option<Range> {
    match ip {
        IpAddr::V4(ip) => range_of_v4(ip),
        IpAddr::V6(ip) => range_of_v6(ip),
    }
}

fn range_of_v4(ip: Ipv4Addr) -> Option<Range> {
    V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, range)| *range)
}

fn range_of_v6(ip: Ipv6Addr) -> Option<Range> {
    if ip.is_loopback() {
        return Some(Range::Loopback);
    }
    // A mapped address is connected to as IPv4.
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return range_of_v4(mapped);
    }
    // An old form of the same, which some systems still connect to as IPv4.
    if let [0, 0, 0, 0, 0, 0, high, low] = ip.segments()
        && high != 0
    {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return Some(range_of_v4(Ipv4Addr::new(a, b, c, d)).unwrap_or(Range::Translated));
    }
    match V6.iter().find(|(net, _)| net.contains(&ip)) {
        Some((_, range)) => Some(*range),
        None if GLOBAL_V6.contains(&ip) => None,
        None => Some(Range::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(ip: &str) -> Option<Range> {
        range_of(ip.parse().unwrap())
    }

    #[test]
    fn the_neighbours_of_every_range_are_public() {
        for ip in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2620:4f:7fff::",
            "3ffe:ffff::",
            "3fff:1000::",
            "::ffff:8.8.8.8",
            "2606:4700:4700::1111",
        ] {
            assert_eq!(range(ip), None, "{ip}");
        }
    }

    #[test]
    fn every_special_address_has_its_range() {
        for (ip, expected) in [
            ("0.0.0.0", Range::Reserved),
            ("0.255.255.255", Range::Reserved),
            ("10.0.0.0", Range::Private),
            ("10.255.255.255", Range::Private),
            ("100.64.0.0", Range::Private),
            ("100.127.255.255", Range::Private),
            ("100.100.100.200", Range::Metadata),
            ("127.0.0.1", Range::Loopback),
            ("127.255.255.255", Range::Loopback),
            ("168.63.129.16", Range::Metadata),
            ("169.254.169.254", Range::LinkLocal),
            ("172.16.0.0", Range::Private),
            ("172.31.255.255", Range::Private),
            ("192.0.0.8", Range::Reserved),
            ("192.0.0.192", Range::Metadata),
            ("192.168.255.255", Range::Private),
            ("198.19.255.255", Range::Reserved),
            ("224.0.0.1", Range::Multicast),
            ("239.255.255.255", Range::Multicast),
            ("255.255.255.255", Range::Reserved),
            ("::", Range::Reserved),
            ("::1", Range::Loopback),
            ("::2", Range::Reserved),
            ("::127.0.0.1", Range::Loopback),
            ("::8.8.8.8", Range::Translated),
            ("::ffff:127.0.0.1", Range::Loopback),
            ("::ffff:169.254.169.254", Range::LinkLocal),
            ("::ffff:0:127.0.0.1", Range::Reserved),
            ("64:ff9b::10.0.0.1", Range::Translated),
            ("64:ff9b::8.8.8.8", Range::Translated),
            ("64:ff9b:1::1", Range::Translated),
            ("100::1", Range::Reserved),
            ("2001::1", Range::Translated),
            ("2001:2::1", Range::Reserved),
            ("2001:10::1", Range::Reserved),
            ("2001:20::1", Range::Reserved),
            ("2001:db8::1", Range::Reserved),
            ("2002:7f00:1::", Range::Translated),
            ("3fff::1", Range::Reserved),
            ("5f00::1", Range::Reserved),
            ("fc00::1", Range::Private),
            ("fd12:3456::1", Range::Private),
            ("fd00:ec2::254", Range::Metadata),
            ("fe80::1", Range::LinkLocal),
            ("febf::1", Range::LinkLocal),
            ("fec0::1", Range::Private),
            ("ff02::1", Range::Multicast),
        ] {
            assert_eq!(range(ip), Some(expected), "{ip}");
        }
    }
}
