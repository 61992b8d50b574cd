//! Connectors to test with, names that resolve to whatever a test says, and readers of outcomes.

use automation_connectors::{Authorization, Connectors, Resolve, Resolved};
use automation_domain::credential::Scheme;
use automation_domain::effect::{Attempt, HttpRequest, Outcome, Request, Response};
use automation_domain::limits::Limits;
use automation_domain::outbound::{AllowList, Outbound};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Names with the answers they give, one after another; the last stays.
#[derive(Default)]
pub struct Names {
    answers: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    pub fn new(answers: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |ips: &&[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let answers = answers
            .iter()
            .map(|(name, answers)| ((*name).to_owned(), answers.iter().map(parse).collect()))
            .collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }

    /// How often a name was asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> Resolved {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.get_mut(name.trim_end_matches('.')) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(std::io::Error::other("no such name")),
        };
        Box::pin(async move { answer })
    }
}

/// Small limits, short waits, and this much allowed.
pub fn outbound(allow: &[&str]) -> Outbound {
    Outbound {
        allow: AllowList::new(allow.iter().map(|entry| entry.parse().unwrap()).collect()),
        connect_timeout: Duration::from_millis(500),
        max_timeout: Duration::from_secs(20),
        response_bytes: 64 * 1024,
        kept_bytes: 1024,
        ..Outbound::default()
    }
}

/// Connectors whose names are these.
pub fn connectors_with(outbound: Outbound, names: Arc<Names>) -> Connectors {
    // Clients want a provider, also for plain HTTP. Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Connectors::with_resolver(outbound, &Limits::default(), names).unwrap()
}

/// Connectors that may talk to loopback at these ports, with names for it.
pub fn connectors(ports: &[u16]) -> Connectors {
    let allow: Vec<String> = ports.iter().map(|port| format!("127.0.0.0/8:{port}")).collect();
    let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
    let names = Names::new(&[("good.example", &[&["127.0.0.1"]]), ("other.example", &[&["127.0.0.1"]])]);
    connectors_with(outbound(&allow), names)
}

pub fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: vec![("Idempotency-Key".to_owned(), "5f0c".to_owned())],
        body: None,
        credential: None,
        timeout_ms: 5_000,
        redirects: 0,
        save: BTreeMap::new(),
    }
}

pub fn post(url: &str, body: &str) -> HttpRequest {
    HttpRequest { method: "POST".to_owned(), body: Some(body.to_owned()), ..get(url) }
}

/// A bearer token for these hosts.
pub fn bearer(secret: &str, hosts: &[String]) -> Authorization {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    Authorization::new(Scheme::Bearer, hosts, secret.as_bytes()).unwrap()
}

pub async fn perform(connectors: &Connectors, request: HttpRequest) -> Attempt {
    connectors.perform(&Request::Http(request), None).await
}

/// Code of a failure that no other try can heal.
pub fn failed(attempt: &Attempt) -> &str {
    match &attempt.outcome {
        Outcome::Failed { error } => &error.code,
        other @ (Outcome::Done { .. } | Outcome::Retry { .. }) => panic!("{other:?}"),
    }
}

/// Code, wait in seconds, and whether the other side may have acted, of a failure that may heal.
pub fn retry(attempt: &Attempt) -> (&str, Option<u64>, bool) {
    match &attempt.outcome {
        Outcome::Retry { error, after, reached } => {
            (&error.code, after.map(|after| after.as_secs()), *reached)
        }
        other @ (Outcome::Done { .. } | Outcome::Failed { .. }) => panic!("{other:?}"),
    }
}

pub fn done(attempt: &Attempt) -> &Value {
    match &attempt.outcome {
        Outcome::Done { output, .. } => output,
        other @ (Outcome::Retry { .. } | Outcome::Failed { .. }) => panic!("{other:?}"),
    }
}

pub fn kept(attempt: &Attempt) -> &Response {
    attempt.response.as_ref().unwrap()
}
