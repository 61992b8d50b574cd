//! Every variable of the documentation is read, and has the default that stands there.

use crate::pages;
use std::collections::BTreeMap;
use std::process::Command;

/// Variables and defaults, as `automation serve --help` prints them.
fn of_serve() -> BTreeMap<String, Option<String>> {
    let output = Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(["serve", "--help"])
        .env_clear()
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut settings = BTreeMap::new();
    let mut variable = None;
    for line in help.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("[env: ") {
            variable = Some(name.trim_end_matches(']').trim_end_matches('=').to_owned());
            settings.insert(variable.clone().unwrap(), None);
        } else if let (Some(value), Some(variable)) = (line.strip_prefix("[default: "), &variable) {
            settings.insert(variable.clone(), Some(value.trim_end_matches(']').to_owned()));
        }
    }
    settings
}

#[test]
fn every_default_is_the_one_that_stands_in_the_documentation() {
    let settings = of_serve();
    let rows = pages::page("docs/configuration.md").prose();
    let mut compared = 0;
    for (variable, default) in settings {
        let Some(row) = rows.lines().find(|line| line.starts_with(&format!("| `{variable}` |"))) else {
            continue;
        };
        let written = row.split('|').nth(2).unwrap().trim().trim_matches('`').replace(',', "");
        match default {
            Some(default) => assert_eq!(written, default.replace(',', ""), "{variable}"),
            // What has no default of its own says in words what holds then.
            None => assert!(
                written.parse::<f64>().is_err(),
                "{variable} has no default, and {written} stands there"
            ),
        }
        compared += 1;
    }
    assert!(compared > 60, "only {compared} were compared");
}
