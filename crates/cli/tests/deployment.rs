//! The files for a deployment name what exists: variables, options, files, secrets, services.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// docker-compose.yml with its merge keys resolved.
fn compose() -> Value {
    let mut document: yaml_serde::Value = yaml_serde::from_str(&read("docker-compose.yml")).unwrap();
    document.apply_merge().unwrap();
    serde_json::to_value(document).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

/// The services that run `automation`.
fn engine_services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    services(compose)
        .filter(|(_, service)| service["image"].as_str().is_some_and(|image| image.contains("ENGINE_IMAGE")))
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(command)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?} is no command");
    String::from_utf8(output.stdout).unwrap()
}

/// Names of settings in a text: capitals, digits and underscores after `prefix`.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_part =
        |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    text.match_indices(prefix)
        .map(|(at, _)| {
            let name = text[at..].trim_start_matches("[env: ");
            name[..name.find(|character| !is_part(character)).unwrap_or(name.len())].to_owned()
        })
        .collect()
}

/// Every file below `folder` that git would keep, except the secrets somebody made for a trial.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("compose/secrets") => {}
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn every_variable_of_the_deployment_is_documented() {
    let documented = names(&read("docs/configuration.md"), "AUTOMATION_");
    let mut deployment = vec![root().join("docker-compose.yml")];
    files(&root().join("deploy"), &mut deployment);
    let mut seen = 0;
    for file in deployment {
        for name in names(&fs::read_to_string(&file).unwrap(), "AUTOMATION_") {
            assert!(documented.contains(&name), "{} names {name}, which nobody reads", file.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} variables were found");
}

#[test]
fn every_setting_of_a_role_is_documented() {
    let documented = read("docs/configuration.md");
    let settings = names(&help(&["serve"]), "[env: ");
    assert!(settings.len() > 20, "only {settings:?}");
    for name in settings {
        assert!(documented.contains(&format!("`{name}`")), "docs/configuration.md does not name {name}");
    }
}

#[test]
fn every_service_gives_its_command_options_and_variables_that_it_reads() {
    let compose = compose();
    // What is not started by `serve`: the commands that it is there for.
    let others: [(&str, &[&[&str]]); 3] = [
        ("migrate", &[&["migrate"], &["topology", "apply"], &["topology", "check"]]),
        ("cli", &[&["doctor"], &["run", "list"], &["credential", "set"], &["hook", "create"]]),
        ("rekey", &[&["credential", "rekey"], &["hook", "rekey"]]),
    ];
    let mut roles = BTreeSet::new();
    for (name, service) in engine_services(&compose) {
        let command = words(&service["command"]);
        let text = match others.iter().find(|(other, _)| other == name) {
            Some((_, commands)) => commands.iter().map(|command| help(command)).collect::<String>(),
            None => {
                assert_eq!(&command[..2], ["serve", "--roles"], "{name}");
                roles.insert(command[2].to_owned());
                help(&["serve"])
            }
        };
        for option in command.iter().filter(|word| word.starts_with("--")) {
            assert!(text.contains(option), "{name} is given {option}");
        }
        let read = names(&text, "[env: ");
        for variable in service["environment"].as_object().unwrap().keys() {
            // The executor is what opens credentials, in every version that has an action which uses them.
            let of_credentials = name == "executor" && variable == "AUTOMATION_ENCRYPTION_KEYS_FILE";
            // A variable without a flag, which every command reads that connects to anything.
            let of_network = variable == "AUTOMATION_ALLOW_PLAINTEXT";
            let is_read = read.contains(variable) || of_credentials || of_network;
            assert!(is_read, "{name} does not read {variable}");
        }
        for probe in words(&service["healthcheck"]["test"]).get(1..).into_iter() {
            assert_eq!(probe, ["automation", "health"], "{name}");
        }
    }
    let every: BTreeSet<String> = ["door", "executor", "ingest", "scheduler"].map(str::to_owned).into();
    assert_eq!(roles, every, "a service for each role");
}

#[test]
fn services_wait_only_for_what_can_come() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for (other, wait) in service["depends_on"].as_object().into_iter().flatten() {
            let other_service = &compose["services"][other];
            match wait["condition"].as_str().unwrap() {
                "service_healthy" => {
                    assert!(other_service["healthcheck"]["test"].is_array(), "{name} waits for {other}");
                }
                "service_completed_successfully" => {
                    assert_eq!(other_service["restart"], "no", "{name} waits for the end of {other}");
                }
                condition => panic!("{name} waits for {condition} of {other}"),
            }
        }
    }
}

#[test]
fn every_role_may_drain_before_it_is_killed() {
    let compose = compose();
    let mut roles = 0;
    for (name, service) in engine_services(&compose) {
        if words(&service["command"]).first() != Some(&"serve") {
            continue;
        }
        roles += 1;
        let grace =
            service["stop_grace_period"].as_str().unwrap().trim_end_matches('s').parse::<u64>().unwrap();
        let drain =
            service["environment"]["AUTOMATION_DRAIN_SECONDS"].as_str().unwrap().parse::<u64>().unwrap();
        assert!(grace > drain + 3, "{name} drains for {drain} s and is killed after {grace} s");
    }
    assert_eq!(roles, 4);
}

#[test]
fn every_mounted_file_exists() {
    for (name, service) in services(&compose()) {
        for mount in words(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            if source.starts_with("./") {
                assert!(root().join(source).exists(), "{name} mounts {source}");
            }
        }
        if let Some(dockerfile) = service["build"]["dockerfile"].as_str() {
            assert!(root().join(dockerfile).is_file(), "{name} is built from {dockerfile}");
        }
    }
}

