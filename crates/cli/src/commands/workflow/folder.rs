//! Files that are kept elsewhere, mostly in Git: what applying them would change, and doing that.

use super::files::{Checked, check, expand};
use super::versions::lines_of;
use crate::exit;
use crate::output::{Output, note};
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::workflow::Workflow;
use automation_operations::Session;
use automation_operations::workflows::{self, Conflicts, InFile, Left, Others, Plan, Planned};
use automation_service_kit::config::LimitsConfig;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `automation workflow plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// YAML or JSON files, or folders of such
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// As for apply --prune
    #[arg(long)]
    prune: bool,
    /// Exit with 5 when something would be changed
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// YAML or JSON files, or folders of such
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Also over what was changed elsewhere since a file was applied
    #[arg(long)]
    force: bool,
    /// Archive workflows that no file is about; needs --yes
    #[arg(long)]
    prune: bool,
    /// Archive them, having seen which with workflow plan --prune
    #[arg(long, requires = "prune")]
    yes: bool,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Says what applying files would change.
pub async fn plan(args: PlanArgs, output: &Output) -> anyhow::Result<()> {
    let checked = check(&expand(&args.paths)?, &args.limits.limits, output)?;
    let plan = workflows::plan(&args.tenant.open().await?, &in_files(&checked)).await?;
    let others = of(args.prune);
    output.one(&plan, || told(&plan, others));
    let (conflicts, archived) = (plan.keys("conflict"), plan.keys("archived"));
    if !conflicts.is_empty() {
        let what = format!("changed elsewhere since a file was applied: {}", conflicts.join(", "));
        return Err(exit::wrong(
            what,
            "automation workflow export KEY, and take it into the file; or apply with --force",
        ));
    }
    if !archived.is_empty() {
        let what = format!("archived: {}", archived.join(", "));
        return Err(exit::wrong(what, "automation workflow unarchive KEY, or remove the file"));
    }
    match plan.to_do(others) {
        0 => Ok(()),
        _ if !args.detailed_exitcode => Ok(()),
        1 => Err(exit::to_do("1 workflow would be changed")),
        count => Err(exit::to_do(format!("{count} workflows would be changed"))),
    }
}

/// Publishes what files change.
pub async fn apply(args: ApplyArgs, output: &Output) -> anyhow::Result<()> {
    let checked = check(&expand(&args.paths)?, &args.limits.limits, output)?;
    let (who, session) = (args.audit.auditor()?, args.tenant.open().await?);
    warn_of_credentials(&session, &checked).await?;
    let (files, others) = (in_files(&checked), of(args.prune));
    if args.prune && !args.yes {
        let left = workflows::plan(&session, &files).await?.others;
        if !left.is_empty() {
            let names: Vec<String> = left.iter().map(named).collect();
            let what = format!("this would archive {}", names.join(", "));
            return Err(exit::usage(what, "if that is what you want, repeat the command with --yes"));
        }
    }
    let conflicts = if args.force { Conflicts::Replace } else { Conflicts::Refuse };
    let most_bytes = args.limits.limits.cache_bytes;
    let applied = workflows::apply_files(&session, &who, &files, (conflicts, others), most_bytes).await?;
    output.page(&["key", "result", "version"], &applied);
    Ok(())
}

async fn warn_of_credentials(session: &Session, checked: &[Checked]) -> anyhow::Result<()> {
    let all: Vec<&Workflow> = checked.iter().map(|checked| &checked.workflow).collect();
    for (Checked { file, .. }, missing) in
        checked.iter().zip(workflows::missing_credentials(session, &all).await?)
    {
        for problem in missing {
            note(format!("{file}: warning: {problem}"));
        }
    }
    Ok(())
}

fn in_files(checked: &[Checked]) -> Vec<InFile<'_>> {
    checked.iter().map(|Checked { file, workflow }| InFile { file, workflow }).collect()
}

fn of(prune: bool) -> Others {
    if prune { Others::Archive } else { Others::Leave }
}

fn told(plan: &Plan, others: Others) -> Lines {
    let mut lines = Lines::default();
    for Planned { file, key, action, version, changes, elsewhere } in &plan.files {
        let published =
            version.map(|version| format!(", version {version} is published")).unwrap_or_default();
        lines.push(format!("{action} {key}: {file}{published}"));
        if *action == "conflict" {
            lines.push("  changed elsewhere since a file was applied:");
            match elsewhere.is_empty() {
                true => lines.push("    it was never applied from a file"),
                false => lines.extend(elsewhere.iter().flat_map(|change| lines_of(change, "    "))),
            }
            lines.push("  changed by the file:");
        }
        if ["change", "conflict"].contains(action) {
            lines.extend(changes.iter().flat_map(|change| lines_of(change, "    ")));
        }
    }
    for left in &plan.others {
        let what = if others == Others::Archive { "archive" } else { "leave" };
        lines.push(format!("{what} {}: no file is about it", named(left)));
    }
    lines
}

fn named(left: &Left) -> String {
    let Left { key, state, open_runs, .. } = left;
    format!("{key} ({state}, open runs: {open_runs})")
}
