//! `automation tenant retention|keep`: for how many days a tenant's history is kept.

use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_operations::retention::{self, Retention};
use automation_service_kit::config::rule;
use clap::Args;

/// Arguments of `automation tenant retention`.
#[derive(Args, Debug)]
pub struct RetentionArgs {
    /// The tenant's key
    key: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Arguments of `automation tenant keep`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  automation tenant keep acme run_logs 14d\n  \
                        automation tenant keep acme events default")]
pub struct KeepArgs {
    /// The tenant's key
    key: String,
    /// What, as `tenant retention` names it: events, runs, run_logs or dead_letters
    subject: String,
    /// For how many days: 14d; or `default`
    #[arg(value_parser = rule(Days::parse))]
    days: Days,
    /// Also where published workflows count events of more days: their figures become smaller
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// A number of days, or what holds for tenants without a retention of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Days(Option<i32>);

impl Days {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self(None));
        }
        let number = text.strip_suffix('d').unwrap_or(text);
        number.parse::<i32>().map(|days| Self(Some(days))).map_err(|_| {
            format!("\"{text}\" is no number of days: write a whole number of them, as in 14d, or default")
        })
    }
}

/// Lists for how many days a tenant keeps what.
pub async fn show(args: RetentionArgs, output: &Output) -> anyhow::Result<()> {
    let kept = retention::show(&args.database.operator()?, &args.key).await?;
    output.page(&["subject", "days", "retention"], &kept);
    Ok(())
}

/// Gives a tenant a retention of its own.
pub async fn set(args: KeepArgs, output: &Output) -> anyhow::Result<()> {
    let auditor = args.audit.auditor()?;
    let Days(days) = args.days;
    let retention = Retention { key: args.key, subject: args.subject, days, force: args.force };
    let set = retention::set(&args.database.operator()?, &auditor, retention).await?;
    output.one(&set, || match days {
        Some(days) => format!("tenant {} keeps {} for {days} days", set.key, set.subject),
        None => format!("tenant {} keeps {} as long as all do", set.key, set.subject),
    });
    Ok(())
}
