//! `automation workflow`: files and published workflows.

use crate::exit;
use crate::output::{Output, exact, note, say, time};
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::encoding;
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::{Workflow, json_schema};
use automation_operations::workflows::{self, PartResumed, StateSet, Suspended};
use automation_operations::{Auditor, Page, Session};
use automation_service_kit::config::LimitsConfig;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to do with workflows.
#[derive(Subcommand, Debug)]
pub enum WorkflowCommand {
    /// Check files and print everything that is wrong with them
    Validate {
        /// YAML or JSON files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        limits: LimitsConfig,
    },
    /// Publish files; one that is published as it is stays
    Apply {
        /// YAML or JSON files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        limits: LimitsConfig,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// List a tenant's workflows
    List {
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Print a published definition
    Show {
        /// The workflow's key
        key: String,
        /// As what
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        format: Format,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Start no new runs, and hold open ones before their next step
    Pause {
        /// The workflow's key
        key: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Start runs again, and let held ones go on
    Resume {
        /// The workflow's key
        key: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Evaluate a part again that was suspended because processes died or hung over it
    ResumePart {
        /// The workflow's key
        key: String,
        /// trigger/<id>, node/<id> or enrolment
        part: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Print the JSON Schema of workflow files
    Schema,
}

/// How a definition is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people and files.
    Yaml,
    /// For programs.
    Json,
}

/// Runs the command.
pub async fn run(command: WorkflowCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        WorkflowCommand::Validate { files, limits } => {
            let checked = check(&files, &limits.limits, output)?;
            let warnings: Vec<Value> = checked.iter().flat_map(Checked::warnings).collect();
            let all = json!({ "valid": checked.len(), "problems": [], "warnings": warnings });
            output.one(&all, || match checked.len() {
                1 => "1 file is valid".to_owned(),
                count => format!("{count} files are valid"),
            });
            Ok(())
        }
        WorkflowCommand::Apply { files, limits, audit, tenant } => {
            let checked = check(&files, &limits.limits, output)?;
            let most_bytes = limits.limits.cache_bytes;
            apply(&checked, most_bytes, &audit.auditor()?, &tenant.open().await?, output).await
        }
        WorkflowCommand::List { tenant } => {
            let all = workflows::list(&tenant.open().await?).await?;
            let columns = ["key", "name", "state", "version", "events", "suspended"];
            // A column for what hardly ever is would take room from the others.
            let has_suspended = all.data.iter().any(|workflow| !workflow.suspended.is_empty());
            output.page(if has_suspended { &columns } else { &columns[..5] }, &all);
            Ok(())
        }
        WorkflowCommand::Show { key, format, tenant } => {
            let shown = workflows::show(&tenant.open().await?, &key).await?;
            warn_of(&shown.suspended, &key);
            match (output.is_json(), format) {
                (true, _) => exact(&shown.definition.to_string()),
                (false, Format::Json) => {
                    say(Lines::of_block(&serde_json::to_string_pretty(&shown.definition)?))
                }
                (false, Format::Yaml) => say(as_yaml(&shown.definition)?),
            }
            Ok(())
        }
        WorkflowCommand::Pause { key, audit, tenant } => {
            let session = tenant.open().await?;
            show_state(&workflows::pause(&session, &audit.auditor()?, &key).await?, output);
            Ok(())
        }
        WorkflowCommand::Resume { key, audit, tenant } => {
            let session = tenant.open().await?;
            show_state(&workflows::resume(&session, &audit.auditor()?, &key).await?, output);
            Ok(())
        }
        WorkflowCommand::ResumePart { key, part, audit, tenant } => {
            let session = tenant.open().await?;
            let resumed = workflows::resume_part(&session, &audit.auditor()?, &key, &part).await?;
            let PartResumed { part, version, .. } = &resumed;
            output.one(&resumed, || match resumed.changed {
                true => format!("{part} of {key} is evaluated again"),
                false => format!("{part} of version {version} of {key} was not suspended"),
            });
            Ok(())
        }
        WorkflowCommand::Schema => {
            exact(&serde_json::to_string_pretty(&json_schema(automation_actions::node_types()))?);
            Ok(())
        }
    }
}

/// A definition as a file that can be applied. JSON is YAML too, and can say what is not shown.
fn as_yaml(definition: &Value) -> anyhow::Result<Lines> {
    let yaml = yaml_serde::to_string(definition)?;
    let shown = Lines::of_block(&yaml);
    match shown.text() == yaml.trim_end() {
        true => Ok(shown),
        false => Ok(Lines::of_block(&serde_json::to_string_pretty(definition)?)),
    }
}

/// A file that can be published.
struct Checked {
    file: String,
    workflow: Workflow,
}

impl Checked {
    fn warnings(&self) -> impl Iterator<Item = Value> + '_ {
        self.workflow.warnings.iter().map(|warning| found(&self.file, warning))
    }
}

/// A problem or warning for programs.
fn found(file: &str, problem: &Problem) -> Value {
    json!({ "file": file, "path": problem.path, "code": problem.code, "message": problem.message })
}

/// Compiles every file; prints all problems of all of them.
fn check(files: &[PathBuf], limits: &Limits, output: &Output) -> anyhow::Result<Vec<Checked>> {
    let (mut checked, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        let unreadable =
            |why: String, next| exit::usage(format!("cannot read {}: {why}", file.display()), next);
        let bytes = std::fs::read(file)
            .map_err(|error| unreadable(error.to_string(), "name files that exist and can be read"))?;
        let text = encoding::text_of(bytes)
            .map_err(|why| unreadable(why, "name a file that holds a workflow as YAML or JSON, in UTF-8"))?;
        match workflows::compile(&text, limits) {
            Ok(workflow) => {
                for warning in &workflow.warnings {
                    note(format!("{}: warning: {warning}", file.display()));
                }
                checked.push(Checked { file: file.display().to_string(), workflow });
            }
            Err(all) => problems.extend(all.into_iter().map(|problem| (file.display().to_string(), problem))),
        }
    }
    if problems.is_empty() {
        return Ok(checked);
    }
    if output.is_json() {
        let rows: Vec<Value> = problems.iter().map(|(file, problem)| found(file, problem)).collect();
        let warnings: Vec<Value> = checked.iter().flat_map(Checked::warnings).collect();
        exact(&json!({ "valid": checked.len(), "problems": rows, "warnings": warnings }).to_string());
    } else {
        for (file, problem) in &problems {
            say(format!("{file}: {problem}"));
        }
    }
    let count = problems.len();
    let what = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
    Err(exit::wrong(what, "mend what is listed; docs/errors.md explains each code"))
}

async fn apply(
    checked: &[Checked],
    most_entry_bytes: usize,
    auditor: &Auditor,
    session: &Session,
    output: &Output,
) -> anyhow::Result<()> {
    let all: Vec<&Workflow> = checked.iter().map(|checked| &checked.workflow).collect();
    for (Checked { file, .. }, missing) in
        checked.iter().zip(workflows::missing_credentials(session, &all).await?)
    {
        for problem in missing {
            note(format!("{file}: warning: {problem}"));
        }
    }
    let mut applied = Vec::new();
    for workflow in all {
        applied.push(workflows::apply(session, auditor, workflow, most_entry_bytes).await?);
    }
    output.page(&["key", "result", "version"], &Page::whole(applied));
    Ok(())
}

/// Says on standard error which parts are suspended, since when, and what lifts it: standard output is the definition's.
fn warn_of(suspended: &[Suspended], key: &str) {
    for one in suspended {
        note(vec![
            format!(
                "warning: {} of {key} is suspended since {}: {} processes died or hung while they evaluated it",
                one.part,
                time(one.suspended_at),
                one.deaths
            ),
            exit::as_typed(&format!(
                "  next: publish a version that mends it, or: automation workflow resume-part {key} {}",
                one.name()
            )),
        ]);
    }
}

fn show_state(set: &StateSet, output: &Output) {
    let StateSet { key, state, changed } = set;
    output.one(set, || match changed {
        true => format!("workflow {key} is {state}"),
        false => format!("workflow {key} was {state} already"),
    });
}
