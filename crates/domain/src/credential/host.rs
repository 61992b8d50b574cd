//! To whom a credential may be sent.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A host and port that a credential may be sent to: `api.example.com`, `*.example.com:8443`, `[2001:db8::1]:443`.
///
/// Without a port it is 443. The connection has to be `https`, unless the pattern begins with `http://` (port 80): a secret
/// crosses a network in the clear only where someone wrote so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AllowedHost {
    tls: bool,
    /// Whether any name below `host` is meant, and not `host` itself.
    below: bool,
    /// In lower case, without a trailing dot; an IPv6 address without brackets.
    host: String,
    port: u16,
}

impl AllowedHost {
    /// Whether a URL of this scheme, host and port is meant. `host` as a URL parser gives it: in lower case, names in
    /// ASCII, addresses in their usual form.
    pub fn covers(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.strip_suffix('.').unwrap_or(host);
        let host_fits = if self.below {
            host.strip_suffix(self.host.as_str()).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        } else {
            host == self.host
        };
        scheme == if self.tls { "https" } else { "http" } && port == self.port && host_fits
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let (tls, rest) = match lower.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(format!("\"{text}\" begins with neither https:// nor http://")),
            None => (true, lower.as_str()),
        };
        let (host, port) = split_port(rest).ok_or_else(|| format!("\"{text}\" has no valid port"))?;
        let (below, host) = match host.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, host),
        };
        let host = canonical(host, below).ok_or_else(|| {
            format!(
                "\"{text}\" is not a host such as api.example.com, *.example.com:8443 or [2001:db8::1]:443"
            )
        })?;
        Ok(Self { tls, below, host, port: port.unwrap_or(if tls { 443 } else { 80 }) })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "" } else { "http://" };
        let below = if self.below { "*." } else { "" };
        if self.host.contains(':') {
            write!(f, "{scheme}[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}{below}{}:{}", self.host, self.port)
        }
    }
}

/// Host and port of `host`, `host:port`, `[address]` or `[address]:port`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |port: &str| port.parse::<u16>().ok().filter(|port| *port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(digits) => Some((address, Some(port(digits)?))),
            None => rest.is_empty().then_some((address, None)),
        };
    }
    match text.split_once(':') {
        Some((host, digits)) => Some((host, Some(port(digits)?))),
        None => Some((text, None)),
    }
}

/// The host as a URL parser would write it; `None` when it is none.
fn canonical(host: &str, below: bool) -> Option<String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return (!below).then(|| address.to_string());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            })
    };
    // A name that ends in a number is read as an address by URL parsers, in one of its many spellings.
    let last = host.rsplit('.').next()?;
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    (host.len() <= 253 && host.split('.').all(label) && !numeric).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> AllowedHost {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn hosts_have_one_form() {
        for (text, form) in [
            ("API.example.com", "api.example.com:443"),
            ("https://api.example.com.", "api.example.com:443"),
            ("api.example.com:8443", "api.example.com:8443"),
            ("http://api.example.com", "http://api.example.com:80"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("*.example.com", "*.example.com:443"),
            ("[2001:DB8:0::1]:444", "[2001:db8::1]:444"),
        ] {
            let parsed = host(text);
            assert_eq!(parsed.to_string(), form);
            assert_eq!(host(form), parsed);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "a b",
            "a/b",
            "user@example.com",
            "example.com:0",
            "example.com:99999",
            "example.com:",
            "ftp://example.com",
            "https://example.com/path",
            "127.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "*.10.0.0.1",
            "[::1",
            "[::1]x",
            "[1.2.3.4]:443",
            "münchen.de",
            "a..b",
        ] {
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
    }

    #[test]
    fn scheme_host_and_port_must_all_fit() {
        let exact = host("api.example.com");
        assert!(exact.covers("https", "api.example.com", 443));
        assert!(exact.covers("https", "api.example.com.", 443));
        for (scheme, name, port) in [
            ("http", "api.example.com", 443),
            ("https", "api.example.com", 8443),
            ("https", "example.com", 443),
            ("https", "evil-api.example.com", 443),
            ("https", "api.example.com.evil.com", 443),
        ] {
            assert!(!exact.covers(scheme, name, port), "{scheme} {name} {port}");
        }
        let below = host("*.example.com");
        assert!(below.covers("https", "a.b.example.com", 443) && below.covers("https", "a.example.com", 443));
        for name in ["example.com", ".example.com", "evilexample.com", "example.com.evil.com"] {
            assert!(!below.covers("https", name, 443), "{name}");
        }
        assert!(host("[::1]:443").covers("https", "[::1]", 443));
        assert!(host("http://127.0.0.1:90").covers("http", "127.0.0.1", 90));
    }
}
