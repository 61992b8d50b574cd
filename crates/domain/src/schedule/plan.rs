//! What is to be done about a schedule that is due: the catch-up rule.

use super::{CatchUp, Schedule, Timing};
use crate::id::ScheduleId;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;

/// Missed slots of a cron expression are counted up to here; counting more would hold up other schedules.
const MOST_COUNTED: usize = 1_000;
/// First span of time to look back over for the latest missed slots; doubled until there are enough.
const LOOK_BACK: TimeDelta = TimeDelta::minutes(1);

/// What counts as missed, and how much of it is made up for.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// A slot whose event leaves later than this after it was due was missed; before, it is on time.
    pub grace: TimeDelta,
    /// Most missed slots of a schedule that `catch_up: all` makes up for: the latest ones.
    pub most_caught_up: usize,
}

impl Default for Policy {
    /// A minute, and a hundred slots.
    fn default() -> Self {
        Self { grace: TimeDelta::seconds(60), most_caught_up: 100 }
    }
}

/// What is to be done about a schedule that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The slots whose events leave now, in order.
    pub fire: Vec<DateTime<Utc>>,
    /// Slots that were missed and are not made up for; of a cron expression not more than a thousand are counted.
    pub skipped: u64,
    /// The next slot; `None` when the schedule has ended.
    pub next: Option<DateTime<Utc>>,
}

/// Decides over the slots from `next` on that are due at `now`; at most `room` of them fire, the others stay due.
pub fn plan(
    schedule: &Schedule,
    id: ScheduleId,
    next: DateTime<Utc>,
    now: DateTime<Utc>,
    policy: Policy,
    room: usize,
) -> Plan {
    // Slots before this were missed whatever their jitter, and may be many; those from it on are few.
    let horizon = now - policy.grace - schedule.jitter;
    let (mut recent, mut following) = (Vec::new(), None);
    for slot in schedule.slots_after(before(next.max(horizon))) {
        if schedule.due_at(id, slot) > now {
            following = Some(slot);
            break;
        }
        recent.push(slot);
    }
    let late = recent.partition_point(|slot| schedule.due_at(id, *slot) < now - policy.grace);
    let is_any_on_time = late < recent.len();
    let wanted = match schedule.catch_up {
        CatchUp::Latest if !is_any_on_time => 1,
        CatchUp::Skip | CatchUp::Latest => 0,
        CatchUp::All => policy.most_caught_up,
    };
    let mut fire = latest(schedule, next, horizon, wanted.saturating_sub(late));
    fire.extend(&recent[late.saturating_sub(wanted)..]);
    let missed = count(schedule, next, horizon) + late as u64;
    let caught_up = fire.len() - (recent.len() - late);
    let next = fire.get(room).copied().or(following);
    fire.truncate(room);
    Plan { fire, skipped: missed.saturating_sub(caught_up as u64), next }
}

/// How many slots there are from `from` on, which is a slot, and before `end`.
fn count(schedule: &Schedule, from: DateTime<Utc>, end: DateTime<Utc>) -> u64 {
    match &schedule.timing {
        Timing::Every(every) => every.count(from, schedule.ends_at.map_or(end, |ends_at| ends_at.min(end))),
        Timing::Cron(_) => schedule.slots_between(before(from), before(end), MOST_COUNTED).len() as u64,
    }
}

/// The latest `most` slots from `from` on and before `end`, in order.
fn latest(schedule: &Schedule, from: DateTime<Utc>, end: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
    if most == 0 || from >= end {
        return Vec::new();
    }
    let mut span = LOOK_BACK;
    loop {
        let begin = end.checked_sub_signed(span).map_or(from, |begin| begin.max(from));
        let mut found = VecDeque::with_capacity(most);
        for slot in schedule.slots_after(before(begin)).take_while(|slot| *slot < end) {
            if found.len() == most {
                found.pop_front();
            }
            found.push_back(slot);
        }
        if found.len() == most || begin == from {
            return found.into();
        }
        span = span * 2;
    }
}

/// The last instant that is not `at`: what comes after it includes `at`.
fn before(at: DateTime<Utc>) -> DateTime<Utc> {
    at - TimeDelta::nanoseconds(1)
}