#[test]
fn the_secrets_that_are_made_are_those_that_are_used() {
    let folder = std::env::temp_dir().join(format!("automation-secrets-{}", uuid::Uuid::new_v4().simple()));
    let script = root().join("deploy/compose/make-secrets.sh");
    let made = Command::new("sh").arg(script).arg(&folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    fs::remove_dir_all(&folder).unwrap();

    let compose = compose();
    let mut defined = BTreeSet::new();
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        let file = secret["file"].as_str().unwrap().strip_prefix("deploy/compose/secrets/").unwrap();
        assert_eq!(name, file, "a secret is called like its file");
        defined.insert(name.clone());
    }
    assert_eq!(made, defined);

    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        let mut mounted = BTreeSet::new();
        for secret in service["secrets"].as_array().into_iter().flatten() {
            let source = secret.as_str().or_else(|| secret["source"].as_str()).unwrap();
            assert!(defined.contains(source), "{name} uses {source}");
            mounted.insert(source.to_owned());
        }
        for value in
            service["environment"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str())
        {
            if let Some(secret) = value.strip_prefix("/run/secrets/") {
                assert!(mounted.contains(secret), "{name} reads {secret}, which is not mounted");
            }
        }
        used.extend(mounted);
    }
    assert_eq!(used, defined, "every secret is used");
}

#[test]
fn what_is_mounted_becomes_readable_to_containers_in_a_checkout_that_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let checkout = std::env::temp_dir().join(format!("automation-umask-{}", uuid::Uuid::new_v4().simple()));
    let mut mounted = vec!["docker-compose.yml".to_owned()];
    for (_, service) in services(&compose()) {
        for mount in words(&service["volumes"]) {
            let source = mount.trim_start_matches("${WORKFLOWS:-").split(['}', ':']).next().unwrap();
            mounted.extend(source.strip_prefix("./").map(str::to_owned));
        }
    }
    assert!(mounted.len() > 8 && mounted.iter().any(|path| path == "examples"), "{mounted:?}");
    for path in &mounted {
        fs::create_dir_all(checkout.join(path).parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg("-R").arg(root().join(path)).arg(checkout.join(path)).status();
        assert!(copied.unwrap().success(), "{path}");
    }
    let private = Command::new("chmod").args(["-R", "go="]).arg(&checkout).status().unwrap();
    assert!(private.success());

    let script = root().join("deploy/compose/readable.sh");
    let done = Command::new("sh").arg(script).arg(&checkout).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    for path in &mounted[1..] {
        let (mut found, path) = (Vec::new(), checkout.join(path));
        if path.is_dir() {
            files(&path, &mut found);
        } else {
            found.push(path);
        }
        assert!(!found.is_empty());
        for file in found {
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o444, 0o444, "{} has mode {mode:o}", file.display());
        }
    }
    fs::remove_dir_all(&checkout).unwrap();
}

#[test]
fn logs_are_bounded() {
    for (name, service) in services(&compose()) {
        let options = &service["logging"]["options"];
        assert!(options["max-size"].is_string() && options["max-file"].is_string(), "{name}");
    }
}

#[test]
fn the_broker_is_told_the_memory_of_its_container() {
    let limit = compose()["services"]["rabbitmq"]["deploy"]["resources"]["limits"]["memory"].clone();
    let told = format!("total_memory_available_override_value = {}B", limit.as_str().unwrap());
    assert!(read("deploy/compose/rabbitmq.conf").lines().any(|line| line == told), "{told} is missing");
}

/// Their images declare volumes: what is mounted nowhere gets a volume without a name, which outlives its container.
#[test]
fn no_server_image_is_left_to_make_a_volume() {
    for (name, service) in services(&compose()) {
        let image = service["image"].as_str().unwrap();
        let folder = match image {
            image if image.contains("POSTGRES_IMAGE") => "/var/lib/postgresql/data",
            image if image.contains("RABBITMQ_IMAGE") => "/var/lib/rabbitmq",
            _ => continue,
        };
        let mounted = words(&service["volumes"]).iter().any(|mount| mount.split(':').nth(1) == Some(folder));
        assert!(mounted || words(&service["tmpfs"]).contains(&folder), "{name} leaves a volume behind");
    }
}

#[test]
fn a_build_replaces_no_image_of_somebody_elses_and_a_scale_can_be_kept() {
    let compose = compose();
    for (name, service) in services(&compose) {
        if !service["build"].is_null() {
            assert_eq!(service["image"], "automation-engine", "{name}");
            assert_eq!(words(&service["profiles"]), ["build"], "{name} would be started");
        }
        if words(&service["command"]).first() == Some(&"serve") {
            let replicas = format!("${{{}_REPLICAS:-2}}", name.to_uppercase());
            assert_eq!(service["deploy"]["replicas"], replicas.as_str(), "{name}");
        }
    }
}

#[test]
fn every_argument_of_the_image_is_named_in_the_stage_that_uses_it() {
    let dockerfile = read("deploy/Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").collect();
    assert_eq!(stages.len(), 3, "what stands before the first stage, and two stages");
    for name in ["RUST_VERSION", "DEBIAN"] {
        for stage in &stages[1..] {
            let (_base, body) = stage.split_once('\n').unwrap();
            let used = body.contains(&format!("${{{name}}}"));
            assert!(!used || body.contains(&format!("ARG {name}\n")), "{name} is empty in a stage");
        }
    }
}
