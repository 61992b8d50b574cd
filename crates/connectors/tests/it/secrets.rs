//! Where a secret goes, and that it is found nowhere else.

use crate::server::Server;
use crate::support::{bearer, connectors, done, failed, get, kept, post};
use automation_connectors::Authorization;
use automation_domain::credential::Scheme;
use automation_domain::effect::{Attempt, HttpRequest, Request};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

const CANARY: &str = "canary-8d1f0b/+secret";

async fn send(ports: &[u16], request: HttpRequest, authorization: &Authorization) -> Attempt {
    connectors(ports).perform(&Request::Http(request), Some(authorization)).await
}

fn hosts(servers: &[&Server]) -> Vec<String> {
    servers.iter().map(|server| format!("http://127.0.0.1:{}", server.port)).collect()
}

fn of_kind(scheme: Scheme, server: &Server) -> Authorization {
    let hosts = hosts(&[server]).iter().map(|host| host.parse().unwrap()).collect();
    Authorization::new(scheme, hosts, CANARY.as_bytes()).unwrap()
}

#[tokio::test]
async fn every_kind_puts_its_secret_where_it_belongs() {
    let basic = Scheme::Basic { username: "shop".to_owned() };
    for (scheme, expected) in [
        (Scheme::Bearer, format!("authorization: Bearer {CANARY}\r\n")),
        (basic, "authorization: Basic c2hvcDpjYW5hcnktOGQxZjBiLytzZWNyZXQ=\r\n".to_owned()),
        (Scheme::Header { name: "X-Api-Key".to_owned() }, format!("x-api-key: {CANARY}\r\n")),
        (
            Scheme::Query { name: "key".to_owned() },
            "GET /a?b=c&key=canary-8d1f0b%2F%2Bsecret HTTP/1.1\r\n".to_owned(),
        ),
    ] {
        let server = Server::answering("200 OK", "", "ok").await;
        let authorization = of_kind(scheme, &server);
        done(&send(&[server.port], get(&server.url("/a?b=c")), &authorization).await);
        let seen = server.requests().remove(0);
        assert!(seen.contains(&expected), "{expected}: {seen}");
    }
}

#[tokio::test]
async fn a_signature_covers_key_time_and_body_and_the_secret_stays() {
    let server = Server::answering("200 OK", "", "ok").await;
    let allowed = hosts(&[&server]).iter().map(|host| host.parse().unwrap()).collect();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let authorization = Authorization::new(Scheme::Hmac, allowed, secret.as_bytes()).unwrap();
    done(&send(&[server.port], post(&server.url("/"), "body"), &authorization).await);
    let seen = server.requests().remove(0);
    assert!(seen.contains("webhook-id: msg_5f0c\r\n"), "{seen}");
    assert!(seen.contains("webhook-timestamp: ") && seen.contains("webhook-signature: v1,"), "{seen}");
    assert!(!seen.contains("MfKQ9r8G"), "{seen}");
}

#[tokio::test]
async fn a_secret_goes_to_its_hosts_alone() {
    let (good, other) =
        (Server::answering("200 OK", "", "").await, Server::answering("200 OK", "", "").await);
    let ports = [good.port, other.port];
    let authorization = bearer(CANARY, &hosts(&[&good]));
    done(&send(&ports, get(&good.url("/")), &authorization).await);
    for url in [other.url("/"), format!("http://good.example:{}/", good.port)] {
        let attempt = send(&ports, get(&url), &authorization).await;
        assert_eq!(failed(&attempt), "credential_host");
    }
    // `host:port` without a scheme means https.
    let https = bearer(CANARY, &[format!("127.0.0.1:{}", good.port)]);
    assert_eq!(failed(&send(&ports, get(&good.url("/")), &https).await), "credential_host");
    assert_eq!((good.connections(), other.connections()), (1, 0));
}

