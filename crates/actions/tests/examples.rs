//! The example workflows, against the actions that exist.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use automation_actions::node_types;
use automation_domain::limits::Limits;
use automation_domain::priority::Priority;
use automation_domain::workflow::{self, Workflow};
use std::collections::BTreeMap;
use std::path::Path;

fn examples() -> BTreeMap<String, Workflow> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_workflow = |name: &str| name.ends_with(".yaml") && !name.ends_with(".test.yaml");
    let workflows = files.filter(|file| is_workflow(&file.to_string_lossy()));
    workflows
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            match workflow::parse(&text, node_types(), &Limits::default()) {
                Ok(workflow) => (name, workflow),
                Err(problems) => panic!("{name}: {problems:#?}"),
            }
        })
        .collect()
}

#[test]
fn every_example_compiles_without_a_warning_and_is_named_after_its_key() {
    for (name, workflow) in examples() {
        assert_eq!(workflow.warnings, [], "{name}");
        assert_eq!(workflow.key, name);
    }
}

#[test]
fn the_examples_cover_every_priority() {
    let examples = examples();
    for priority in [Some(Priority::High), None, Some(Priority::Low)] {
        assert!(examples.values().any(|workflow| workflow.priority == priority), "{priority:?}");
    }
}
