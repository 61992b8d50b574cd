//! `automation schedule`: when workflows start by themselves.

use crate::exit;
use crate::moment;
use crate::output::{Output, note, time};
use crate::session::{OptionalTenant, Session, TenantArgs};
use automation_domain::limits::Limits;
use automation_domain::schedule::Schedule;
use automation_domain::workflow::parse_schedule;
use automation_service_kit::clock;
use automation_service_kit::config::rule;
use automation_store::workflows::schedules::{self, StoredSchedule};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

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
    let rows = all(session).await?.iter().map(row).collect();
    output.list(
        &["workflow", "trigger", "schedule", "words", "timezone", "state", "last_slot_at", "next_slot_at"],
        rows,
        None,
    );
    Ok(())
}

async fn next(args: NextArgs, output: &Output) -> anyhow::Result<()> {
    let from = args.from.unwrap_or_else(clock::wall_clock);
    let schedule = match (&args.cron, &args.schedule, &args.tenant.0) {
        (Some(expression), _, _) => of_expression(expression, args.timezone.as_deref())?,
        (None, Some(name), Some(tenant)) => published(&tenant.open().await?, name).await?,
        (None, _, _) => {
            return Err(exit::usage("no schedule is named", "write <workflow>/<trigger>, or --cron"));
        }
    };
    let slots: Vec<DateTime<Utc>> = schedule.slots_after(from).take(args.count.into()).collect();
    let zone: Tz = schedule.zone_name().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC);
    if !output.is_json() {
        note(format!("{} {}", schedule.words(), schedule.zone_name().unwrap_or_default()));
    }
    let rows = slots
        .iter()
        .map(|slot| {
            let local = slot.with_timezone(&zone);
            json!({
                "slot": slot.to_rfc3339_opts(SecondsFormat::Secs, true),
                "local": local.to_rfc3339_opts(SecondsFormat::Secs, false),
                "weekday": local.format("%a").to_string(),
            })
        })
        .collect();
    output.list(&["slot", "local", "weekday"], rows, None);
    Ok(())
}

/// The schedule of an expression that is published nowhere.
fn of_expression(expression: &str, timezone: Option<&str>) -> anyhow::Result<Schedule> {
    // What is wrong is said in the words of the workflow format.
    let definition = json!({ "cron": expression, "timezone": timezone.unwrap_or("UTC") });
    parse_schedule(&definition, &Limits::default()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        exit::wrong(lines.join("; "), "docs/schedules.md explains expressions and time zones")
    })
}

async fn published(session: &Session, name: &str) -> anyhow::Result<Schedule> {
    let found = all(session)
        .await?
        .into_iter()
        .find(|stored| name.split_once('/') == Some((stored.workflow.as_str(), stored.trigger.as_str())));
    match found {
        Some(stored) => read(&stored),
        None => Err(exit::not_found(
            format!("there is no schedule \"{name}\""),
            "automation schedule list; a schedule is named <workflow>/<trigger>",
        )),
    }
}

async fn all(session: &Session) -> anyhow::Result<Vec<StoredSchedule>> {
    Ok(session
        .db
        .tx(session.scope(), async |connection| schedules::list(connection, session.tenant).await)
        .await?)
}

fn read(stored: &StoredSchedule) -> anyhow::Result<Schedule> {
    match parse_schedule(&stored.definition, &Limits::default()) {
        Ok(schedule) => Ok(schedule.anchored(stored.anchor_at)),
        Err(problems) => {
            let problem = problems.first().map(ToString::to_string).unwrap_or_default();
            let what =
                format!("the schedule {}/{} cannot be read: {problem}", stored.workflow, stored.trigger);
            Err(exit::wrong(what, "it was published by a newer version: use that one"))
        }
    }
}

fn row(stored: &StoredSchedule) -> Value {
    let schedule = read(stored).ok();
    let state = match (stored.paused, stored.next_slot_at) {
        (true, _) => "paused",
        (false, Some(_)) => "active",
        (false, None) => "ended",
    };
    json!({
        "id": stored.schedule_id, "workflow": stored.workflow, "trigger": stored.trigger, "version": stored.version,
        "schedule": schedule.as_ref().map(Schedule::text), "words": schedule.as_ref().map(Schedule::words),
        "timezone": schedule.as_ref().and_then(Schedule::zone_name), "state": state,
        "last_slot_at": stored.last_slot_at.map(time), "next_slot_at": stored.next_slot_at.map(time),
        "fired": stored.fired, "skipped": stored.skipped,
    })
}