#[tokio::test]
async fn a_redirect_to_another_origin_takes_no_secret_along() {
    let end = Server::answering("200 OK", "", "here").await;
    let first =
        Server::answering("307 Temporary Redirect", &format!("Location: {}\r\n", end.url("/")), "").await;
    let ports = [first.port, end.port];
    // Even where both may have it: who redirects does not decide who gets it.
    let authorization = bearer(CANARY, &hosts(&[&first, &end]));
    let mut request = HttpRequest { redirects: 1, ..post(&first.url("/"), "body") };
    request.headers.push(("X-Partner".to_owned(), "for the first alone".to_owned()));
    request.headers.push(("Accept".to_owned(), "text/plain".to_owned()));
    done(&send(&ports, request, &authorization).await);
    assert!(first.requests()[0].contains(CANARY));
    let seen = end.requests().remove(0).to_lowercase();
    for gone in ["canary", "authorization", "x-partner"] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }
    assert!(seen.contains("accept: text/plain") && seen.contains("idempotency-key: 5f0c"), "{seen}");
}

#[tokio::test]
async fn a_redirect_on_the_same_origin_keeps_it() {
    let server = Server::answering("307 Temporary Redirect", "Location: /again\r\n", "").await;
    let authorization = bearer(CANARY, &hosts(&[&server]));
    let request = HttpRequest { redirects: 1, ..get(&server.url("/")) };
    assert_eq!(failed(&send(&[server.port], request, &authorization).await), "too_many_redirects");
    assert!(server.requests().iter().all(|seen| seen.contains(CANARY)));
    assert_eq!(server.connections(), 2);
}

/// Collects what would be logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn an_echoed_secret_is_found_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    // With what libraries write by `log` too.
    let _guard = subscriber.with_writer(log.clone()).finish().set_default();
    let encoded = "canary-8d1f0b%2F%2Bsecret";
    let base64 = "c2hvcDpjYW5hcnktOGQxZjBiLytzZWNyZXQ=";
    let echo = format!(
        r#"{{"plain":"{CANARY}","escaped":"canary-8d1f0b\/+secret","url":"/?key={encoded}","basic":"{base64}","{CANARY}":1}}"#
    );
    let headers =
        format!("Content-Type: application/json\r\nX-Echo: Bearer {CANARY}\r\nX-Url: /?key={encoded}\r\n");
    let mut printed = String::new();
    for status in ["200 OK", "400 Bad Request", "500 Internal Server Error", "302 Found"] {
        for scheme in [
            Scheme::Bearer,
            Scheme::Basic { username: "shop".to_owned() },
            Scheme::Header { name: "X-Api-Key".to_owned() },
            Scheme::Query { name: "key".to_owned() },
        ] {
            let location = format!("Location: /?key={encoded}\r\n");
            let server = Server::answering(status, &format!("{headers}{location}"), &echo).await;
            let authorization = of_kind(scheme, &server);
            let mut request = get(&server.url("/"));
            for (name, path) in
                [("a", "body.plain"), ("b", "body.escaped"), ("c", "headers.x-echo"), ("d", "body")]
            {
                request.save.insert(name.to_owned(), path.to_owned());
            }
            let attempt = send(&[server.port], request, &authorization).await;
            assert_eq!(kept(&attempt).status.to_string(), &status[..3]);
            printed += &format!("{attempt:?}\n{authorization:?}\n");
            printed += &serde_json::to_string(kept(&attempt)).unwrap();
            // The server did get it: the echo was an echo.
            let seen = server.requests().remove(0);
            assert!(seen.contains(CANARY) || seen.contains(encoded) || seen.contains(base64), "{seen}");
        }
    }
    // A connection that fails has the URL, with the secret, in the client's own error.
    let gone = Server::answering("200 OK", "", "").await;
    let authorization = of_kind(Scheme::Query { name: "key".to_owned() }, &gone);
    let (port, url) = (gone.port, gone.url("/"));
    drop(gone);
    printed += &format!("{:?}", send(&[port], get(&url), &authorization).await);
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    for needle in ["canary", "8d1f0b", "c2hvcDpjYW5hcnkt", "Y2FuYXJ5"] {
        assert!(!printed.contains(needle), "{needle}: {printed}");
        assert!(!logged.contains(needle), "{needle}: {logged}");
    }
    assert!(printed.contains("***"), "{printed}");
    assert!(logged.contains("starting new connection"), "nothing was logged at all: {logged}");
}
