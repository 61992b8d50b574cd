//! The JSON Schema of workflow files, as committed for editors.

use automation_domain::workflow::json_schema;
use serde_json::Value;
use std::path::PathBuf;

/// Compares, or writes the file when `AUTOMATION_BLESS` is set.
#[test]
fn the_committed_schema_is_what_the_code_says() {
    let schema = json_schema(automation_actions::node_types());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/workflow.schema.json");
    if std::env::var_os("AUTOMATION_BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
    }
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        committed == schema,
        "docs/workflow.schema.json is not what the code says: run this test once with AUTOMATION_BLESS=1 and commit it"
    );
}

/// Every action that can be used has its options in the documentation of workflows.
#[test]
fn every_available_action_and_option_is_documented() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/workflows.md");
    let text = std::fs::read_to_string(path).unwrap();
    for known in automation_actions::node_types().iter() {
        let key = known.kind.entry().key;
        let heading = format!("### {key}\n");
        let section = text.split_once(&heading).unwrap_or_else(|| panic!("no heading {key}")).1;
        let section = section.split("\n##").next().unwrap();
        for option in known.schema["properties"].as_object().unwrap().keys() {
            assert!(section.contains(&format!("`{option}`")), "{key}.{option}");
        }
    }
}
