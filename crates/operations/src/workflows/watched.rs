//! Before a version is published that waits for events or counts them, ingest has to know of their types.

use crate::{Error, Refusal, Session};
use automation_domain::condition::Aggregate;
use automation_domain::facts::FieldPath;
use automation_domain::past;
use automation_domain::problem::Problem;
use automation_domain::workflow::Workflow;
use automation_store::events::receipts;
use automation_store::workflows::watched::{self, Known};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// A type that is watched for no longer than this may be unknown to batches of events that began before.
const FRESH: TimeDelta = TimeDelta::minutes(1);

/// What runs look back at is known for an hour at least: the event that starts one may be late.
const LEAST_KNOWN: TimeDelta = TimeDelta::hours(1);

/// A workflow that may be published: ingest knows what its runs may wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched<'w>(&'w Workflow);

impl<'w> Watched<'w> {
    /// The workflow.
    pub(super) fn workflow(self) -> &'w Workflow {
        self.0
    }
}

/// What a version needs to be known of events of a type.
#[derive(Clone, Debug, Default)]
struct Wanted<'w> {
    /// How long before now.
    looks_back: TimeDelta,
    /// What of their content.
    paths: Vec<&'w FieldPath>,
}

/// What a version needs to be known of events, by their type: of those that its runs wait for, and those that its conditions count.
fn wanted(workflow: &Workflow) -> BTreeMap<&str, Wanted<'_>> {
    let awaited = workflow.awaited_types().into_iter();
    let mut wanted: BTreeMap<&str, Wanted<'_>> = awaited
        .map(|(event_type, looks_back)| (event_type, Wanted { looks_back, paths: Vec::new() }))
        .collect();
    for (event_type, asked) in past::together(aggregates(workflow).map(Aggregate::asks)) {
        let one = wanted.entry(event_type).or_default();
        one.looks_back = one.looks_back.max(asked.within);
        one.paths = asked.paths;
    }
    wanted
}

fn aggregates(workflow: &Workflow) -> impl Iterator<Item = &Aggregate> {
    workflow.entry_aggregates().into_iter().chain(workflow.run_aggregates())
}

/// Makes known to ingest what runs of this version may wait for and what its conditions count, and what was before, as far as they
/// look back.
pub(super) async fn watch<'w>(session: &Session, workflow: &'w Workflow) -> Result<Watched<'w>, Error> {
    let wanted = wanted(workflow);
    if wanted.is_empty() {
        return Ok(Watched(workflow));
    }
    let types: Vec<&str> = wanted.keys().copied().collect();
    let (_, before) = known(session, &types).await?;
    check(session, workflow, &wanted, &before).await?;
    let asked: BTreeMap<&str, Vec<&str>> = wanted
        .iter()
        .map(|(event_type, one)| (*event_type, one.paths.iter().map(|path| path.as_str()).collect()))
        .collect();
    session.change_noted(async |connection| watched::watch(connection, session.tenant, &asked).await).await?;
    let (mut now, known_of) = known(session, &types).await?;
    let times = |one: &Known| one.paths.values().copied().chain([one.since]).collect::<Vec<_>>();
    let is_fresh = known_of.values().flat_map(times).any(|since| since > now - FRESH);
    if is_fresh {
        session.change_noted(async |connection| watched::all_taken_in(connection).await).await?;
        now = known(session, &types).await?.0;
    }
    for (event_type, Wanted { looks_back, paths }) in wanted {
        let from = now - looks_back.max(LEAST_KNOWN);
        let Some(known) = known_of.get(event_type) else { continue };
        let of_paths = paths.iter().filter_map(|path| known.paths.get(path.as_str()));
        let Some(latest) = of_paths.chain([&known.since]).max().filter(|since| **since > from) else {
            continue;
        };
        // What batches took in that did not know of it yet.
        let until = if is_fresh { now } else { *latest };
        // With what others read, so that all of it is told of each event at once.
        let all: Vec<FieldPath> =
            known.paths.keys().filter_map(|path| FieldPath::parse(path, "").ok()).collect();
        fill(session, (event_type, &all, &paths), from, until).await?;
    }
    Ok(Watched(workflow))
}

/// Refuses a version whose conditions count events of longer ago than events are kept, or read more of them than is kept.
async fn check(
    session: &Session,
    workflow: &Workflow,
    wanted: &BTreeMap<&str, Wanted<'_>>,
    known: &BTreeMap<String, Known>,
) -> Result<(), Error> {
    if aggregates(workflow).next().is_none() {
        return Ok(());
    }
    let days = session.read(async |connection| watched::kept_days(connection, session.tenant).await).await?;
    let mut problems = Vec::new();
    for aggregate in aggregates(workflow) {
        let (within, written, at) = aggregate.window();
        if within > TimeDelta::days(days.into()) {
            let message = format!("events are kept for {days}d, and this counts those within {written}");
            problems.push(Problem::new("window_too_long", format!("{at}.within"), message));
        }
        let (event_type, most) = (aggregate.event(), past::MOST_PATHS);
        let mut paths: BTreeSet<&str> =
            known.get(event_type).into_iter().flat_map(|one| one.paths.keys()).map(String::as_str).collect();
        paths.extend(wanted.get(event_type).into_iter().flat_map(|one| &one.paths).map(|path| path.as_str()));
        if paths.len() > most {
            let message = format!(
                "of {event_type} {most} fields are kept for conditions; with these it would be {}",
                paths.len()
            );
            problems.push(Problem::new("too_many_fields", at, message));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Refusal::Definition(problems).into()) }
}

/// The database's clock, and what is known of types.
async fn known(session: &Session, types: &[&str]) -> Result<(DateTime<Utc>, BTreeMap<String, Known>), Error> {
    session
        .read(async |connection| {
            let now = receipts::now(connection).await?;
            Ok((now, watched::known(connection, session.tenant, types).await?))
        })
        .await
}

/// Day by day, the latest first. All these paths are told of each event; the version's own are known from then on.
async fn fill(
    session: &Session,
    (event_type, all, own): (&str, &[FieldPath], &[&FieldPath]),
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), Error> {
    let all: Vec<&FieldPath> = all.iter().collect();
    let mut end = until;
    while end > from {
        let start = (end - TimeDelta::days(1)).max(from);
        session
            .change_noted(async |connection| {
                watched::fill(connection, session.tenant, (event_type, &all), (start, end)).await?;
                watched::filled(connection, session.tenant, (event_type, own), start).await
            })
            .await?;
        end = start;
    }
    Ok(())
}
