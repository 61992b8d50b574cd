//! Redirects: followed as far as allowed, each hop checked like the first.

use crate::server::{Script, Server, answer};
use crate::support::{
    Names, connectors, connectors_with, done, failed, get, kept, outbound, perform, post, retry,
};
use automation_domain::effect::{HttpRequest, Request};

async fn redirecting(status: &str, location: &str) -> Server {
    Server::answering(status, &format!("Location: {location}\r\n"), "").await
}

fn with_redirects(request: HttpRequest, redirects: u8) -> HttpRequest {
    HttpRequest { redirects, ..request }
}

#[tokio::test]
async fn a_redirect_is_a_failure_unless_it_is_allowed() {
    let end = Server::answering("200 OK", "", "here").await;
    let first = redirecting("302 Found", &end.url("/end")).await;
    let connectors = connectors(&[first.port, end.port]);
    let attempt = perform(&connectors, get(&first.url("/"))).await;
    assert_eq!(failed(&attempt), "too_many_redirects");
    assert_eq!((kept(&attempt).status, end.connections()), (302, 0));
    let attempt = perform(&connectors, with_redirects(get(&first.url("/")), 1)).await;
    assert_eq!(done(&attempt)["body"], "here");
}

#[tokio::test]
async fn methods_change_as_browsers_change_them() {
    for (status, method, expected, has_body) in [
        ("301 Moved Permanently", "POST", "GET", false),
        ("302 Found", "POST", "GET", false),
        ("303 See Other", "POST", "GET", false),
        ("303 See Other", "PUT", "GET", false),
        ("301 Moved Permanently", "PUT", "PUT", true),
        ("307 Temporary Redirect", "POST", "POST", true),
        ("308 Permanent Redirect", "POST", "POST", true),
    ] {
        let end = Server::answering("200 OK", "", "").await;
        let first = redirecting(status, &end.url("/end?a=b")).await;
        let connectors = connectors(&[first.port, end.port]);
        let mut request = with_redirects(post(&first.url("/"), "the body"), 1);
        method.clone_into(&mut request.method);
        request.headers.push(("Content-Type".to_owned(), "text/plain".to_owned()));
        done(&perform(&connectors, request).await);
        let seen = end.requests().remove(0).to_lowercase();
        assert!(
            seen.starts_with(&format!("{} /end?a=b http/1.1", expected.to_lowercase())),
            "{status}: {seen}"
        );
        assert_eq!(
            (seen.contains("the body"), seen.contains("content-type")),
            (has_body, has_body),
            "{status}: {seen}"
        );
        assert!(seen.contains("idempotency-key: 5f0c"), "{seen}");
    }
}

