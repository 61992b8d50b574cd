//! Any text as a workflow file: everything wrong with it is said, or it compiles, and its stored form compiles alike.
#![no_main]

use automation_domain::workflow;
use automation_fuzz::Sample;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let sample = Sample::default();
    let types = automation_actions::node_types();
    match workflow::parse(text, types, sample.limits()) {
        Ok(read) => {
            let stored = workflow::parse_value(&read.definition, types, sample.limits());
            let stored = stored.expect("what was read can be read again");
            assert_eq!(stored.definition, read.definition);
            assert_eq!(stored.nodes.len(), read.nodes.len());
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
});
