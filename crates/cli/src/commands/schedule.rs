//! `automation schedule`: when workflows start by themselves.

use crate::exit;
use crate::moment;
use crate::output::{Output, note};
use crate::session::{OptionalTenant, TenantArgs};
use automation_domain::schedule::Schedule;
use automation_operations::{Session, schedules};
use automation_service_kit::clock;
use automation_service_kit::config::rule;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

/// What to do with schedules.
#[derive(Subcommand, Debug)]
pub enum ScheduleCommand {
    /// List a tenant's schedules with their next slots
    List {
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Print the next slots of a schedule, or of an expression
    Next(Box<NextArgs>),
}

/// Arguments of `automation schedule next`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  automation schedule next weekly-report/monday --count 5\n  \
                        automation schedule next --cron \"30 2 * * *\" --timezone Europe/Berlin")]
pub struct NextArgs {
    /// A published schedule, as <workflow>/<trigger>
    #[arg(required_unless_present = "cron", conflicts_with = "cron")]
    schedule: Option<String>,
    /// A cron expression instead
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// The time zone of the expression [default: UTC]
    #[arg(long, value_name = "NAME", requires = "cron")]
    timezone: Option<String>,
    /// How many slots
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Slots after this; now without it
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    from: Option<DateTime<Utc>>,
    #[command(flatten)]
    tenant: OptionalTenant,
}

/// Runs the command.
pub async fn run(command: ScheduleCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        ScheduleCommand::List { tenant } => list(&tenant.open().await?, output).await,
        ScheduleCommand::Next(args) => next(*args, output).await,
    }
}

async fn list(session: &Session, output: &Output) -> anyhow::Result<()> {
    let columns =
        ["workflow", "trigger", "schedule", "words", "timezone", "state", "last_slot_at", "next_slot_at"];
    output.page(&columns, &schedules::list(session).await?);
    Ok(())
}

async fn next(args: NextArgs, output: &Output) -> anyhow::Result<()> {
    let from = args.from.unwrap_or_else(clock::wall_clock);
    let schedule = match (&args.cron, &args.schedule, &args.tenant.0) {
        (Some(expression), _, _) => of_expression(expression, args.timezone.as_deref())?,
        (None, Some(name), Some(tenant)) => schedules::find(&tenant.open().await?, name).await?,
        (None, _, _) => {
            return Err(exit::usage("no schedule is named", "write <workflow>/<trigger>, or --cron"));
        }
    };
    if !output.is_json() {
        note(format!("{} {}", schedule.words(), schedule.zone_name().unwrap_or_default()));
    }
    output.page(&["slot", "local", "weekday"], &schedules::slots(&schedule, from, args.count));
    Ok(())
}

/// The schedule of an expression that is published nowhere.
fn of_expression(expression: &str, timezone: Option<&str>) -> anyhow::Result<Schedule> {
    schedules::of_expression(expression, timezone).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        exit::wrong(lines.join("; "), "docs/schedules.md explains expressions and time zones")
    })
}
