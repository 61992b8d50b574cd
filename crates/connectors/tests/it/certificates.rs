//! Each thing that can be wrong with a certificate has its own sentence.
//!
//! What is trusted is read from the environment once per process. So this test calls itself, in a process that trusts
//! an authority of its making.

use crate::server::read_request;
use crate::support::{connectors, failed, get, perform};
use automation_domain::effect::Outcome;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Where the process that is called finds the authority's certificate and key.
const FOLDER: &str = "AUTOMATION_TEST_AUTHORITY";

fn authority() -> CertificateParams {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
}

fn server_of(name: &str, from: i32, until: i32) -> CertificateParams {
    let mut server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (server.not_before, server.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    server
}

async fn serving(certificate: CertificateDer<'static>, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    port
}

async fn each_has_its_sentence(folder: &Path) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = std::fs::read(folder.join("key.der")).unwrap();
    let issuer = Issuer::new(authority(), KeyPair::try_from(key).unwrap());
    for (server, is_signed, says) in [
        (server_of("good.example", 2020, 2099), true, None),
        (server_of("good.example", 2020, 2021), true, Some("has expired")),
        (server_of("good.example", 2098, 2099), true, Some("is not valid yet")),
        (server_of("other.example", 2020, 2099), true, Some("is for another name")),
        (server_of("good.example", 2020, 2099), false, Some("comes from nobody who is trusted here")),
    ] {
        let key = KeyPair::generate().unwrap();
        let certificate =
            if is_signed { server.signed_by(&key, &issuer) } else { server.self_signed(&key) }.unwrap();
        let port = serving(certificate.der().clone(), &key).await;
        let attempt = perform(&connectors(&[port]), get(&format!("https://good.example:{port}/"))).await;
        match (says, &attempt.outcome) {
            (None, Outcome::Done { .. }) => {}
            (Some(says), Outcome::Failed { error }) => {
                assert_eq!(failed(&attempt), "tls_certificate");
                assert!(error.message.contains(says), "{}", error.message);
            }
            (None, other) | (Some(_), other) => panic!("{says:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn each_bad_certificate_has_its_sentence() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return each_has_its_sentence(Path::new(&folder)).await;
    }
    let folder = std::env::temp_dir().join(format!("automation-authority-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = KeyPair::generate().unwrap();
    let root = authority().self_signed(&key).unwrap();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD
            .encode(root.der())
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\n")
    );
    std::fs::write(folder.join("root.pem"), pem).unwrap();
    std::fs::write(folder.join("key.der"), key.serialize_der()).unwrap();
    let itself = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "certificates::each_bad_certificate_has_its_sentence", "--nocapture"])
        .env("SSL_CERT_FILE", folder.join("root.pem"))
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&itself.stdout);
    let complained = String::from_utf8_lossy(&itself.stderr);
    assert!(itself.status.success() && said.contains("1 passed"), "{said}{complained}");
}
