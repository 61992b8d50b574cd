//! `automation workflow test`: plays the tests that stand beside workflows.

mod junit;

use super::{files, story};
use crate::exit;
use crate::output::{Output, say};
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::Workflow;
use automation_operations::workflows;
use automation_service_kit::config::LimitsConfig;
use automation_simulation::test_file::{self, Case};
use automation_simulation::{Mismatch, Played, play};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `automation workflow test`.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Files of tests (*.test.yaml), or folders with such
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitsConfig,
}

/// A case that was played.
pub(super) struct Tested {
    /// The file, as it was named.
    file: String,
    /// The case.
    name: String,
    played: Played,
}

/// A problem, and in which file.
type Found = (String, Problem);

/// A file of tests with the workflows that it is about.
struct Ready {
    file: String,
    cases: Vec<Case>,
    tested: Workflow,
    /// By the names that the file has for them.
    others: BTreeMap<String, Workflow>,
}

pub(super) fn run(args: &TestArgs, output: &Output) -> anyhow::Result<()> {
    let limits = &args.limits.limits;
    let (mut ready, mut problems) = (Vec::new(), Vec::new());
    for path in files::expand_tests(&args.paths)? {
        match read(&path, limits)? {
            Ok(one) => ready.push(one),
            Err(all) => problems.extend(all),
        }
    }
    let mut results = Vec::new();
    for Ready { file, cases, tested, others } in &ready {
        for case in cases {
            let with: Vec<Workflow> =
                case.given.with.iter().filter_map(|name| others.get(name)).cloned().collect();
            match play(case, tested, &with, limits) {
                Ok(played) => {
                    results.push(Tested { file: file.clone(), name: case.name.clone(), played });
                }
                Err(all) => problems.extend(all.into_iter().map(|problem| (file.clone(), problem))),
            }
        }
    }
    if !problems.is_empty() {
        return Err(files::told(&[], &problems, output));
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::report(&results)?).map_err(|error| {
            exit::usage(
                format!("cannot write {}: {error}", file.display()),
                "name a file that can be written",
            )
        })?;
    }
    tell(&results, output)
}

/// Reads a file of tests and the workflows that it is about.
fn read(path: &Path, limits: &Limits) -> anyhow::Result<Result<Ready, Vec<Found>>> {
    let file = path.display().to_string();
    let of_file = |problems: Vec<Problem>| problems.into_iter().map(|one| (file.clone(), one)).collect();
    let tests = match test_file::read(&files::text(path)?, limits) {
        Ok(tests) => tests,
        Err(problems) => return Ok(Err(of_file(problems))),
    };
    let beside = |name: &str| path.parent().unwrap_or(Path::new("")).join(name);
    let Some(tested) = tests.workflow.as_deref().map(beside).or_else(|| files::beside(path)) else {
        let message = "there is no workflow of this name beside it: name its file with \"workflow\"";
        return Ok(Err(of_file(vec![Problem::new("missing_key", "workflow", message)])));
    };
    let compiled = |path: &Path| -> anyhow::Result<_> {
        let shown = path.display().to_string();
        let compiled = workflows::compile(&files::text(path)?, limits);
        Ok(compiled
            .map_err(|all| -> Vec<Found> { all.into_iter().map(|one| (shown.clone(), one)).collect() }))
    };
    let tested = match compiled(&tested)? {
        Ok(tested) => tested,
        Err(problems) => return Ok(Err(problems)),
    };
    let mut others = BTreeMap::new();
    for name in tests.cases.iter().flat_map(|case| &case.given.with) {
        if !others.contains_key(name) {
            match compiled(&beside(name))? {
                Ok(other) => drop(others.insert(name.clone(), other)),
                Err(problems) => return Ok(Err(problems)),
            }
        }
    }
    Ok(Ok(Ready { file, cases: tests.cases, tested, others }))
}

fn tell(results: &[Tested], output: &Output) -> anyhow::Result<()> {
    let failed = results.iter().filter(|result| !result.played.passed()).count();
    let passed = results.len() - failed;
    if output.is_json() {
        let cases: Vec<Value> = results.iter().map(Tested::json).collect();
        output.one(&json!({ "passed": passed, "failed": failed, "cases": cases }), || "");
    } else {
        for result in results {
            say(result.lines());
        }
        let count = if passed == 1 { "1 case".to_owned() } else { format!("{passed} cases") };
        say(format!("{count} passed, {failed} failed"));
    }
    match failed {
        0 => Ok(()),
        1 => Err(exit::unexpected("1 case did not come to what it expects")),
        _ => Err(exit::unexpected(format!("{failed} cases did not come to what they expect"))),
    }
}

impl Tested {
    fn json(&self) -> Value {
        let Self { file, name, played } = self;
        let mut shown = json!({
            "file": file, "case": name, "passed": played.passed(), "mismatches": played.mismatches,
        });
        if let Some(too_much) = played.too_much {
            shown["stopped"] = too_much.to_string().into();
        }
        if !played.passed() {
            shown["story"] = json!(played.simulation.story());
        }
        shown
    }

    fn lines(&self) -> Vec<String> {
        let Self { file, name, played } = self;
        let word = if played.passed() { "ok    " } else { "FAILED" };
        let mut lines = vec![format!("{word} {file}: {name}")];
        if !played.passed() {
            lines.extend(self.why().into_iter().map(|line| format!("  {line}")));
            lines.push("  how it went:".to_owned());
            lines.extend(story::told(&played.simulation).into_iter().map(|line| format!("    {line}")));
        }
        lines
    }

    /// What came otherwise than it was expected.
    fn why(&self) -> Vec<String> {
        let differs = |one: &Mismatch| {
            let (expected, actual) = (shown(&one.expected), shown(&one.actual));
            format!("{}: expected {expected}, came {actual}", one.path)
        };
        let stopped = self.played.too_much.map(|too_much| format!("it was stopped: {too_much}"));
        stopped.into_iter().chain(self.played.mismatches.iter().map(differs)).collect()
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { value.to_string() }
}
