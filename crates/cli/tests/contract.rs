//! What other teams build against: the AsyncAPI document and the schemas of payloads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use automation_domain::catalogue::{self, payload};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn call(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_automation")).args(arguments).env_clear().output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = call(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_committed_asyncapi_document_is_what_the_code_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/asyncapi.yaml");
    let written = printed(&["catalog", "--asyncapi"]);
    if std::env::var("AUTOMATION_BLESS").is_ok_and(|bless| bless == "1") {
        std::fs::write(&file, &written).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == written,
        "docs/asyncapi.yaml is not what `automation catalog --asyncapi` prints; AUTOMATION_BLESS=1 cargo test -p \
         automation-cli --test contract writes it"
    );
    let document: Value = yaml_serde::from_str(&committed).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
}

#[test]
fn every_schema_is_printed_with_its_example() {
    let schemas: Value = serde_json::from_str(&printed(&["catalog", "--schemas"])).unwrap();
    assert_eq!(schemas.as_object().unwrap().len(), catalogue::triggers().len());
    for entry in catalogue::triggers() {
        let schema = &schemas[entry.key];
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{}", entry.key);
        assert_eq!(&schema["examples"][0], payload::example(entry.key).unwrap(), "{}", entry.key);
    }
    let one: Value = serde_json::from_str(&printed(&["catalog", "--schemas", "order.created"])).unwrap();
    assert_eq!(one, schemas["order.created"]);
    let unknown = call(&["catalog", "--schemas", "order.create"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean \"order.created\"?"));
}

#[test]
fn a_checked_event_that_does_not_follow_its_schema_is_not_published() {
    // Nothing listens there: had it been published, the exit code would be 4.
    let url = ["AMQP_URL", "amqp://u:p@127.0.0.1:1/x"];
    let publish = |data: &str| {
        Command::new(env!("CARGO_BIN_EXE_automation"))
            .args([
                "event",
                "publish",
                "--check",
                "--tenant",
                "acme",
                "--type",
                "order.created",
                "--data",
                data,
            ])
            .env_clear()
            .env(url[0], url[1])
            .output()
            .unwrap()
    };
    let wrong = publish(r#"{ "order_id": 7 }"#);
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("data/order_id") && said.contains("[schema_mismatch]"), "{said}");
    assert_eq!(publish(r#"{ "order_id": "7", "colour": "red" }"#).status.code(), Some(4));
}
