//! A URL taken apart.

use super::Forbidden;
use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest URL, in bytes.
const URL_BYTES: usize = 8 * 1024;

/// A URL that a request could be sent to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    url: Url,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug)]
enum Host {
    Address(IpAddr),
    /// In lower case, in ASCII, without a trailing dot.
    Name(String),
}

impl Target {
    /// Reads a URL. The parser brings every spelling of an address (`127.1`, `0x7f000001`, `０.0.0.0`) to its usual form.
    pub(super) fn parse(text: &str) -> Result<Self, Forbidden> {
        // The parser would drop or mend these in silence, and others read them differently.
        let authority_and_path = text.split(['?', '#']).next().unwrap_or_default();
        if text.len() > URL_BYTES
            || text.chars().any(|c| c.is_control() || c.is_whitespace())
            || authority_and_path.contains('\\')
        {
            return Err(Forbidden::Url);
        }
        let url = Url::parse(text).map_err(|_| Forbidden::Url)?;
        Self::of_url(url, authority_and_path)
    }

    /// Where a redirect leads: relative to this URL.
    pub(crate) fn join(&self, location: &str) -> Result<Url, Forbidden> {
        if location.len() > URL_BYTES
            || location.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err(Forbidden::Url);
        }
        self.url.join(location).map_err(|_| Forbidden::Url)
    }

    fn of_url(mut url: Url, text: &str) -> Result<Self, Forbidden> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Forbidden::Scheme);
        }
        // `http://@host` has neither user nor password, and no good reason.
        let authority =
            text.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
            return Err(Forbidden::Userinfo);
        }
        let host = url.host_str().ok_or(Forbidden::Url)?;
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or(Forbidden::Url)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(bare) => Host::Address(IpAddr::V6(bare.parse::<Ipv6Addr>().map_err(|_| Forbidden::Url)?)),
            None => match host.parse::<Ipv4Addr>() {
                Ok(address) => Host::Address(IpAddr::V4(address)),
                Err(_) => Host::Name(name(host)?),
            },
        };
        // Certificates know no trailing dot.
        if let Host::Name(name) = &host {
            url.set_host(Some(name)).map_err(|_| Forbidden::Url)?;
        }
        Ok(Self { url, host, port })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address that the URL names, if it names one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        }
    }

    /// The name of the host; empty for an address.
    pub(super) fn name(&self) -> &str {
        match &self.host {
            Host::Address(_) => "",
            Host::Name(name) => name,
        }
    }

    /// The host as it is written in URLs.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether both have the same scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.url.scheme() == other.url.scheme() && self.host() == other.host() && self.port == other.port
    }
}

fn name(host: &str) -> Result<String, Forbidden> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(Forbidden::Url);
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0x7f000001",
            "0X7F.0.0.1",
            "017700000001",
            "0177.0.0.1",
            "2130706433",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.０.０.１",
            "127。0。0。1",
        ] {
            let target = Target::parse(&format!("http://{host}/")).unwrap();
            assert_eq!(target.address(), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), "{host}");
        }
    }

    #[test]
    fn names_have_one_form() {
        for url in ["http://EXAMPLE.com", "http://example.com.", "http://ｅxample.com/"] {
            assert_eq!(Target::parse(url).unwrap().name(), "example.com", "{url}");
        }
        assert_eq!(Target::parse("https://a.example/b").unwrap().port(), 443);
    }

    #[test]
    fn what_readers_could_disagree_about_is_refused() {
        for url in [
            "",
            "example.com",
            "/path",
            "//example.com/",
            "http://",
            "http:///",
            "http://exa mple.com/",
            "http://a\tb.com",
            "http://example.com\\@127.0.0.1/",
            "http:\\\\example.com",
            "http://example..com/",
            "http://.example.com/",
            "http://example.com../",
            "http://[::1%25eth0]/",
            "http://[::1/",
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
            "http://example.com:0/",
            "http://example.com:99999/",
            "http://exa%00mple.com/",
            " http://example.com",
        ] {
            assert_eq!(Target::parse(url).err(), Some(Forbidden::Url), "{url}");
        }
        for url in ["ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "data:text/plain,x"]
        {
            assert_eq!(Target::parse(url).err(), Some(Forbidden::Scheme), "{url}");
        }
        for url in [
            "http://user@example.com/",
            "http://user:pw@example.com/",
            "http://@example.com/",
            "http://:@a.com",
        ] {
            assert_eq!(Target::parse(url).err(), Some(Forbidden::Userinfo), "{url}");
        }
    }
}
