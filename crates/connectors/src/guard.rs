//! The outbound guard: where a request may go. It knows addresses, not intentions: whatever a URL says, a redirect
//! answers or a name resolves to, a connection is made to a public address, or to what the deployment allows.

mod address;
mod forbidden;
mod name;
mod resolver;
mod target;

pub use forbidden::Forbidden;
pub(crate) use resolver::{GuardedResolver, ResolveFailed};
pub use resolver::{Resolve, Resolved, SystemResolver};
pub(crate) use target::Target;

use automation_domain::effect::Request;
use automation_domain::outbound::AllowList;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Host and port that a request is counted by; `None` for what the guard refuses to read.
pub fn destination(request: &Request) -> Option<String> {
    match request {
        Request::Http(request) => of_url(&request.url),
    }
}

/// In the one form that the guard connects to: any spelling of an address or a name, and the port that a scheme implies.
fn of_url(url: &str) -> Option<String> {
    let target = Target::parse(url).ok()?;
    Some(match target.address().map(|address| address.to_canonical()) {
        Some(address) => SocketAddr::new(address, target.port()).to_string(),
        None => format!("{}:{}", target.name(), target.port()),
    })
}

/// Decides about URLs and addresses.
#[derive(Debug)]
pub(crate) struct Guard {
    allow: AllowList,
    refused_ports: BTreeSet<u16>,
}

impl Guard {
    pub(crate) fn new(allow: AllowList, refused_ports: BTreeSet<u16>) -> Self {
        Self { allow, refused_ports }
    }

    /// Ports for which the deployment allows something.
    pub(crate) fn allowed_ports(&self) -> BTreeSet<u16> {
        self.allow.ports()
    }

    /// Checks everything that a URL says by itself. What a name resolves to is checked when it is connected to.
    pub(crate) fn check(&self, url: &str) -> Result<Target, Forbidden> {
        let target = Target::parse(url)?;
        self.check_target(&target)?;
        Ok(target)
    }

    fn check_target(&self, target: &Target) -> Result<(), Forbidden> {
        let port = target.port();
        match target.address() {
            // A literal never meets the resolver: it is decided here.
            Some(ip) if self.allow.contains(ip, port) => Ok(()),
            Some(ip) => {
                self.check_port(port)?;
                match address::range_of(ip) {
                    Some(range) => Err(Forbidden::Address { range: range.name() }),
                    None => Ok(()),
                }
            }
            None if self.allow.names(target.name(), port) => Ok(()),
            None => {
                name::check(target.name())?;
                self.check_port_of_name(port)
            }
        }
    }

    fn check_port(&self, port: u16) -> Result<(), Forbidden> {
        if self.refused_ports.contains(&port) { Err(Forbidden::Port { port }) } else { Ok(()) }
    }

    /// A name may turn out to have an address that is allowed at this port, so the port alone does not decide then.
    fn check_port_of_name(&self, port: u16) -> Result<(), Forbidden> {
        if self.allow.ports().contains(&port) { Ok(()) } else { self.check_port(port) }
    }

