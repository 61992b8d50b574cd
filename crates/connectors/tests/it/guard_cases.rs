//! Every case of the table, with listeners on loopback that must not see a single connection.

use crate::guard_table::{ANSWERS, HOSTS, URLS};
use crate::server::{Script, Server, answer};
use crate::support::{Names, connectors, connectors_with, done, failed, get, outbound, perform};
use automation_domain::effect::Outcome;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Listeners on one port of every loopback address that the cases name.
struct Canaries {
    port: u16,
    servers: Vec<Server>,
}

impl Canaries {
    async fn start() -> Self {
        let first = Server::start(Script::Say(answer("200 OK", "", "canary"))).await;
        let port = first.port;
        let mut servers = vec![first];
        for address in [
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port)),
            SocketAddr::from((Ipv4Addr::new(127, 0, 0, 53), port)),
            SocketAddr::from((Ipv4Addr::new(127, 255, 255, 254), port)),
        ] {
            servers.push(Server::at(address, Script::Say(answer("200 OK", "", "canary"))).await);
        }
        Self { port, servers }
    }

    fn connections(&self) -> usize {
        self.servers.iter().map(Server::connections).sum()
    }
}

/// Nothing of the case's insides may be told.
fn assert_refused(outcome: &Outcome, case: &str) {
    let Outcome::Failed { error } = outcome else { panic!("{case}: {outcome:?}") };
    assert_eq!(error.code, "outbound_refused", "{case}: {}", error.message);
}

#[tokio::test]
async fn the_canaries_can_be_reached_where_that_is_allowed() {
    // The control: without it, a canary that nobody can reach would pass every case.
    let canaries = Canaries::start().await;
    let port = canaries.port;
    let allow = [format!("127.0.0.0/8:{port}"), format!("[::1]:{port}"), format!("localhost:{port}")];
    let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
    let names = Names::new(&[("localhost", &[&["::1"]]), ("public.example", &[&["127.0.0.53"]])]);
    let connectors = connectors_with(outbound(&allow), names);
    let hosts = [
        "127.0.0.1",
        "127.0.0.2",
        "0x7f000001",
        "127.255.255.254",
        "[::1]",
        "localhost",
        "LOCALHOST.",
        "public.example",
    ];
    for host in hosts {
        let attempt = perform(&connectors, get(&format!("http://{host}:{port}/"))).await;
        assert_eq!(done(&attempt)["body"], "canary", "{host}");
    }
    assert_eq!(canaries.connections(), hosts.len());
}

#[tokio::test]
async fn no_case_of_the_table_reaches_a_canary() {
    let canaries = Canaries::start().await;
    let port = canaries.port;
    // Every name would lead to a canary, were it asked for.
    let names = Names::new(&[
        ("localhost", &[&["127.0.0.1"]]),
        ("public.example", &[&["127.0.0.1"]]),
        ("metadata", &[&["127.0.0.1"]]),
        ("db.internal", &[&["127.0.0.1"]]),
        ("redis", &[&["127.0.0.1"]]),
        ("kubernetes", &[&["127.0.0.1"]]),
    ]);
    let connectors = connectors_with(outbound(&[]), names);
    let mut cases: Vec<String> =
        HOSTS.iter().map(|host| format!("http://{host}:{port}/latest/meta-data")).collect();
    cases.extend(HOSTS.iter().take(40).map(|host| format!("https://{host}:{port}/")));
    cases.extend(URLS.iter().map(|url| url.replace("{port}", &port.to_string())));
    assert!(cases.len() >= 180, "{}", cases.len());
    for case in &cases {
        let attempt = perform(&connectors, get(case)).await;
        assert_refused(&attempt.outcome, case);
        assert_eq!(attempt.response, None, "{case}");
    }
    assert_eq!(canaries.connections(), 0);
}

#[tokio::test]
async fn no_name_with_an_address_that_is_not_public_is_connected_to() {
    let canaries = Canaries::start().await;
    for answer in ANSWERS {
        let names = Names::new(&[("public.example", &[answer])]);
        let connectors = connectors_with(outbound(&[]), names);
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://public.example:{}/", canaries.port);
            let attempt = perform(&connectors, get(&url)).await;
            assert_refused(&attempt.outcome, &format!("{answer:?}"));
            // Not what it resolved to, and not even what kind of address that is.
            let told = format!("{attempt:?}");
            for word in
                answer.iter().copied().chain(["loopback", "private", "link-local", "metadata", "reserved"])
            {
                assert!(!told.contains(word), "{word}: {told}");
            }
        }
    }
    assert_eq!(canaries.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let canaries = Canaries::start().await;
    let port = canaries.port;
    // One of the canaries is allowed here; the name leads there first, and to another from then on.
    let allow = format!("127.0.0.2:{port}");
    let names = Names::new(&[("rebind.example", &[&["127.0.0.2"], &["127.0.0.1"]])]);
    let connectors = connectors_with(outbound(&[&allow]), names.clone());
    let url = format!("http://rebind.example:{port}/");
    assert_eq!(done(&perform(&connectors, get(&url)).await)["body"], "canary");
    // Asked once: there is no second answer between the check and the connection.
    assert_eq!(names.asked(), 1);
    for _ in 0..5 {
        assert_eq!(failed(&perform(&connectors, get(&url)).await), "outbound_refused");
    }
    assert_eq!((names.asked(), canaries.connections()), (6, 1));
}

#[tokio::test]
async fn what_is_allowed_at_one_port_is_not_at_another() {
    let (open, shut) = (Canaries::start().await, Canaries::start().await);
    let allow = [format!("127.0.0.1:{}", open.port), format!("crm.internal:{}", open.port)];
    let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
    let names = Names::new(&[("crm.internal", &[&["127.0.0.1"]]), ("public.example", &[&["127.0.0.1"]])]);
    let connectors = connectors_with(outbound(&allow), names);
    for host in ["127.0.0.1", "crm.internal", "public.example"] {
        let url = |port: u16| format!("http://{host}:{port}/");
        assert_eq!(done(&perform(&connectors, get(&url(open.port))).await)["status"], 200, "{host}");
        assert_eq!(failed(&perform(&connectors, get(&url(shut.port))).await), "outbound_refused", "{host}");
    }
    assert_eq!((open.connections(), shut.connections()), (3, 0));
}

#[tokio::test]
async fn a_name_without_an_address_is_worth_another_try() {
    let attempt = perform(&connectors(&[]), get("https://nowhere.example/")).await;
    assert_eq!(crate::support::retry(&attempt), ("dns_failed", None, false));
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_asked() {
    // The clients read no variables, whatever this process was started with; so this asks the code, in a process of its
    // own, whose variables name a canary as the proxy for everything.
    let canary = Server::answering("200 OK", "", "proxy").await;
    let good = Server::answering("200 OK", "", "good").await;
    let proxy = format!("http://127.0.0.1:{}", canary.port);
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guard_cases::inner_request_of_the_proxy_test", "--nocapture"])
        .envs(
            ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
                .map(|name| (name, &proxy)),
        )
        .env("AUTOMATION_TEST_INNER_PORT", good.port.to_string())
        .output()
        .await
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!((canary.connections(), good.connections()), (0, 1));
}

/// Does nothing unless the test above runs it.
#[tokio::test]
async fn inner_request_of_the_proxy_test() {
    let Ok(port) = std::env::var("AUTOMATION_TEST_INNER_PORT") else { return };
    let connectors = connectors(&[port.parse().unwrap()]);
    let attempt = perform(&connectors, get(&format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(done(&attempt)["body"], "good");
}