#[tokio::test]
async fn no_redirect_leads_inside() {
    let canary = Server::answering("200 OK", "", "canary").await;
    let port = canary.port;
    let inside = Server::at(([127, 0, 0, 2], port).into(), Script::Say(answer("200 OK", "", "canary"))).await;
    for location in [
        format!("http://127.0.0.2:{port}/"),
        format!("//127.0.0.2:{port}/"),
        format!("http://0x7f000002:{port}/"),
        format!("http://2130706434:{port}/"),
        format!("http://[::ffff:127.0.0.2]:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://inside.example:{port}/"),
        format!("http://user:pw@good.example:{port}/"),
        "http://169.254.169.254/latest/meta-data/iam".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ftp://good.example/".to_owned(),
        "gopher://127.0.0.2:25/_HELO".to_owned(),
        "http://good.example:25/".to_owned(),
    ] {
        let first = redirecting("302 Found", &location).await;
        let allow = format!("127.0.0.1:{}", first.port);
        let names = Names::new(&[("inside.example", &[&["127.0.0.2"]]), ("good.example", &[&["127.0.0.2"]])]);
        let connectors = connectors_with(outbound(&[&allow]), names);
        let attempt = perform(&connectors, with_redirects(get(&first.url("/")), 5)).await;
        assert_eq!(failed(&attempt), "outbound_refused", "{location}");
        assert_eq!(first.connections(), 1);
    }
    assert_eq!(canary.connections() + inside.connections(), 0);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_a_failure() {
    for headers in
        ["", "Location: http://\r\n", "Location: http://exa mple.com/\r\n", "Location: \\\\host\r\n"]
    {
        let server = Server::answering("302 Found", headers, "").await;
        let attempt = perform(&connectors(&[server.port]), with_redirects(get(&server.url("/")), 3)).await;
        assert_eq!(failed(&attempt), "bad_redirect", "{headers}");
    }
}

#[tokio::test]
async fn a_location_beyond_ascii_is_followed_as_it_is_encoded() {
    for (location, seen) in [
        ("/größe?q=ä#ü".as_bytes(), "GET /gr%C3%B6%C3%9Fe?q=%C3%A4 HTTP/1.1"),
        (b"/gr\xf6\xdfe", "GET /gr%F6%DFe HTTP/1.1"),
        (b"/gr%C3%B6%C3%9Fe", "GET /gr%C3%B6%C3%9Fe HTTP/1.1"),
    ] {
        let head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ";
        let server = Server::start(Script::Say([head, location, b"\r\n\r\n"].concat())).await;
        let attempt = perform(&connectors(&[server.port]), with_redirects(get(&server.url("/")), 1)).await;
        assert_eq!(failed(&attempt), "too_many_redirects");
        let second = server.requests().remove(1);
        assert!(second.starts_with(seen), "{second}");
    }
}

#[tokio::test]
async fn the_trace_is_told_to_the_first_origin_unless_the_request_names_one() {
    const OURS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let end = Server::answering("200 OK", "", "here").await;
    let first = redirecting("307 Temporary Redirect", &end.url("/")).await;
    let connectors = connectors(&[first.port, end.port]);
    let mut request = with_redirects(post(&first.url("/"), "body"), 1);
    done(&connectors.perform_traced(&Request::Http(request.clone()), None, Some(OURS)).await);
    request.headers.push(("Traceparent".to_owned(), "their own".to_owned()));
    done(&connectors.perform_traced(&Request::Http(request), None, Some(OURS)).await);
    let seen: Vec<String> = first.requests().iter().map(|request| request.to_lowercase()).collect();
    assert!(seen[0].contains(&format!("traceparent: {OURS}\r\n")), "{}", seen[0]);
    assert!(seen[1].contains("traceparent: their own\r\n") && !seen[1].contains(OURS), "{}", seen[1]);
    assert!(end.requests().iter().all(|request| !request.to_lowercase().contains("traceparent")));
}

#[tokio::test]
async fn a_loop_ends_with_the_redirects_allowed() {
    let server = redirecting("307 Temporary Redirect", "/again").await;
    let attempt = perform(&connectors(&[server.port]), with_redirects(get(&server.url("/")), 4)).await;
    assert_eq!(failed(&attempt), "too_many_redirects");
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_relative_location_stays_on_its_host() {
    let end = Server::answering("200 OK", "", "here").await;
    let first = redirecting("302 Found", &format!("http://127.0.0.1:{}/a/b", end.port)).await;
    let connectors = connectors(&[first.port, end.port]);
    assert_eq!(done(&perform(&connectors, with_redirects(get(&first.url("/")), 1)).await)["body"], "here");
    assert!(end.requests()[0].starts_with("GET /a/b HTTP/1.1"));
}

#[tokio::test]
async fn a_hop_that_cannot_be_reached_leaves_the_first_reached() {
    // A port that was free a moment ago.
    let gone = Server::start(Script::Hang).await.port;
    let first = redirecting("307 Temporary Redirect", &format!("http://127.0.0.1:{gone}/")).await;
    let connectors = connectors(&[first.port, gone]);
    let attempt = perform(&connectors, with_redirects(post(&first.url("/"), "x"), 1)).await;
    assert_eq!(retry(&attempt), ("connect_failed", None, true));
}

#[tokio::test]
async fn other_answers_of_the_300s_are_failures() {
    for status in ["300 Multiple Choices", "304 Not Modified", "305 Use Proxy"] {
        let server = Server::answering(status, "Location: http://10.0.0.1/\r\n", "").await;
        let attempt = perform(&connectors(&[server.port]), with_redirects(get(&server.url("/")), 3)).await;
        assert_eq!(failed(&attempt), format!("http_{}", &status[..3]));
    }
}
