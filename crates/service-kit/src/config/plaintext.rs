//! Connections without TLS to another host: refused, unless `AUTOMATION_ALLOW_PLAINTEXT` names what they go to.
//!
//! It is a variable and no flag, since it says something about a deployment's network, and holds for every command there.

use std::net::IpAddr;

/// The variable.
pub(crate) const VARIABLE: &str = "AUTOMATION_ALLOW_PLAINTEXT";

/// What the engine connects to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Server {
    /// Postgres.
    Database,
    /// RabbitMQ, its management API too.
    Broker,
    /// The collector of traces.
    Otlp,
}

impl Server {
    const ALL: [Self; 3] = [Self::Database, Self::Broker, Self::Otlp];

    fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Broker => "broker",
            Self::Otlp => "otlp",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Database => "add sslmode=verify-full",
            Self::Broker => "begin with amqps:// or https://",
            Self::Otlp => "begin with https://",
        }
    }
}

/// Checks that a URL speaks TLS, stays on this host, or is allowed not to.
///
/// # Errors
///
/// The rule that it breaks, which tells nothing of the URL.
pub(crate) fn check(
    server: Server,
    url: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    if allowed(variable)?.contains(&server) || !leaves_in_the_clear(server, url, variable) {
        return Ok(());
    }
    Err(format!(
        "must speak TLS to another host: {} (docs/tls.md); {VARIABLE}={} allows it without",
        server.remedy(),
        server.word()
    ))
}

/// The environment of this process.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn allowed(variable: &impl Fn(&str) -> Option<String>) -> Result<Vec<Server>, String> {
    let text = variable(VARIABLE).unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let server = |word: &str| Server::ALL.into_iter().find(|server| server.word() == word);
    let known = words.map(|word| {
        server(word).ok_or_else(|| {
            format!("cannot be judged: {VARIABLE} names \"{word}\", and may name database, broker and otlp")
        })
    });
    known.collect()
}

fn leaves_in_the_clear(server: Server, url: &str, variable: &impl Fn(&str) -> Option<String>) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    match server {
        Server::Broker | Server::Otlp => !matches!(scheme, "amqps" | "https") && !is_here(host(place)),
        Server::Database => {
            let parameters = behind.split_once('?').map_or("", |(_, parameters)| parameters);
            let parameter = |names: &[&str]| {
                let mut pairs = parameters.split('&').filter_map(|pair| pair.split_once('='));
                pairs.rfind(|(name, _)| names.contains(name)).map(|(_, value)| value.to_owned())
            };
            let mode = parameter(&["sslmode", "ssl-mode"]).or_else(|| variable("PGSSLMODE"));
            let is_encrypted = mode.is_some_and(|mode| {
                matches!(mode.to_ascii_lowercase().as_str(), "require" | "verify-ca" | "verify-full")
            });
            let named = Some(host(place).to_owned()).filter(|host| !host.is_empty());
            let host = parameter(&["host", "hostaddr"])
                .or(named)
                .or_else(|| variable("PGHOSTADDR"))
                .or_else(|| variable("PGHOST"));
            !is_encrypted && host.is_some_and(|host| !is_here(&host))
        }
    }
}

/// The host of `host:port`, without brackets.
fn host(place: &str) -> &str {
    match place.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => place.split(':').next().unwrap_or_default(),
    }
}

/// Whether nothing leaves this machine on the way there: loopback, or a socket.
fn is_here(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let is_socket = host.starts_with('/') || host.starts_with("%2f");
    let address = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => address.to_canonical(),
        Ok(address) => address,
        Err(_) => return is_socket || host == "localhost" || host.ends_with(".localhost"),
    };
    address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(server: Server, url: &str, variables: &[(&str, &str)]) -> bool {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        check(server, url, &variable).is_err()
    }

    #[test]
    fn what_leaves_this_host_in_the_clear_is_refused() {
        for (server, url) in [
            (Server::Database, "postgres://u:p@db.example/x"),
            (Server::Database, "postgres://u:p@10.0.0.7:5432/x?sslmode=prefer"),
            (Server::Database, "postgres://u:p@db/x?sslmode=disable"),
            (Server::Database, "postgres://u:p@db/x?sslmode=verify-full&sslmode=prefer"),
            (Server::Database, "postgres://u:p@localhost/x?host=db.example"),
            (Server::Database, "postgres:///x?hostaddr=10.0.0.7"),
            (Server::Database, "postgres://[2001:db8::1]/x"),
            (Server::Database, "postgres://localhost.example/x"),
            (Server::Broker, "amqp://u:p@mq:5672/automation"),
            (Server::Broker, "amqp://127.0.0.1@mq/automation"),
            (Server::Broker, "http://u:p@mq:15672"),
            (Server::Otlp, "http://collector:4318"),
        ] {
            assert!(refused(server, url, &[]), "{url}");
            assert!(!refused(server, url, &[(VARIABLE, "database, broker,otlp")]), "{url}");
            let others = Server::ALL.into_iter().filter(|other| *other != server);
            let others = others.map(Server::word).collect::<Vec<_>>().join(",");
            assert!(refused(server, url, &[(VARIABLE, &others)]), "{url}");
        }
    }

    #[test]
    fn what_is_encrypted_or_stays_here_is_not() {
        for (server, url) in [
            (Server::Database, "postgres://u:p@db.example/x?sslmode=verify-full"),
            (Server::Database, "postgres://u:p@db.example/x?a=b&ssl-mode=require"),
            (Server::Database, "postgres://u:p@localhost:5432/x"),
            (Server::Database, "postgres://u:p@127.1.2.3/x?sslmode=disable"),
            (Server::Database, "postgres://[::1]:5432/x"),
            (Server::Database, "postgres://[::ffff:127.0.0.1]:5432/x"),
            (Server::Database, "postgres://%2Fvar%2Frun%2Fpostgresql/x"),
            (Server::Database, "postgres:///x?host=/run/postgresql"),
            (Server::Database, "postgres:///x"),
            (Server::Broker, "amqps://u:p@mq/automation"),
            (Server::Broker, "amqp://u:p@LOCALHOST:5672"),
            (Server::Broker, "https://mq:15671"),
            (Server::Otlp, "http://[::1]:4318/v1/traces"),
        ] {
            assert!(!refused(server, url, &[]), "{url}");
        }
        let remote = "postgres://u:p@db.example/x";
        assert!(!refused(Server::Database, remote, &[("PGSSLMODE", "verify-full")]));
        for name in ["PGHOST", "PGHOSTADDR"] {
            assert!(refused(Server::Database, "postgres:///x", &[(name, "10.0.0.7")]), "{name}");
        }
    }

    #[test]
    fn a_word_that_means_nothing_is_refused_and_the_url_is_not_shown() {
        let variable = |name: &str| (name == VARIABLE).then(|| "databse".to_owned());
        let told = check(Server::Database, "postgres://u:hunter2@db/x", &variable).unwrap_err();
        assert!(told.contains("\"databse\"") && !told.contains("hunter2"), "{told}");
    }
}
