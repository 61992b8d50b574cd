//! Drafts: what is being written beside what is published.

use super::files;
use crate::exit;
use crate::output::{Output, note};
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::problem::Problem;
use automation_operations::workflows::{self, Base, Outdated, SavedDraft, ShownDraft};
use automation_service_kit::config::LimitsConfig;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do with drafts.
#[derive(Subcommand, Debug)]
pub enum DraftCommand {
    /// Keep a file as the draft of its key; it may have problems, which are shown
    Save(Box<SaveArgs>),
    /// List drafts
    List {
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Print a draft as it was written, and on standard error what is wrong with it
    Show {
        /// The workflow's key
        key: String,
        #[command(flatten)]
        limits: LimitsConfig,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Throw a draft away
    Discard {
        /// The workflow's key
        key: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
}

/// Arguments of `automation workflow draft save`.
#[derive(Args, Debug)]
pub struct SaveArgs {
    /// A YAML or JSON file
    file: PathBuf,
    /// What it is based on: version/<n>, draft/<n> or nothing; refused where something else is there by now
    #[arg(long, value_name = "BASE")]
    base: Option<Base>,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow publish`.
#[derive(Args, Debug)]
pub struct PublishArgs {
    /// The workflow's key
    key: String,
    /// Also where another version was published since the draft was begun
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(command: DraftCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        DraftCommand::Save(args) => save(*args, output).await,
        DraftCommand::List { tenant } => {
            let all = workflows::drafts(&tenant.open().await?).await?;
            output.page(&["key", "revision", "base_version", "saved_at", "saved_by"], &all);
            Ok(())
        }
        DraftCommand::Show { key, limits, tenant } => {
            let shown = workflows::draft(&tenant.open().await?, &key, &limits.limits).await?;
            output.one(&shown, || Lines::of_block(&shown.source));
            let ShownDraft { saved: SavedDraft { problems, warnings, .. }, .. } = &shown;
            remark(problems, warnings);
            Ok(())
        }
        DraftCommand::Discard { key, audit, tenant } => {
            let session = tenant.open().await?;
            let discarded = workflows::discard_draft(&session, &audit.auditor()?, &key).await?;
            output.one(&discarded, || format!("the draft of {key} is gone"));
            Ok(())
        }
    }
}

/// Publishes a draft.
pub async fn publish(args: PublishArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let (who, limits) = (args.audit.auditor()?, &args.limits.limits);
    let outdated = if args.force { Outdated::Replace } else { Outdated::Refuse };
    let applied = workflows::publish_draft(&session, &who, &args.key, outdated, limits).await?;
    output.one(&applied, || format!("version {} of {} is published", applied.version, args.key));
    Ok(())
}

async fn save(args: SaveArgs, output: &Output) -> anyhow::Result<()> {
    let source = files::text(&args.file)?;
    let session = args.tenant.open().await?;
    let (who, limits) = (args.audit.auditor()?, &args.limits.limits);
    let saved = workflows::save_draft(&session, &who, &source, args.base, limits).await.map_err(|error| {
        exit::hinted(error, "mend the file, or look at what is there: automation workflow draft list")
    })?;
    output.one(&saved, || {
        let (key, revision) = (&saved.draft.key, Base::Draft(saved.draft.revision));
        match saved.problems.len() {
            0 => format!("{revision} of {key} is saved"),
            1 => format!("{revision} of {key} is saved, with a problem that keeps it from being published"),
            count => format!(
                "{revision} of {key} is saved, with {count} problems that keep it from being published"
            ),
        }
    });
    remark(&saved.problems, &saved.warnings);
    Ok(())
}

/// Says on standard error what is wrong: standard output is the draft's.
fn remark(problems: &[Problem], warnings: &[Problem]) {
    for problem in problems {
        note(problem.to_string());
    }
    for warning in warnings {
        note(format!("warning: {warning}"));
    }
}
