//! Which names are never public, whatever they resolve to.

use super::Forbidden;

/// Names of metadata services.
const METADATA: [&str; 5] =
    ["metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"];

/// Last labels that are kept for private networks and tests: RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`.
const PRIVATE_ENDINGS: [&str; 12] = [
    "corp",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "onion",
    "private",
    "test",
];

/// Checks a name in lower case, without a trailing dot.
pub(super) fn check(name: &str) -> Result<(), Forbidden> {
    if METADATA.contains(&name) {
        return Err(Forbidden::Name { what: "a metadata service" });
    }
    if ends_with(name, "localhost") || ["ip6-localhost", "ip6-loopback"].contains(&name) {
        return Err(Forbidden::Name { what: "this machine" });
    }
    // The resolver would look for a single label in the network's own domains.
    if !name.contains('.') || PRIVATE_ENDINGS.iter().any(|ending| ends_with(name, ending)) {
        return Err(Forbidden::Name { what: "a host of a private network" });
    }
    Ok(())
}

/// Whether a name is this domain or below it.
fn ends_with(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_private_networks_are_refused() {
        for name in [
            "localhost",
            "a.localhost",
            "localhost.localdomain",
            "ip6-localhost",
            "metadata.google.internal",
            "metadata.goog",
            "instance-data",
            "redis",
            "db.internal",
            "printer.local",
            "nas.home.arpa",
            "git.corp",
        ] {
            assert!(check(name).is_err(), "{name}");
        }
        for name in
            ["example.com", "notlocalhost.com", "internal.example.com", "mylocal.io", "test.example.org"]
        {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }
}
