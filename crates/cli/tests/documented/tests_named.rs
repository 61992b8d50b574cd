//! Every invariant of `docs/ARCHITECTURE.md` names files and tests that there are.

use crate::pages;
use std::collections::BTreeSet;

#[test]
fn every_invariant_names_a_place_and_a_test_that_there_are() {
    let code = pages::rust_below("crates", |_| true);
    // Folders are named as well as files.
    let files: BTreeSet<String> = ["crates", "migrations", "rabbitmq"]
        .into_iter()
        .flat_map(pages::below)
        .flat_map(|path| path.ancestors().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>())
        .collect();
    let rows = pages::page("docs/ARCHITECTURE.md").table("| what always holds |");
    assert!(rows.len() > 40, "only {} invariants were found", rows.len());
    for row in &rows {
        let [what, place, test] = row.as_slice() else { panic!("three cells, not {row:?}") };
        for span in place.split('`').skip(1).step_by(2) {
            // A path below `crates`, the root, or a folder of either; the rest are names in the code.
            if span.contains('/') || span.ends_with(".rs") || span.ends_with(".toml") {
                let path = span.trim_end_matches('/');
                assert!(
                    files.iter().any(|file| file.ends_with(path)) || pages::root().join(path).exists(),
                    "{what}: there is no {span}"
                );
            }
        }
        let tests: Vec<&str> = test.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{what}: no test is named");
        for name in tests {
            let there = match name.strip_suffix(".rs") {
                Some(_) => files.iter().any(|file| file.ends_with(&format!("/{name}"))),
                None => {
                    let start = name.trim_end_matches('…');
                    code.contains(&format!("fn {start}"))
                        || files.iter().any(|file| file.ends_with(&format!("/{start}")))
                }
            };
            assert!(there, "{what}: there is no test {name}");
        }
    }
}
