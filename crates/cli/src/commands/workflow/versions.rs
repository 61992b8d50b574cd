//! The versions of a workflow: listed, written as files, held against each other, and brought back.

use super::files;
use super::show::{Format, definition};
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::workflow::{Change, Difference, Place};
use automation_operations::Session;
use automation_operations::workflows::{self, Base, Diff, Side};
use automation_service_kit::config::LimitsConfig;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// Arguments of `automation workflow versions`.
#[derive(Args, Debug)]
pub struct VersionsArgs {
    /// The workflow's key
    key: String,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<i32>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// The workflow's key
    key: String,
    /// Of this version, in place of the published one
    #[arg(long, value_name = "NUMBER")]
    version: Option<i32>,
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// The workflow's key
    key: String,
    /// Hold this file against the published version, or against --from
    #[arg(conflicts_with = "to")]
    file: Option<PathBuf>,
    /// The earlier version; if nothing is said, the one before the published one, or with a file that one
    #[arg(long, value_name = "NUMBER")]
    from: Option<i32>,
    /// The later version, in place of the published one
    #[arg(long, value_name = "NUMBER")]
    to: Option<i32>,
    /// Hold the draft against the published version, or against --from
    #[arg(long, conflicts_with_all = ["file", "to"])]
    draft: bool,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation workflow restore`.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The workflow's key
    key: String,
    /// The version to publish again, as the next one
    #[arg(long, value_name = "NUMBER")]
    version: i32,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Lists versions, the latest first.
pub async fn list(args: VersionsArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let page = workflows::versions(&session, &args.key, args.limit, args.cursor).await?;
    output.page(&["version", "published", "published_at", "published_by", "open_runs", "hash"], &page);
    Ok(())
}

/// Writes a version as a file.
pub async fn export(args: ExportArgs, output: &Output) -> anyhow::Result<()> {
    let exported = workflows::export(&args.tenant.open().await?, &args.key, args.version).await?;
    definition(&exported, args.format, output)
}

/// Says what differs.
pub async fn diff(args: DiffArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let given = match &args.file {
        Some(file) => Some(("file".to_owned(), document(file, &args.limits)?)),
        None if args.draft => Some(drafted(&session, &args.key, &args.limits).await?),
        None => None,
    };
    let (from, to) = match &given {
        Some((name, given)) => (args.from.map_or(Side::Published, Side::Version), Side::Given(name, given)),
        None => {
            (args.from.map_or(Side::Before, Side::Version), args.to.map_or(Side::Published, Side::Version))
        }
    };
    let diff = workflows::diff(&session, &args.key, from, to).await?;
    output.one(&diff, || told(&diff));
    Ok(())
}

/// Publishes an earlier version again.
pub async fn restore(args: RestoreArgs, output: &Output) -> anyhow::Result<()> {
    let (key, version) = (&args.key, args.version);
    let session = args.tenant.open().await?;
    let who = args.audit.auditor()?;
    let applied = workflows::restore(&session, &who, key, version, &args.limits.limits).await?;
    output.one(&applied, || {
        format!("version {} of {key} is published, and says what version {version} did", applied.version)
    });
    Ok(())
}

/// What a file says, as far as it is a document: what is wrong with it otherwise is no matter here.
fn document(file: &std::path::Path, limits: &LimitsConfig) -> anyhow::Result<Value> {
    automation_domain::workflow::read(&files::text(file)?, &limits.limits).map_err(|problem| {
        exit::wrong(format!("{}: {problem}", file.display()), "docs/errors.md explains each code")
    })
}

/// The draft, with its name.
async fn drafted(session: &Session, key: &str, limits: &LimitsConfig) -> anyhow::Result<(String, Value)> {
    let shown = workflows::draft(session, key, &limits.limits).await?;
    let name = Base::Draft(shown.saved.draft.revision).to_string();
    let next = format!("automation workflow draft show {key} says why");
    Ok((name, shown.definition.ok_or_else(|| exit::wrong("the draft cannot be read", next))?))
}

fn told(diff: &Diff) -> Lines {
    let Diff { key, from, to, changes, .. } = diff;
    if changes.is_empty() {
        return format!("{key}: nothing differs between {from} and {to}").into();
    }
    let mut lines = vec![format!("{key}: from {from} to {to}")];
    lines.extend(changes.iter().flat_map(|change| lines_of(change, "  ")));
    lines.into()
}

/// A change for people, each line behind `indent`.
pub fn lines_of(change: &Change, indent: &str) -> Vec<String> {
    let Change { element, difference, for_people } = change;
    let remark = if *for_people { " (for people)" } else { "" };
    let (word, places) = match difference {
        Difference::Added { after } => (format!("added {after}"), &[][..]),
        Difference::Removed { .. } => ("removed".to_owned(), &[][..]),
        Difference::Changed { places } => ("changed".to_owned(), places.as_slice()),
    };
    let line = |Place { path, before, after }: &Place| {
        let text =
            |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
        format!("{indent}  {at}{} -> {}", text(before), text(after))
    };
    std::iter::once(format!("{indent}{element} {word}{remark}")).chain(places.iter().map(line)).collect()
}
