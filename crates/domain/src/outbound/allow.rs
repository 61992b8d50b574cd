//! Destinations that a deployment allows although they are not public.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A destination that is allowed: always with its port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AllowEntry {
    /// A host by its name: `crm.internal:8080`.
    Name {
        /// In lower case, without a trailing dot.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Addresses: `10.1.0.0/16:443`, `[fd00::/8]:443`, or one alone, `127.0.0.1:8080`.
    Network {
        /// The first address.
        address: IpAddr,
        /// Bits that all addresses share.
        prefix: u8,
        /// Their port.
        port: u16,
    },
}

/// What a deployment allows; empty by default.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AllowList(Vec<AllowEntry>);

impl AllowList {
    /// A list of these.
    pub fn new(entries: Vec<AllowEntry>) -> Self {
        Self(entries)
    }

    /// Whether a host is allowed by its name, given in lower case and without a trailing dot.
    pub fn names(&self, name: &str, at: u16) -> bool {
        self.0.iter().any(|entry| match entry {
            AllowEntry::Name { host, port } => *port == at && host == name,
            AllowEntry::Network { .. } => false,
        })
    }

    /// Whether an address is allowed.
    pub fn contains(&self, ip: IpAddr, at: u16) -> bool {
        self.0.iter().any(|entry| match entry {
            AllowEntry::Network { address, prefix, port } => *port == at && shares(*address, ip, *prefix),
            AllowEntry::Name { .. } => false,
        })
    }

    /// Every port that an entry names.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.0
            .iter()
            .map(|entry| match entry {
                AllowEntry::Name { port, .. } | AllowEntry::Network { port, .. } => *port,
            })
            .collect()
    }
}

/// Whether two addresses of one family begin with the same `prefix` bits.
fn shares(network: IpAddr, ip: IpAddr, prefix: u8) -> bool {
    let differ = match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => u128::from(network.to_bits() ^ ip.to_bits()) << 96,
        (IpAddr::V6(network), IpAddr::V6(ip)) => network.to_bits() ^ ip.to_bits(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differ.leading_zeros() >= u32::from(prefix)
}

impl FromStr for AllowEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let (host, port) = lower.rsplit_once(':').ok_or_else(|| format!("\"{text}\" names no port"))?;
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("\"{text}\" has no valid port"))?;
        network(host, port).or_else(|| name(host, port)).ok_or_else(|| {
            format!("\"{text}\" is not like crm.internal:8080, 10.1.0.0/16:443 or [fd00::/8]:443")
        })
    }
}

fn network(text: &str, port: u16) -> Option<AllowEntry> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (address, prefix) = match bare.unwrap_or(text).split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (bare.unwrap_or(text), None),
    };
    let (address, bits) = if bare.is_some() {
        (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), 128)
    } else {
        (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), 32)
    };
    let prefix = prefix.unwrap_or(bits);
    (prefix <= bits).then_some(AllowEntry::Network { address, prefix, port })
}

fn name(text: &str, port: u16) -> Option<AllowEntry> {
    let host = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            })
    };
    let last = host.rsplit('.').next()?;
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    (host.split('.').all(label) && !numeric).then(|| AllowEntry::Name { host: host.to_owned(), port })
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Network { address: IpAddr::V4(address), prefix, port } => {
                write!(f, "{address}/{prefix}:{port}")
            }
            Self::Network { address: IpAddr::V6(address), prefix, port } => {
                write!(f, "[{address}/{prefix}]:{port}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowList {
        AllowList::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
    }

    #[test]
    fn entries_have_one_form() {
        for (text, form) in [
            ("CRM.internal.:8080", "crm.internal:8080"),
            ("redis:6379", "redis:6379"),
            ("10.1.0.0/16:443", "10.1.0.0/16:443"),
            ("127.0.0.1:80", "127.0.0.1/32:80"),
            ("[FD00::/8]:443", "[fd00::/8]:443"),
            ("[::1]:443", "[::1/128]:443"),
        ] {
            let entry: AllowEntry = text.parse().unwrap();
            assert_eq!(entry.to_string(), form);
            assert_eq!(form.parse(), Ok(entry));
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for text in [
            "",
            "crm.internal",
            "crm.internal:",
            "crm.internal:0",
            "crm.internal:*",
            "*.internal:80",
            "*:80",
            ":80",
            "10.0.0.0/33:80",
            "10.0.0.0/x:80",
            "[fd00::/129]:80",
            "fd00::/8:80",
            "[10.0.0.0/8]:80",
            "10.0:80",
            "0x7f.1:80",
            "http://crm:80",
        ] {
            assert!(text.parse::<AllowEntry>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_entry_means_its_port_alone() {
        let allow = list(&["crm.internal:8080", "10.1.0.0/16:443", "[fd00::/8]:443", "127.0.0.1:9000"]);
        assert!(allow.names("crm.internal", 8080));
        assert!(!allow.names("crm.internal", 443) && !allow.names("x.crm.internal", 8080));
        for (ip, port, expected) in [
            ("10.1.255.255", 443, true),
            ("10.2.0.0", 443, false),
            ("10.1.0.1", 80, false),
            ("fdff::1", 443, true),
            ("fe00::1", 443, false),
            ("127.0.0.1", 9000, true),
            ("127.0.0.2", 9000, false),
            ("::ffff:10.1.0.1", 443, false),
        ] {
            assert_eq!(allow.contains(ip.parse().unwrap(), port), expected, "{ip}:{port}");
        }
        assert_eq!(allow.ports(), BTreeSet::from([443, 8080, 9000]));
        assert!(list(&["0.0.0.0/0:80"]).contains("8.8.8.8".parse().unwrap(), 80));
    }
}
