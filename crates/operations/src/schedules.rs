//! When workflows start by themselves.

use crate::{Error, Page, Refusal, Session};
use automation_domain::id::ScheduleId;
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::schedule::Schedule;
use automation_domain::workflow::parse_schedule;
use automation_store::workflows::schedules::{self, StoredSchedule};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::json;

/// A schedule of a published version.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its id.
    pub id: ScheduleId,
    /// The workflow's key.
    pub workflow: String,
    /// The trigger.
    pub trigger: String,
    /// The version.
    pub version: i32,
    /// As it was written; `None` for one that this version of the engine cannot read.
    pub schedule: Option<String>,
    /// In words.
    pub words: Option<String>,
    /// Its time zone, if it has one.
    pub timezone: Option<String>,
    /// `active`, `paused` or `ended`.
    pub state: &'static str,
    /// The slot that was last decided on.
    #[serde(serialize_with = "crate::time::maybe")]
    pub last_slot_at: Option<DateTime<Utc>>,
    /// The next slot.
    #[serde(serialize_with = "crate::time::maybe")]
    pub next_slot_at: Option<DateTime<Utc>>,
    /// Slots that fired.
    pub fired: i64,
    /// Slots that were passed over.
    pub skipped: i64,
}

/// A time at which a schedule fires.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// In UTC.
    pub slot: String,
    /// In the schedule's time zone.
    pub local: String,
    /// There, in English: `Mon`.
    pub weekday: String,
}

/// All schedules of the tenant.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session) -> Result<Page<Listed>, Error> {
    Ok(Page::whole(all(session).await?.iter().map(listed).collect()))
}

/// The published schedule with this name, `<workflow>/<trigger>`.
///
/// # Errors
///
/// [`Refusal::NoSchedule`], [`Refusal::ScheduleUnreadable`]; [`Error::Store`].
pub async fn find(session: &Session, name: &str) -> Result<Schedule, Error> {
    let named = |stored: &StoredSchedule| {
        name.split_once('/') == Some((stored.workflow.as_str(), stored.trigger.as_str()))
    };
    let found = all(session).await?.into_iter().find(named);
    Ok(read(&found.ok_or_else(|| Refusal::NoSchedule(name.to_owned()))?)?)
}

/// The schedule of an expression that is published nowhere; in UTC without a time zone.
///
/// # Errors
///
/// What is wrong, in the words of the workflow format.
pub fn of_expression(expression: &str, timezone: Option<&str>) -> Result<Schedule, Vec<Problem>> {
    let definition = json!({ "cron": expression, "timezone": timezone.unwrap_or("UTC") });
    parse_schedule(&definition, &Limits::default())
}

/// The first `count` slots of a schedule after a moment.
pub fn slots(schedule: &Schedule, after: DateTime<Utc>, count: u16) -> Page<Slot> {
    let zone: Tz = schedule.zone_name().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC);
    let slot = |slot: DateTime<Utc>| {
        let local = slot.with_timezone(&zone);
        Slot {
            slot: slot.to_rfc3339_opts(SecondsFormat::Secs, true),
            local: local.to_rfc3339_opts(SecondsFormat::Secs, false),
            weekday: local.format("%a").to_string(),
        }
    };
    Page::whole(schedule.slots_after(after).take(count.into()).map(slot).collect())
}

async fn all(session: &Session) -> Result<Vec<StoredSchedule>, Error> {
    session.read(async |connection| schedules::list(connection, session.tenant).await).await
}

fn read(stored: &StoredSchedule) -> Result<Schedule, Refusal> {
    match parse_schedule(&stored.definition, &Limits::default()) {
        Ok(schedule) => Ok(schedule.anchored(stored.anchor_at)),
        Err(problems) => Err(Refusal::ScheduleUnreadable {
            name: format!("{}/{}", stored.workflow, stored.trigger),
            problem: problems.first().map(ToString::to_string).unwrap_or_default(),
        }),
    }
}

fn listed(stored: &StoredSchedule) -> Listed {
    let schedule = read(stored).ok();
    Listed {
        id: stored.schedule_id,
        workflow: stored.workflow.clone(),
        trigger: stored.trigger.clone(),
        version: stored.version,
        schedule: schedule.as_ref().map(|schedule| schedule.text().to_owned()),
        words: schedule.as_ref().map(|schedule| schedule.words().to_string()),
        timezone: schedule.as_ref().and_then(|schedule| schedule.zone_name().map(str::to_owned)),
        state: match (stored.paused, stored.next_slot_at) {
            (true, _) => "paused",
            (false, Some(_)) => "active",
            (false, None) => "ended",
        },
        last_slot_at: stored.last_slot_at,
        next_slot_at: stored.next_slot_at,
        fired: stored.fired,
        skipped: stored.skipped,
    }
}
