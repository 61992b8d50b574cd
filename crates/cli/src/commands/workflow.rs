//! `automation workflow`: files and published workflows.

mod draft;
mod files;
mod folder;
mod goals;
mod lifecycle;
mod show;
mod simulate;
mod story;
mod test;
mod versions;

use crate::exit;
use crate::output::{Output, exact, note, time};
use crate::session::{AuditArgs, TenantArgs};
use automation_domain::workflow::json_schema;
use automation_operations::workflows::{self, Listing, PartResumed, StateSet, Suspended};
use automation_service_kit::config::LimitsConfig;
use automation_simulation::test_file;
use clap::Subcommand;
use files::{Checked, check, expand};
use serde_json::{Value, json};
use show::Format;
use std::path::PathBuf;

/// What to do with workflows.
#[derive(Subcommand, Debug)]
pub enum WorkflowCommand {
    /// Check files and print everything that is wrong with them
    Validate {
        /// YAML or JSON files, or folders of such
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        limits: LimitsConfig,
    },
    /// Say what applying files would change
    Plan(Box<folder::PlanArgs>),
    /// Publish files, all of them or none; one that is published as it is stays
    Apply(Box<folder::ApplyArgs>),
    /// List a tenant's workflows
    List {
        /// Archived ones too
        #[arg(long)]
        archived: bool,
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
    /// Tell how many runs of each version met its goal
    Goals(goals::GoalsArgs),
    /// List a workflow's versions, the latest first
    Versions(versions::VersionsArgs),
    /// Write a version as a file: applied, it makes no new version
    #[command(disable_version_flag = true)]
    Export(versions::ExportArgs),
    /// Say what differs between two versions, or between one and a file
    Diff(Box<versions::DiffArgs>),
    /// Publish an earlier version again, as the next one
    #[command(disable_version_flag = true)]
    Restore(Box<versions::RestoreArgs>),
    /// What is being written beside what is published
    #[command(subcommand)]
    Draft(draft::DraftCommand),
    /// Publish a draft
    Publish(Box<draft::PublishArgs>),
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
    /// Start no more runs: put away until it is taken out again, or deleted
    Archive(Box<lifecycle::ArchiveArgs>),
    /// Let an archived workflow start runs again
    Unarchive(Box<lifecycle::UnarchiveArgs>),
    /// Delete an archived workflow of which no run is open; its history can be read until its retention is over
    Delete(lifecycle::DeleteArgs),
    /// Begin a draft under another key that says what a workflow does
    Duplicate(lifecycle::DuplicateArgs),
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
    /// Play a workflow with an event, in virtual time, and show what each step would do and why: nothing is sent, and nothing is
    /// stored
    #[command(disable_version_flag = true)]
    Simulate(Box<simulate::SimulateArgs>),
    /// Play the tests of workflows, in virtual time and without servers: nothing is sent, and nothing is stored
    Test(Box<test::TestArgs>),
    /// Print the JSON Schema of workflow files, or of their tests
    Schema {
        /// That of files of tests
        #[arg(long)]
        tests: bool,
    },
}

/// Runs the command.
pub async fn run(command: WorkflowCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        WorkflowCommand::Validate { files, limits } => {
            let checked = check(&expand(&files)?, &limits.limits, output)?;
            let warnings: Vec<Value> = checked.iter().flat_map(Checked::warnings).collect();
            let all = json!({ "valid": checked.len(), "problems": [], "warnings": warnings });
            output.one(&all, || match checked.len() {
                1 => "1 file is valid".to_owned(),
                count => format!("{count} files are valid"),
            });
            Ok(())
        }
        WorkflowCommand::Plan(args) => folder::plan(*args, output).await,
        WorkflowCommand::Apply(args) => folder::apply(*args, output).await,
        WorkflowCommand::List { archived, tenant } => {
            let listing = if archived { Listing::All } else { Listing::Current };
            let all = workflows::list(&tenant.open().await?, listing).await?;
            let columns = ["key", "name", "state", "version", "events", "suspended"];
            // A column for what hardly ever is would take room from the others.
            let has_suspended = all.data.iter().any(|workflow| !workflow.suspended.is_empty());
            output.page(if has_suspended { &columns } else { &columns[..5] }, &all);
            Ok(())
        }
        WorkflowCommand::Show { key, format, tenant } => {
            let shown = workflows::show(&tenant.open().await?, &key).await?;
            warn_of(&shown.suspended, &key);
            show::definition(&shown.definition, format, output)
        }
        WorkflowCommand::Goals(args) => goals::run(args, output).await,
        WorkflowCommand::Versions(args) => versions::list(args, output).await,
        WorkflowCommand::Export(args) => versions::export(args, output).await,
        WorkflowCommand::Diff(args) => versions::diff(*args, output).await,
        WorkflowCommand::Restore(args) => versions::restore(*args, output).await,
        WorkflowCommand::Draft(command) => draft::run(command, output).await,
        WorkflowCommand::Publish(args) => draft::publish(*args, output).await,
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
        WorkflowCommand::Archive(args) => lifecycle::archive(*args, output).await,
        WorkflowCommand::Unarchive(args) => lifecycle::unarchive(*args, output).await,
        WorkflowCommand::Delete(args) => lifecycle::delete(args, output).await,
        WorkflowCommand::Duplicate(args) => lifecycle::duplicate(args, output).await,
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
        WorkflowCommand::Simulate(args) => simulate::run(*args, output).await,
        WorkflowCommand::Test(args) => test::run(&args, output),
        WorkflowCommand::Schema { tests } => {
            let schema =
                if tests { test_file::schema() } else { json_schema(automation_actions::node_types()) };
            exact(&serde_json::to_string_pretty(&schema)?);
            Ok(())
        }
    }
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
