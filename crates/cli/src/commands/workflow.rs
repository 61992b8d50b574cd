//! `automation workflow`: files and published workflows.

mod credentials;
mod parts;

use crate::exit;
use crate::output::{Output, exact, note, say};
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::encoding;
use automation_domain::id::{VersionId, WorkflowId};
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::{Workflow, json_schema, parse};
use automation_operations::Session;
use automation_service_kit::config::LimitsConfig;
use automation_service_kit::ids;
use automation_store::audit::{self, Auditor, Deed};
use automation_store::workflows::{self, Applied, StoredWorkflow};
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
            apply(checked, most_bytes, &audit.auditor()?, &tenant.open().await?, output).await
        }
        WorkflowCommand::List { tenant } => {
            let session = tenant.open().await?;
            let all = session
                .db
                .tx(session.scope(), async |connection| workflows::list(connection, session.tenant).await)
                .await?;
            let suspended = parts::all(&session).await?;
            let rows = all
                .iter()
                .map(|stored| {
                    let events: Vec<Value> = stored.definition["triggers"]
                        .as_array()
                        .map(|triggers| triggers.iter().map(event_of).collect())
                        .unwrap_or_default();
                    json!({
                        "key": stored.key, "name": stored.name, "state": stored.state, "version": stored.version,
                        "events": events, "suspended": parts::names(&suspended, stored.version_id),
                        "id": stored.workflow_id,
                    })
                })
                .collect();
            let columns = ["key", "name", "state", "version", "events", "suspended"];
            // A column for what hardly ever is would take room from the others.
            let shown = if suspended.is_empty() { &columns[..5] } else { &columns };
            output.list(shown, rows, None);
            Ok(())
        }
        WorkflowCommand::Show { key, format, tenant } => {
            let session = tenant.open().await?;
            let stored = find(&session, &key).await?;
            parts::warn(&parts::all(&session).await?, &key, stored.version_id);
            match (output.is_json(), format) {
                (true, _) => exact(&stored.definition.to_string()),
                (false, Format::Json) => {
                    say(Lines::of_block(&serde_json::to_string_pretty(&stored.definition)?))
                }
                (false, Format::Yaml) => say(as_yaml(&stored.definition)?),
            }
            Ok(())
        }
        WorkflowCommand::Pause { key, audit, tenant } => {
            set_state(&tenant.open().await?, &audit.auditor()?, &key, "paused", output).await
        }
        WorkflowCommand::Resume { key, audit, tenant } => {
            set_state(&tenant.open().await?, &audit.auditor()?, &key, "active", output).await
        }
        WorkflowCommand::ResumePart { key, part, audit, tenant } => {
            parts::resume(&tenant.open().await?, &audit.auditor()?, &key, &part, output).await
        }
        WorkflowCommand::Schema => {
            exact(&serde_json::to_string_pretty(&json_schema(automation_actions::contracts()))?);
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
        let unreadable = |why: String| {
            exit::usage(format!("cannot read {}: {why}", file.display()), "name files that exist, in UTF-8")
        };
        let bytes = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
        let text = encoding::text_of(bytes).map_err(unreadable)?;
        match parse(&text, automation_actions::contracts(), limits) {
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
    checked: Vec<Checked>,
    most_entry_bytes: usize,
    auditor: &Auditor,
    session: &Session,
    output: &Output,
) -> anyhow::Result<()> {
    credentials::warn_of_missing(&checked, session).await?;
    let mut rows = Vec::new();
    for Checked { workflow, .. } in &checked {
        let (workflow_id, version_id) = (WorkflowId(ids::new_id()), VersionId(ids::new_id()));
        let applied = session
            .db
            .tx(session.scope(), async |connection| {
                let tenant = session.tenant;
                let applied = workflows::apply(connection, tenant, workflow, workflow_id, version_id).await?;
                if !matches!(applied, Applied::Unchanged { .. }) {
                    workflows::check_entry_bytes(connection, tenant, most_entry_bytes).await?;
                    let (result, version) = told(applied);
                    let detail = json!({ "result": result, "version": version });
                    let deed = deed("workflow.publish", &workflow.key, detail);
                    audit::append(connection, tenant, auditor, &[deed]).await?;
                }
                Ok::<_, automation_store::Error>(applied)
            })
            .await?;
        let (result, version) = told(applied);
        rows.push(json!({ "key": workflow.key, "result": result, "version": version }));
    }
    output.list(&["key", "result", "version"], rows, None);
    Ok(())
}

fn told(applied: Applied) -> (&'static str, i32) {
    match applied {
        Applied::Created => ("created", 1),
        Applied::Published { version } => ("published", version),
        Applied::Unchanged { version } => ("unchanged", version),
    }
}

fn deed(action: &'static str, key: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("workflow {key}"), detail }
}

/// The event that a trigger listens for, or when it fires by itself.
fn event_of(trigger: &Value) -> Value {
    let schedule = &trigger["schedule"];
    match (schedule["cron"].as_str(), schedule["every"].as_str()) {
        (Some(expression), _) => {
            format!("cron {expression} {}", schedule["timezone"].as_str().unwrap_or("UTC")).into()
        }
        (None, Some(interval)) => format!("every {interval}").into(),
        (None, None) => trigger["event"].clone(),
    }
}

async fn find(session: &Session, key: &str) -> anyhow::Result<StoredWorkflow> {
    session
        .db
        .tx(session.scope(), async |connection| workflows::by_key(connection, session.tenant, key).await)
        .await?
        .ok_or_else(|| exit::not_found(format!("there is no workflow \"{key}\""), "automation workflow list"))
}

/// Wakes the runs that were held, a bounded number in each transaction.
async fn release_held(session: &Session, workflow: WorkflowId) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let last = session
            .db
            .tx(session.scope(), async |connection| {
                workflows::release_held(connection, session.tenant, workflow, after, 1_000).await
            })
            .await?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

async fn set_state(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    state: &str,
    output: &Output,
) -> anyhow::Result<()> {
    let stored = find(session, key).await?;
    let changed = session
        .db
        .tx(session.scope(), async |connection| {
            let tenant = session.tenant;
            let changed = workflows::set_state(connection, tenant, stored.workflow_id, state).await?;
            if changed {
                let action = if state == "paused" { "workflow.pause" } else { "workflow.resume" };
                audit::append(connection, tenant, auditor, &[deed(action, key, json!({}))]).await?;
            }
            Ok::<_, automation_store::Error>(changed)
        })
        .await?;
    // Also when it was active already: an earlier resume may have been interrupted here.
    if state == "active" {
        release_held(session, stored.workflow_id).await?;
    }
    output.one(&json!({ "key": key, "state": state, "changed": changed }), || match changed {
        true => format!("workflow {key} is {state}"),
        false => format!("workflow {key} was {state} already"),
    });
    Ok(())
}
