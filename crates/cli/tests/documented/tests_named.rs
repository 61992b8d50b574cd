//! Every invariant of `docs/ARCHITECTURE.md` and every answer of `docs/semantics.md` names files and tests that there are.

use crate::pages;
use std::collections::BTreeSet;

/// Fails for what a cell names that is no test: the beginning of a test function's name, or a file of tests.
fn check_tests(what: &str, cell: &str, code: &str, files: &BTreeSet<String>) {
    let tests: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    assert!(!tests.is_empty(), "{what}: no test is named");
    for name in tests {
        let start = name.trim_end_matches('…');
        let there = if name.ends_with(".rs") {
            files.iter().any(|file| file.ends_with(&format!("/{name}")))
        } else {
            code.contains(&format!("fn {start}"))
                || files.iter().any(|file| file.ends_with(&format!("/{start}")))
        };
        assert!(there, "{what}: there is no test {name}");
    }
}

#[test]
fn every_answer_of_what_happens_when_names_a_test_that_there_is() {
    let code = pages::rust_below("crates", |_| true);
    let files = pages::below("crates").iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let rows = pages::page("docs/semantics.md").tables("| what happens when… |");
    assert!(!rows.is_empty(), "no answers were found");
    for row in &rows {
        let [what, answer, test] = row.as_slice() else { panic!("three cells, not {row:?}") };
        assert!(!answer.is_empty(), "{what}: there is no answer");
        check_tests(what, test, &code, &files);
    }
}

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
        check_tests(what, test, &code, &files);
    }
}
