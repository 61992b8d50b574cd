//! What is made of servers that refuse, stall, break off, flood and lie.

use crate::server::{Script, Server, answer};
use crate::support::{connectors, done, failed, get, kept, perform, post, retry};
use automation_domain::effect::{Attempt, HttpRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// 200,000 zeros, as gzip packs them.
const BOMB: &str = "H4sIAAAAAAACA+3BMQEAAADCoPVPbQZ/oAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACA1wB7WOBcQA0DAA==";

/// A chunk of 1 KiB.
static CHUNK: LazyLock<Vec<u8>> = LazyLock::new(|| format!("400\r\n{}\r\n", "x".repeat(1024)).into_bytes());

async fn against(script: Script) -> Attempt {
    let server = Server::start(script).await;
    perform(&connectors(&[server.port]), get(&server.url("/"))).await
}

async fn says(bytes: &[u8]) -> Attempt {
    against(Script::Say(bytes.to_vec())).await
}

#[tokio::test]
async fn a_request_leaves_as_it_is_stored() {
    let server = Server::answering("201 Created", "X-Request-Id: 7\r\n", "ok").await;
    let mut request = post(&server.url("/v1/things?a=b%20c"), "{\"a\":  1}\n");
    request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    request.headers.push(("X-Name".to_owned(), "Größe".to_owned()));
    let connectors = connectors(&[server.port]);
    let attempt = perform(&connectors, request.clone()).await;
    assert_eq!(done(&attempt)["status"], 201);
    assert_eq!(done(&attempt)["headers"]["x-request-id"], "7");
    assert_eq!(done(&perform(&connectors, request).await)["body"], "ok");
    let seen = server.requests();
    assert_eq!(seen[0], seen[1], "every try is the same bytes");
    assert!(seen[0].starts_with("POST /v1/things?a=b%20c HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].ends_with("\r\n\r\n{\"a\":  1}\n"), "{}", seen[0]);
    let head = seen[0].to_lowercase();
    for header in
        ["idempotency-key: 5f0c\r\n", "content-type: application/json\r\n", "content-length: 10\r\n", "größe"]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    // Compressed answers are not read, so none is asked for.
    assert!(head.contains("accept-encoding: identity\r\n") && !head.contains("referer"), "{head}");
}

#[tokio::test]
async fn every_status_has_its_outcome() {
    for status in [200, 201, 202, 204, 206] {
        let bytes: &[u8] = if status == 204 {
            b"HTTP/1.1 204 No Content\r\n\r\n"
        } else {
            &answer(&format!("{status} Fine"), "", "ok")
        };
        assert_eq!(done(&says(bytes).await)["status"], status);
    }
    for status in [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451, 499] {
        let attempt = says(&answer(&format!("{status} No"), "", "why not")).await;
        assert_eq!(failed(&attempt), format!("http_{status}"));
        assert_eq!((kept(&attempt).status, kept(&attempt).body.as_str()), (status, "why not"));
    }
    for status in [408, 425, 429, 500, 501, 502, 503, 504, 507, 520, 599] {
        let attempt = says(&answer(&format!("{status} Later"), "", "sorry")).await;
        assert_eq!(retry(&attempt), (format!("http_{status}").as_str(), None, true));
        assert_eq!(kept(&attempt).body, "sorry");
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_whatever_status_is_tried_again() {
    for (value, expected) in [
        ("120", Some(120)),
        ("0", Some(1)),
        ("999999999999999999999999", Some(86_400)),
        ("garbage", None),
        ("-5", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(1)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
    ] {
        let later = answer("429 Too Many Requests", &format!("Retry-After: {value}\r\n"), "");
        assert_eq!(retry(&says(&later).await).1, expected, "{value}");
    }
    for status in
        ["408 Request Timeout", "425 Too Early", "500 Internal Server Error", "502 Bad Gateway", "503 Busy"]
    {
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let attempt = says(&answer(status, &format!("Retry-After: {soon}\r\n"), "")).await;
        let after = retry(&attempt).1.unwrap();
        assert!((80..=90).contains(&after), "{status}: {after}");
    }
    // What is not tried again is not tried later either.
    let attempt = says(&answer("404 Not Found", "Retry-After: 120\r\n", "")).await;
    assert_eq!(failed(&attempt), "http_404");
}

#[tokio::test]
async fn a_server_that_hangs_or_drips_is_left_in_time() {
    let tick = Duration::from_millis(20);
    let drip_head = Script::Drip(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-A: 1\r\n", tick);
    let drip_body = Script::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec(), b"x", tick);
    let drip_chunks =
        Script::Drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), b"1\r\nx\r\n", tick);
    for script in [Script::Hang, drip_head, drip_body, drip_chunks] {
        let server = Server::start(script).await;
        let request = HttpRequest { timeout_ms: 400, ..get(&server.url("/")) };
        let started = Instant::now();
        let attempt = perform(&connectors(&[server.port]), request).await;
        assert_eq!(retry(&attempt), ("timeout", None, true));
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(380) && took < Duration::from_secs(4), "{took:?}");
        assert!(attempt.took >= Duration::from_millis(380));
    }
}

#[tokio::test]
async fn what_the_status_said_counts_though_the_body_never_ends() {
    for (status, code) in [("404 Not Found", "http_404"), ("500 Internal Server Error", "http_500")] {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\nwhy");
        let server = Server::start(Script::Drip(head.into_bytes(), b".", Duration::from_millis(20))).await;
        let request = HttpRequest { timeout_ms: 300, ..get(&server.url("/")) };
        let attempt = perform(&connectors(&[server.port]), request).await;
        let told = if code == "http_404" { failed(&attempt) } else { retry(&attempt).0 };
        assert_eq!(told, code);
        assert!(kept(&attempt).body.starts_with("why") && kept(&attempt).truncated);
    }
}

#[tokio::test]
async fn a_server_that_cuts_is_tried_again() {
    for (bytes, code) in [
        (&b""[..], "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-size\r\nhello\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\nhello", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "bad_response"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "bad_response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n", "bad_response"),
    ] {
        let attempt = says(bytes).await;
        assert_eq!(retry(&attempt), (code, None, true), "{}", String::from_utf8_lossy(bytes));
    }
    let attempt = against(Script::Close).await;
    assert_eq!(retry(&attempt), ("connection_lost", None, true));
}

#[tokio::test]
async fn a_body_shorter_than_announced_keeps_what_came() {
    let attempt = says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await;
    assert_eq!((kept(&attempt).body.as_str(), kept(&attempt).truncated), ("only this", true));
}

#[tokio::test]
async fn a_body_longer_than_announced_is_read_no_further() {
    let attempt =
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello and a second answer")
            .await;
    assert_eq!(done(&attempt)["body"], "hello");
}

#[tokio::test]
async fn a_server_that_floods_is_read_to_the_limit_and_no_further() {
    let limit = 64 * 1024;
    let exactly = says(&answer("200 OK", "", &"x".repeat(limit))).await;
    assert_eq!(done(&exactly)["body"].as_str().unwrap().len(), limit);
    let more = says(&answer("200 OK", "", &"x".repeat(limit + 1))).await;
    assert_eq!(failed(&more), "response_too_large");
    assert_eq!((kept(&more).body.len(), kept(&more).truncated), (1024, true));
    // Without an end, and without an announced length.
    let endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let flood = Script::Drip(endless, CHUNK.as_slice(), Duration::from_millis(1));
    assert_eq!(failed(&against(flood).await), "response_too_large");
}

#[tokio::test]
async fn giant_headers_are_a_failure() {
    let one = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "x".repeat(2_000_000));
    assert_eq!(failed(&says(one.as_bytes()).await), "response_too_large");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: 1\r\n".repeat(5_000));
    assert_eq!(failed(&says(many.as_bytes()).await), "response_too_large");
    // What fits is still cut for history.
    let large = says(&answer("200 OK", &format!("X-A: {}\r\nX-B: 1\r\n", "x".repeat(20_000)), "ok")).await;
    assert!(kept(&large).truncated && kept(&large).headers.iter().all(|(name, _)| name != "x-a"));
}

#[tokio::test]
async fn a_compressed_answer_is_not_unpacked() {
    let bomb = STANDARD.decode(BOMB).unwrap();
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len())
            .into_bytes();
    bytes.extend_from_slice(&bomb);
    let attempt = says(&bytes).await;
    assert!(done(&attempt)["body"].is_null());
    assert_eq!(done(&attempt)["body_unreadable"], "it is coded as gzip, which was not asked for");
    assert_eq!((kept(&attempt).body.as_str(), kept(&attempt).truncated), ("", true));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_where_its_body_is_wanted_and_is_not_sent_again() {
    let type_json = "Content-Type: application/json\r\n";
    for (headers, body) in [
        ("Content-Encoding: br\r\n", "xx"),
        (type_json, "{\"id\": 7"),
        (type_json, "{\"id\": 7, \"id\": 8}"),
        (type_json, "{\"id\": \"\\u0000\"}"),
        ("Content-Type: application/json; charset=klingon\r\n", "{\"id\": 7}"),
        ("Content-Type: text/html\r\n", "<html>"),
    ] {
        let server = Server::answering("201 Created", headers, body).await;
        let mut request = post(&server.url("/"), "{}");
        let attempt = perform(&connectors(&[server.port]), request.clone()).await;
        assert_eq!(done(&attempt)["status"], 201, "{headers}");
        request.save.insert("id".to_owned(), "body.id".to_owned());
        let attempt = perform(&connectors(&[server.port]), request).await;
        assert_eq!(failed(&attempt), "response_unreadable", "{headers}");
        assert_eq!((kept(&attempt).status, server.connections()), (201, 2));
    }
    let marked = "Content-Type: application/json\r\n";
    let server = Server::answering("200 OK", marked, "\u{feff}{\"id\": 7}").await;
    let attempt = perform(&connectors(&[server.port]), get(&server.url("/"))).await;
    assert_eq!(done(&attempt)["body"]["id"], 7);
}

#[tokio::test]
async fn what_nobody_listens_to_was_never_reached() {
    let gone = Server::start(Script::Hang).await.port;
    let attempt = perform(&connectors(&[gone]), post(&format!("http://127.0.0.1:{gone}/"), "x")).await;
    assert_eq!(retry(&attempt), ("connect_failed", None, false));
    assert_eq!(attempt.response, None);
}

#[tokio::test]
async fn a_request_that_would_smuggle_is_not_sent() {
    let server = Server::answering("200 OK", "", "").await;
    let connectors = connectors(&[server.port]);
    for (name, value) in [
        ("X-A", "1\r\nX-Admin: 1"),
        ("X-A", "1\nX-Admin: 1"),
        ("X-A", "1\0"),
        ("X-A\r\nX-B", "1"),
        ("X A", "1"),
        ("", "1"),
        ("Host", "inside.example"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Accept-Encoding", "gzip"),
    ] {
        let mut request = get(&server.url("/"));
        request.headers.push((name.to_owned(), value.to_owned()));
        assert_eq!(failed(&perform(&connectors, request).await), "invalid_request", "{name}: {value:?}");
    }
    for method in ["", "get", "CONNECT", "TRACE", "GET / HTTP/1.1\r\nX-A:", "POST\r\n"] {
        let request = HttpRequest { method: method.to_owned(), ..get(&server.url("/")) };
        assert_eq!(failed(&perform(&connectors, request).await), "invalid_request", "{method:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn variables_are_taken_from_the_answer() {
    let server = Server::answering(
        "200 OK",
        "Content-Type: application/json\r\nX-Page: 2\r\n",
        r#"{"id": 7, "items": [{"name": "a"}, {"name": "b"}]}"#,
    )
    .await;
    let mut request = get(&server.url("/"));
    for (name, path) in [
        ("id", "body.id"),
        ("second", "body.items.1.name"),
        ("page", "headers.x-page"),
        ("none", "body.no.such"),
        ("code", "status"),
    ] {
        request.save.insert(name.to_owned(), path.to_owned());
    }
    let attempt = perform(&connectors(&[server.port]), request).await;
    let automation_domain::effect::Outcome::Done { vars, .. } = &attempt.outcome else {
        panic!("{attempt:?}")
    };
    let expected = serde_json::json!({"id": 7, "second": "b", "page": "2", "none": null, "code": 200});
    assert_eq!(serde_json::Value::Object(vars.clone()), expected);
}