    /// Checks what a name resolved to, just before it is connected to. One bad address refuses the whole answer: a name
    /// with public and private addresses is a mistake or an attack.
    ///
    /// Without a port, nothing but public addresses will do.
    pub(crate) fn check_resolved(
        &self,
        host: &str,
        port: Option<u16>,
        addresses: &[IpAddr],
    ) -> Result<(), Forbidden> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let fine = |ip: &IpAddr| match port {
            None => address::range_of(*ip).is_none(),
            Some(port) => self.may_connect(host, port, *ip),
        };
        if addresses.iter().all(fine) { Ok(()) } else { Err(Forbidden::ResolvedAddress) }
    }

    fn may_connect(&self, host: &str, port: u16, ip: IpAddr) -> bool {
        if self.allow.contains(ip, port) {
            return true;
        }
        match address::range_of(ip) {
            None => !self.refused_ports.contains(&port) || self.allow.names(host, port),
            // A name that is allowed may be private. It never becomes the cloud's metadata, whatever it resolves to.
            Some(range) => range.is_private() && self.allow.names(host, port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow: &[&str]) -> Guard {
        let entries = allow.iter().map(|entry| entry.parse().unwrap()).collect();
        Guard::new(AllowList::new(entries), BTreeSet::from([25]))
    }

    fn resolved(guard: &Guard, host: &str, port: Option<u16>, addresses: &[&str]) -> bool {
        let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        guard.check_resolved(host, port, &addresses).is_ok()
    }

    #[test]
    fn a_destination_is_counted_once_however_it_is_written() {
        for (urls, expected) in [
            (
                &[
                    "https://crm.example.com/v1/contacts?id=7",
                    "https://CRM.Example.com:443",
                    "https://crm.example.com.",
                    "https://ｃrm.example.com/#top",
                    "http://crm.example.com:443/",
                ][..],
                "crm.example.com:443",
            ),
            (&["http://bücher.example", "http://xn--bcher-kva.example:80/"], "xn--bcher-kva.example:80"),
            (
                &["http://8.8.8.8/", "http://0x08080808", "http://8.8.2056:80", "http://[::ffff:8.8.8.8]"],
                "8.8.8.8:80",
            ),
            (
                &[
                    "https://[2606:4700::1]/",
                    "https://[2606:4700:0:0:0:0:0:1]:443",
                    "https://[2606:4700::0001]",
                ],
                "[2606:4700::1]:443",
            ),
            (&["https://crm.example.com:8443"], "crm.example.com:8443"),
        ] {
            for url in urls {
                assert_eq!(of_url(url).as_deref(), Some(expected), "{url}");
            }
        }
        assert_eq!(of_url("http://user:secret@crm.example.com"), None);
    }

    #[test]
    fn public_destinations_are_fine() {
        for url in [
            "https://example.com/a?b=c",
            "http://example.com:8080",
            "https://8.8.8.8",
            "https://[2606:4700::1]/",
        ] {
            assert!(guard(&[]).check(url).is_ok(), "{url}");
        }
        assert!(resolved(&guard(&[]), "example.com", None, &["8.8.8.8", "2606:4700::1"]));
    }

    #[test]
    fn one_bad_address_refuses_the_whole_answer() {
        assert!(!resolved(&guard(&[]), "example.com", None, &["8.8.8.8", "10.0.0.1"]));
        assert!(!resolved(&guard(&[]), "example.com", None, &["2606:4700::1", "::1"]));
    }

    #[test]
    fn an_allowed_name_may_be_private_but_never_metadata() {
        let guard = guard(&["crm.internal:8080"]);
        assert!(guard.check("http://crm.internal:8080/").is_ok());
        assert!(guard.check("http://crm.internal./").is_err());
        assert!(resolved(&guard, "crm.internal", Some(8080), &["10.0.0.1"]));
        assert!(resolved(&guard, "crm.internal.", Some(8080), &["127.0.0.1", "fd00::1"]));
        for ip in ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "168.63.129.16", "fd00:ec2::254"] {
            assert!(!resolved(&guard, "crm.internal", Some(8080), &[ip]), "{ip}");
        }
        assert!(!resolved(&guard, "crm.internal", Some(443), &["10.0.0.1"]));
        assert!(!resolved(&guard, "other.example", Some(8080), &["10.0.0.1"]));
        assert!(!resolved(&guard, "crm.internal", None, &["10.0.0.1"]));
    }

    #[test]
    fn an_allowed_network_is_allowed_by_any_name_or_none() {
        let guard = guard(&["10.1.0.0/16:443", "169.254.169.254:80"]);
        assert!(guard.check("https://10.1.2.3/").is_ok());
        assert!(guard.check("http://169.254.169.254/").is_ok());
        assert!(guard.check("https://10.2.0.1/").is_err());
        assert!(guard.check("http://10.1.2.3/").is_err());
        assert!(resolved(&guard, "any.example", Some(443), &["10.1.9.9"]));
        assert!(!resolved(&guard, "any.example", Some(443), &["10.2.9.9"]));
    }

    #[test]
    fn refused_ports_open_for_what_is_allowed_alone() {
        let guard = guard(&["relay.internal:25", "10.0.0.9:25"]);
        assert!(guard.check("http://relay.internal:25/").is_ok());
        assert!(guard.check("http://10.0.0.9:25/").is_ok());
        assert_eq!(guard.check("http://8.8.8.8:25/").err(), Some(Forbidden::Port { port: 25 }));
        assert!(!resolved(&guard, "mail.example", Some(25), &["8.8.8.8"]));
        assert!(resolved(&guard, "relay.internal", Some(25), &["8.8.8.8"]));
    }
}
