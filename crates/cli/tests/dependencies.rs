//! The arrows between crates: who may import whom.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// For each crate, those of ours that it may depend on. Services never import each other.
const ARROWS: [(&str, &[&str]); 19] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("broker", &["domain"]),
    ("actions", &["domain"]),
    ("service-kit", &["domain"]),
    ("vault", &["domain"]),
    ("connectors", &["domain"]),
    // It takes requests in, whatever they are about, and so knows neither server.
    ("http-server", &["domain", "service-kit"]),
    // It checks who calls webhooks, for which it opens their secrets; it runs nothing.
    ("door", &["domain", "store", "broker", "service-kit", "vault", "http-server"]),
    ("ingest", SERVICE),
    // Of the roles, the executor alone calls the world outside.
    ("executor", &["domain", "store", "broker", "actions", "service-kit", "vault", "connectors"]),
    ("scheduler", SERVICE),
    // What people do, whoever asks for it. No role uses it: people come by the command line.
    ("operations", &["domain", "store", "broker", "actions", "service-kit", "vault"]),
    // It plays what the roles do, in memory: it reads supposed answers as connectors read received ones, and sends nothing.
    ("simulation", &["domain", "actions", "connectors"]),
    ("client", &[]),
    ("cli", ENGINE),
    ("test-support", &["domain", "store", "broker"]),
    // Programs for development: the demo is another service's publisher, the benchmark drives the engine itself.
    ("demo", &["client"]),
    (
        "bench",
        &[
            "domain",
            "store",
            "broker",
            "actions",
            "service-kit",
            "ingest",
            "executor",
            "scheduler",
            "client",
            "test-support",
        ],
    ),
];
const SERVICE: &[&str] = &["domain", "store", "broker", "actions", "service-kit"];
const ENGINE: &[&str] = &[
    "domain",
    "store",
    "broker",
    "actions",
    "service-kit",
    "vault",
    "operations",
    "simulation",
    "door",
    "ingest",
    "executor",
    "scheduler",
];

/// Libraries that few places may know, so that what they stand for can be changed there. The benchmark has SQL of its
/// own: the raw run cycle that the engine is measured against.
const OWNED: [(&str, &[&str]); 5] = [
    ("lapin", &["broker", "client"]),
    ("deadpool-lapin", &["broker"]),
    ("sqlx", &["store", "test-support", "bench"]),
    ("chacha20poly1305", &["vault"]),
    ("hyper-util", &["http-server"]),
];

/// Normal and build dependencies of every crate of the workspace, by name without the prefix.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().trim_start_matches("automation-").to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap().iter();
            let shipped = all.filter(|dependency| dependency["kind"] != "dev");
            (name(package), shipped.map(name).collect())
        })
        .collect()
}

#[test]
fn crates_depend_on_those_below_them_only() {
    let dependencies = dependencies();
    let allowed: BTreeMap<_, _> = ARROWS.into_iter().collect();
    for (package, dependencies) in &dependencies {
        let Some(allowed) = allowed.get(package.as_str()) else {
            panic!("{package} is not in the table of arrows: a new crate is a design decision");
        };
        for ours in dependencies.iter().filter(|name| dependencies_of_workspace(name)) {
            assert!(allowed.contains(&ours.as_str()), "{package} may not depend on {ours}");
        }
    }
}

fn dependencies_of_workspace(name: &str) -> bool {
    ARROWS.iter().any(|(package, _)| *package == name)
}

#[test]
fn the_domain_knows_no_clock_network_or_runtime() {
    let domain = &dependencies()["domain"];
    for forbidden in ["tokio", "sqlx", "lapin", "reqwest", "axum", "tracing", "rand"] {
        assert!(!domain.contains(forbidden), "the domain is pure, and may not depend on {forbidden}");
    }
}

#[test]
fn a_library_with_an_owner_is_used_by_its_owner_alone() {
    let dependencies = dependencies();
    for (library, owners) in OWNED {
        for (package, dependencies) in &dependencies {
            assert!(
                !dependencies.contains(library) || owners.contains(&package.as_str()),
                "{package} may not depend on {library}: that belongs to {}",
                owners.join(" and ")
            );
        }
    }
}

/// Past the type of a connection, statements are tried by tests alone: elsewhere its role says what it may do.
#[test]
fn no_crate_goes_past_the_role_of_a_connection() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (name, _) in ARROWS {
        for (file, text) in sources(&crates.join(name).join("src")) {
            assert!(!text.contains(".bare()"), "{name}/src/{file}");
        }
    }
}

#[test]
fn a_simulation_makes_no_client_and_reads_no_clock() {
    let simulation = Path::new(env!("CARGO_MANIFEST_DIR")).join("../simulation/src");
    let files = sources(&simulation);
    assert!(files.len() > 10);
    for (file, text) in files {
        for word in ["Connectors", ".perform", "Utc::now", "SystemTime::now", "std::fs", "async "] {
            assert!(!text.contains(word), "{file}: {word}");
        }
    }
}

/// What a person does is done by a use case, which others can call too: a command reads arguments and shows results.
#[test]
fn no_command_opens_a_transaction_or_asks_the_store() {
    let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    let (mut found, mut read) = (Vec::new(), 0);
    for (file, text) in sources(&commands) {
        read += 1;
        for word in [".tx(", ".begin(", "Scope::", "audit::append", "automation_store"] {
            if text.contains(word) {
                found.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(read > 30, "only {read} files were read");
    // The schema is brought up to date before there is anything to do.
    assert_eq!(found, ["migrate.rs: automation_store"]);
}

/// Every file below a folder, by its name, with its text.
fn sources(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(sources(&path).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}
