//! TLS: a certificate that nobody vouches for is a failure, and what speaks no TLS is not spoken to.

use crate::server::{Server, read_request};
use crate::support::{connectors, failed, get, perform, retry};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server with a certificate of its own making; counts the requests it could read.
async fn self_signed(names: &[&str]) -> (u16, Arc<AtomicUsize>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            read_request(&mut stream).await;
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    (port, requests)
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_failure() {
    let (port, requests) = self_signed(&["good.example", "127.0.0.1"]).await;
    for host in ["good.example", "127.0.0.1"] {
        let attempt = perform(&connectors(&[port]), get(&format!("https://{host}:{port}/"))).await;
        assert_eq!(failed(&attempt), "tls_certificate");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_without_tls_is_never_sent_a_request() {
    let server = Server::answering("200 OK", "", "").await;
    let attempt =
        perform(&connectors(&[server.port]), get(&format!("https://127.0.0.1:{}/", server.port))).await;
    let (code, _, reached) = retry(&attempt);
    assert!(["tls_failed", "connect_failed"].contains(&code), "{code}");
    assert!(!reached);
    assert!(server.requests().iter().all(|seen| !seen.contains("HTTP/1.1")));
}
