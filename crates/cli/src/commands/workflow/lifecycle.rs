//! Putting workflows away and taking them out again; and beginning another like one.

use crate::commands::bulk::{BulkArgs, Told, until_stopped};
use crate::commands::run::handle::conclude;
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, TenantArgs};
use automation_operations::runs::{self, Act, Filter, Selection};
use automation_operations::workflows::{self, OpenRuns};
use automation_operations::{Auditor, Bulk, Error, Refusal, Session};
use automation_service_kit::config::LimitsConfig;
use clap::Args;
use serde_json::json;

/// Arguments of `automation workflow archive`.
#[derive(Args, Debug)]
pub struct ArchiveArgs {
    /// The workflow's key
    key: String,
    /// End its open runs too; else they go on to their ends
    #[arg(long)]
    cancel_runs: bool,
    /// Why, for the history of runs that are ended
    #[arg(long, default_value = "the workflow was archived")]
    reason: String,
    /// End so many runs a second at most
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow unarchive`.
#[derive(Args, Debug)]
pub struct UnarchiveArgs {
    /// The workflow's key
    key: String,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// The workflow's key
    key: String,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow duplicate`.
#[derive(Args, Debug)]
pub struct DuplicateArgs {
    /// The workflow's key
    key: String,
    /// The other's key
    new_key: String,
    /// The other's name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Archives a workflow, and ends its open runs where that is asked for.
pub async fn archive(args: ArchiveArgs, output: &Output) -> anyhow::Result<()> {
    let key = &args.key;
    let session = args.tenant.open().await?;
    let open = workflows::open_runs(&session, key).await?;
    if args.bulk.dry_run {
        output
            .one(&json!({ "key": key, "open_runs": open }), || format!("workflow {key}, open runs: {open}"));
        return Ok(());
    }
    if args.cancel_runs {
        args.bulk.confirm(usize::try_from(open).unwrap_or(usize::MAX), "cancel")?;
    }
    let who = args.audit.auditor()?;
    let open = if args.cancel_runs { OpenRuns::Cancel } else { OpenRuns::Finish };
    let archived = workflows::archive(&session, &who, key, open).await?;
    if !args.cancel_runs {
        output.one(&archived, || match archived.set.changed {
            true => format!("workflow {key} is archived, open runs: {}", archived.open_runs),
            false => format!("workflow {key} was archived already"),
        });
        return Ok(());
    }
    cancel(&args, &session, &who, output).await
}

async fn cancel(args: &ArchiveArgs, session: &Session, who: &Auditor, output: &Output) -> anyhow::Result<()> {
    let of_it = Filter { workflow: Some(args.key.clone()), ..Filter::default() };
    let chosen = runs::choose(session, Selection::Fitting(of_it), Act::Cancel, args.bulk.most()).await;
    let ids = match chosen {
        Ok(chosen) => chosen.ids,
        Err(Error::Refused(Refusal::NoRunFits)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut told = Told::default();
    let mut told = |progress| told.hear(&progress);
    let bulk = Bulk { rate: args.rate, stop: until_stopped(), told: &mut told };
    let handled = runs::cancel_many(session, who, &ids, &args.reason, bulk).await;
    conclude(handled, Act::Cancel, output)
}

/// Lets an archived workflow start runs again.
pub async fn unarchive(args: UnarchiveArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let set = workflows::unarchive(&session, &args.audit.auditor()?, &args.key, &args.limits.limits).await?;
    output.one(&set, || format!("workflow {} is active", args.key));
    Ok(())
}

/// Deletes an archived workflow.
pub async fn delete(args: DeleteArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let deleted = workflows::delete(&session, &args.audit.auditor()?, &args.key).await?;
    output.one(&deleted, || format!("workflow {} is deleted", args.key));
    Ok(())
}

/// Begins a draft that says what a workflow does.
pub async fn duplicate(args: DuplicateArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let (who, name) = (args.audit.auditor()?, args.name.as_deref());
    let draft = workflows::duplicate(&session, &who, &args.key, &args.new_key, name).await?;
    output.one(&draft, || {
        vec![
            format!("a draft of {} says what {} does", args.new_key, args.key),
            exit::as_typed(&format!("  next: automation workflow publish {}", args.new_key)),
        ]
    });
    Ok(())
}
