//! Files that hold workflows: read, checked, and what is wrong with all of them told at once.

use crate::exit;
use crate::output::{Output, exact, note, say};
use automation_domain::encoding;
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::Workflow;
use automation_operations::workflows::{self, InFile};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file that can be published.
pub struct Checked {
    /// As it was named.
    pub file: String,
    /// What it holds.
    pub workflow: Workflow,
}

impl Checked {
    /// What is worth saying of it, for programs.
    pub fn warnings(&self) -> impl Iterator<Item = Value> + '_ {
        self.workflow.warnings.iter().map(|warning| found(&self.file, warning))
    }
}

/// A problem or warning for programs.
fn found(file: &str, problem: &Problem) -> Value {
    json!({ "file": file, "path": problem.path, "code": problem.code, "message": problem.message })
}

/// The text of a file.
pub fn text(file: &Path) -> anyhow::Result<String> {
    let unreadable = |why: String, next| exit::usage(format!("cannot read {}: {why}", file.display()), next);
    let bytes = std::fs::read(file)
        .map_err(|error| unreadable(error.to_string(), "name files that exist and can be read"))?;
    encoding::text_of(bytes)
        .map_err(|why| unreadable(why, "name a file that holds a workflow as YAML or JSON, in UTF-8"))
}

/// Compiles every file; prints all problems of all of them.
pub fn check(files: &[PathBuf], limits: &Limits, output: &Output) -> anyhow::Result<Vec<Checked>> {
    let (mut checked, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        let shown = file.display().to_string();
        match workflows::compile(&text(file)?, limits) {
            Ok(workflow) => {
                for warning in &workflow.warnings {
                    note(format!("{shown}: warning: {warning}"));
                }
                checked.push(Checked { file: shown, workflow });
            }
            Err(all) => problems.extend(all.into_iter().map(|problem| (shown.clone(), problem))),
        }
    }
    if problems.is_empty() {
        let all: Vec<InFile<'_>> =
            checked.iter().map(|Checked { file, workflow }| InFile { file, workflow }).collect();
        problems = workflows::twice(&all);
    }
    match problems.is_empty() {
        true => Ok(checked),
        false => Err(told(&checked, &problems, output)),
    }
}

/// The workflows that paths name, each once: files themselves, and what is in folders and below. Hidden ones and tests of workflows
/// (`*.test.yaml`) are passed over.
pub fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    expand_to(paths, is_workflow, "there is no workflow file", "files that end in .yaml, .yml or .json")
}

/// The tests of workflows that paths name, in the same way.
pub fn expand_tests(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    expand_to(
        paths,
        is_test,
        "there are no tests of workflows",
        "files that end in .test.yaml, .test.yml or .test.json",
    )
}

fn expand_to(
    paths: &[PathBuf],
    is_wanted: fn(&str) -> bool,
    none: &str,
    wanted: &str,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        below(path, is_wanted, &mut files).map_err(|error| {
            let what = format!("cannot read {}: {error}", path.display());
            exit::usage(what, "name folders that exist and can be read")
        })?;
        if files.len() == before {
            let what = format!("{none} in {}", path.display());
            return Err(exit::usage(what, format!("name a folder with {wanted}")));
        }
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// In the order of their names. A link to a folder is not followed: it may lead back.
fn below(folder: &Path, is_wanted: fn(&str) -> bool, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            below(&path, is_wanted, files)?;
        } else if path.is_file() && is_wanted(&name) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_workflow(name: &str) -> bool {
    stem(name).is_some_and(|stem| !stem.ends_with(TEST))
}

fn is_test(name: &str) -> bool {
    stem(name).is_some_and(|stem| stem.ends_with(TEST))
}

/// What the names of tests end in, before what those of all files do.
const TEST: &str = ".test";

fn stem(name: &str) -> Option<&str> {
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))
}

/// Whether a name is that of a file: one that is there, or that ends as files do.
pub fn is_file(name: &str) -> bool {
    Path::new(name).is_file() || stem(name).is_some()
}

const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// The workflow's file beside one of tests: of the same name, if there is one.
pub fn beside(tests: &Path) -> Option<PathBuf> {
    let name = tests.file_name()?.to_string_lossy();
    let name = stem(&name)?.strip_suffix(TEST)?;
    ENDINGS.iter().map(|ending| tests.with_file_name(format!("{name}{ending}"))).find(|file| file.is_file())
}

/// Prints problems, each with its file, and gives the failure that they are.
pub fn told(checked: &[Checked], problems: &[(String, Problem)], output: &Output) -> anyhow::Error {
    if output.is_json() {
        let rows: Vec<Value> = problems.iter().map(|(file, problem)| found(file, problem)).collect();
        let warnings: Vec<Value> = checked.iter().flat_map(Checked::warnings).collect();
        exact(&json!({ "valid": checked.len(), "problems": rows, "warnings": warnings }).to_string());
    } else {
        for (file, problem) in problems {
            say(format!("{file}: {problem}"));
        }
    }
    let count = problems.len();
    let what = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    exit::wrong(what, "mend what is listed; docs/errors.md explains each code")
}
