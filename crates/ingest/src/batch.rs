//! One batch, one transaction: receipts, enrolments, runs, events, contacts, in the order in which locks are taken.

use crate::care::Manner;
use crate::directory::{Current, Known, OverQuota, Room};
use crate::goals::Begun;
use crate::listeners::Watched;
use crate::matching::{Asked, Found};
use crate::metrics::Tally;
use crate::parking::Refused;
use crate::reading::Arrival;
use crate::stopped::Stopped;
use crate::traces::EventSpan;
use crate::{Shared, admission, counting, enrol, matching, traces};
use automation_broker::consumer::Delivery;
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::contact::from_event::{ContactUpdate, update_from};
use automation_domain::event::RecordedEvent;
use automation_domain::event::admission::TOO_LONG_A_CHAIN;
use automation_domain::facts::Facts;
use automation_domain::id::{ContactId, EventId, EventKey, RunId, RunKey, TenantId};
use automation_domain::past::{Past, Values};
use automation_domain::priority::Priority;
use automation_domain::record::stamps::Stamp;
use automation_service_kit::clock;
use automation_service_kit::in_hand::{self, Doing};
use automation_store::events::NewEvent;
use automation_store::events::of_contacts;
use automation_store::events::receipts::{self, Claim, Seen};
use automation_store::records::contacts::{self, Contacts};
use automation_store::role::Worker;
use automation_store::runs::goals::Goal;
use automation_store::runs::{self, NewRun, supersede};
use automation_store::upkeep::usage::{Metered, Sums};
use automation_store::{Conn, Error, Scope, events};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// What a batch came to, once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Runs that were made, to be nudged.
    pub(crate) runs: Vec<(Priority, TenantId, RunId)>,
    /// Events that are to be parked.
    pub(crate) refused: Vec<Refused>,
    /// New events.
    pub(crate) recorded: usize,
    /// Events that were known.
    pub(crate) repeated: usize,
    /// Events, new or known, that runs may wait for.
    pub(crate) watched: Vec<Watched>,
    /// Runs with a goal for which it may have happened before.
    pub(crate) begun: Begun,
    /// Events that are one link too many of their chains of causes.
    pub(crate) stopped: Vec<Stopped>,
    /// What is counted of the new ones.
    pub(crate) tally: Tally,
    /// The sampled ones among the new and the refused.
    pub(crate) spans: Vec<EventSpan>,
    /// What tenants keep more of.
    pub(crate) kept: Sums,
}

impl Outcome {
    /// Adds what another part of the batch came to.
    pub(crate) fn add(&mut self, other: Self) {
        self.runs.extend(other.runs);
        self.refused.extend(other.refused);
        self.watched.extend(other.watched);
        self.begun.add(other.begun);
        self.stopped.extend(other.stopped);
        self.recorded += other.recorded;
        self.repeated += other.repeated;
        self.tally.add(other.tally);
        self.spans.extend(other.spans);
        for (key, bytes) in other.kept {
            *self.kept.entry(key).or_default() += bytes;
        }
    }
}

/// An event whose tenant is known.
struct Admitted<'a> {
    tenant_id: TenantId,
    arrival: &'a Arrival,
}

/// Steps after which what is left of a batch is evaluated in another transaction: about half a second's work.
const MOST_STEPS: u64 = 5_000_000;

/// Why nothing of a part was committed.
enum NotWritten {
    Refused(Error),
    /// Evaluating it takes longer than a transaction should be open, or its tenants' workflows more memory than they may.
    TooMuch,
}

impl From<Error> for NotWritten {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Commits a batch: mostly in one transaction, and in smaller parts where evaluating it takes long. It may be repeated as a
/// whole: what was committed before is then known.
pub(crate) async fn commit(
    shared: &Shared,
    deliveries: &[Delivery],
    arrivals: &[Arrival],
    manner: Manner<'_>,
) -> Result<Outcome, Error> {
    let (mut parts, mut total) = (vec![arrivals], Outcome::default());
    while let Some(part) = parts.pop() {
        match commit_part(shared, deliveries, part, manner).await {
            Ok(outcome) => total.add(outcome),
            Err(NotWritten::Refused(error)) => return Err(error),
            Err(NotWritten::TooMuch) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push(second);
                parts.push(first);
            }
        }
    }
    Ok(total)
}

async fn commit_part(
    shared: &Shared,
    deliveries: &[Delivery],
    arrivals: &[Arrival],
    manner: Manner<'_>,
) -> Result<Outcome, NotWritten> {
    let ids = tenants(shared, arrivals).await?;
    let by_id: BTreeMap<TenantId, String> = ids.iter().map(|(key, id)| (*id, key.clone())).collect();
    let scope: Vec<TenantId> = by_id.keys().copied().collect();
    loop {
        let written = shared
            .db
            .tx(Scope::Intake(&scope), async |connection| {
                let (now, tenants, over_quota) = match shared.directory.current(connection, &scope).await? {
                    Current::All { now, tenants, over_quota } => (now, tenants, over_quota),
                    Current::Stale(stale) => return Ok(Err(stale)),
                };
                let outcome = Outcome::default();
                let mut batch = Batch { shared, deliveries, manner, over_quota: &over_quota, outcome };
                batch.write(connection, now, arrivals, &ids, &tenants).await?;
                Ok::<_, NotWritten>(Ok(batch.outcome))
            })
            .await?;
        match written {
            Ok(outcome) => return Ok(outcome),
            Err(stale) => {
                let limits = &shared.config.limits;
                let room = shared.directory.reload(&shared.db, &stale, &by_id, limits).await?;
                if room == Room::Short && arrivals.len() > 1 {
                    return Err(NotWritten::TooMuch);
                }
            }
        }
    }
}

/// The tenants of these events, those that exist, by key.
pub(crate) async fn tenants(
    shared: &Shared,
    arrivals: &[Arrival],
) -> Result<BTreeMap<String, TenantId>, Error> {
    let keys: BTreeSet<&str> = arrivals.iter().map(|arrival| arrival.event.tenant.as_str()).collect();
    match shared.directory.known(&keys) {
        Some(ids) => Ok(ids),
        None => {
            let resolve =
                async |connection: &mut Conn<Worker>| shared.directory.resolve(connection, &keys).await;
            shared.db.tx(Scope::Tenants(&[]), resolve).await
        }
    }
}

/// Counts runs by the types of their events, and gives them the traces of these. Events and runs stand in the same order.
fn attribute(made: &mut [NewRun], new: &[NewEvent<'_>], tally: &mut Tally, spans: &mut [Option<EventSpan>]) {
    let mut events = new.iter().enumerate().peekable();
    for run in made {
        let key = (run.tenant_id, run.event_id);
        while events.next_if(|(_, new)| (new.tenant_id, new.recorded.event_id) != key).is_some() {}
        let Some((index, new)) = events.peek() else { return };
        tally.run(&new.recorded.event.event_type);
        run.trace = spans.get_mut(*index).and_then(|span| Some(span.as_mut()?.run()));
    }
}

/// What these events add to what their tenants keep. Those that say something of a contact may add as much to the contact.
fn kept(new: &[Admitted<'_>]) -> Sums {
    let mut sums = Sums::new();
    for Admitted { tenant_id, arrival } in new {
        let mut add = |table: Metered, bytes| {
            *sums.entry((*tenant_id, table)).or_default() += table.row_bytes() + bytes;
        };
        add(Metered::EventReceipts, 0);
        add(Metered::Events, arrival.size());
        if arrival.event.event_type.starts_with("contact.") {
            add(Metered::Contacts, arrival.size());
        }
    }
    sums
}

/// A known event that runs may wait for: whoever took it in may have died before they were told.
fn watched_before(one: &Admitted<'_>, received_at: DateTime<Utc>, tenants: &Known) -> Option<Watched> {
    let (tenant_id, event) = (one.tenant_id, &one.arrival.event);
    if !tenants.get(&tenant_id)?.watches(&event.event_type) {
        return None;
    }
    let contact_id = ContactId::derive(tenant_id, event.subject.as_deref()?);
    let event_id = EventId::derive(received_at, event.key);
    let is_goal = tenants.get(&tenant_id)?.is_goal(&event.event_type);
    Some(Watched { tenant_id, contact_id, event_id, event_type: event.event_type.clone(), is_goal })
}

/// A known event that may have started runs with a goal.
fn begun_before(
    one: &Admitted<'_>,
    received_at: DateTime<Utc>,
    tenants: &Known,
) -> Option<(TenantId, ContactId, EventId)> {
    let (tenant_id, event) = (one.tenant_id, &one.arrival.event);
    tenants.get(&tenant_id).filter(|tenant| tenant.has_goals())?;
    let contact_id = ContactId::derive(tenant_id, event.subject.as_deref()?);
    Some((tenant_id, contact_id, EventId::derive(received_at, event.key)))
}

struct Batch<'a> {
    shared: &'a Shared,
    deliveries: &'a [Delivery],
    manner: Manner<'a>,
    over_quota: &'a OverQuota,
    outcome: Outcome,
}

impl Batch<'_> {
    async fn write(
        &mut self,
        connection: &mut Conn<Worker>,
        now: DateTime<Utc>,
        arrivals: &[Arrival],
        ids: &BTreeMap<String, TenantId>,
        tenants: &Known,
    ) -> Result<(), NotWritten> {
        let (limits, users) = (&self.shared.config.limits, &self.shared.config.users);
        let mut admitted = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            let known = ids.get(&arrival.event.tenant).and_then(|id| tenants.get(id));
            let Some(tenant) = known else {
                let key = &arrival.event.tenant;
                let detail = format!("there is no tenant \"{key}\"; create it, or correct tenantid");
                self.refuse(arrival, None, "unknown_tenant", detail);
                continue;
            };
            let delivery = &self.deliveries[arrival.delivery];
            let over = self.over_quota.get(&tenant.tenant_id);
            let admitted_by = admission::check(&arrival.event, delivery, tenant, users, limits, now)
                .and_then(|()| admission::check_quota(tenant, over));
            match admitted_by {
                Ok(()) => admitted.push(Admitted { tenant_id: tenant.tenant_id, arrival }),
                Err((code, detail)) => {
                    if code == TOO_LONG_A_CHAIN {
                        self.outcome.stopped.push(Stopped::new(arrival, self.deliveries, tenant));
                    }
                    self.refuse(arrival, Some(tenant.tenant_id), code, detail);
                }
            }
        }
        let new = self.accept(connection, now, admitted, tenants).await?;
        if new.is_empty() {
            return Ok(());
        }
        let mut kept = kept(&new);
        let mut spans = traces::begin(new.iter().map(|admitted| admitted.arrival), self.deliveries);
        let recorded: Vec<RecordedEvent> = new
            .iter()
            .map(|admitted| RecordedEvent {
                event_id: EventId::derive(now, admitted.arrival.event.key),
                received_at: now,
                event: admitted.arrival.event.clone(),
            })
            .collect();
        let new: Vec<NewEvent<'_>> = new
            .iter()
            .zip(&recorded)
            .map(|(admitted, recorded)| NewEvent {
                tenant_id: admitted.tenant_id,
                contact_id: recorded
                    .event
                    .subject
                    .as_deref()
                    .map(|who| ContactId::derive(admitted.tenant_id, who)),
                recorded,
            })
            .collect();

        let begun = clock::now();
        let mut tally = Tally::default();
        let candidates: Vec<_> = new
            .iter()
            .map(|new| {
                let tenant = &tenants[&new.tenant_id];
                let _hand = in_hand::take(Doing::Event(new.tenant_id, &new.recorded.event.id));
                tally.event(&new.recorded.event.event_type);
                tally.listening += tenant.triggers.listening(&new.recorded.event) as u64;
                let budget = Budget::new(limits);
                let facts = Facts {
                    event: Some(new.recorded),
                    contact: None,
                    run: None,
                    past: Past::Unknown,
                    tenant: tenant.facts(),
                    now,
                    budget: &budget,
                };
                tenant.triggers.candidates(&new.recorded.event, &facts)
            })
            .collect();
        let updates: Vec<Option<ContactUpdate>> =
            new.iter().map(|new| update_from(&new.recorded.event)).collect();
        tally.evaluation += begun.elapsed();
        let mut people = self.people(connection, &new, &candidates, &updates).await?;
        let counted = counting::gather(connection, now, &new, &candidates).await?;

        let begun = clock::now();
        let (mut matches, mut steps) = (Vec::new(), 0);
        let mut touched: BTreeMap<(TenantId, ContactId), &str> = BTreeMap::new();
        for ((new, candidates), update) in new.iter().zip(candidates).zip(&updates) {
            let who = new.contact_id.zip(new.recorded.event.subject.as_deref());
            if let (Some((contact_id, subject)), Some(update)) = (who, update) {
                let person = people
                    .entry((new.tenant_id, contact_id))
                    .or_insert_with(|| Contact::new(contact_id, subject));
                update.apply(person, Stamp::of_event(&new.recorded.event, now));
                touched.insert((new.tenant_id, contact_id), subject);
            }
            if candidates.is_empty() {
                continue;
            }
            let unknown = who.map(|(contact_id, subject)| Contact::new(contact_id, subject));
            let contact = new.contact_id.and_then(|id| people.get(&(new.tenant_id, id))).or(unknown.as_ref());
            let tenant = &tenants[&new.tenant_id];
            let budget = Budget::new(limits);
            let asked = Asked {
                tenant,
                recorded: new.recorded,
                contact,
                contact_id: new.contact_id,
                past: counting::past(&counted, new),
                now,
                manner: self.manner,
            };
            let Found { matches: found, over_budget } = matching::matches(&asked, candidates, &budget);
            steps += budget.spent_together().steps;
            if steps > MOST_STEPS && arrivals.len() > 1 {
                return Err(NotWritten::TooMuch);
            }
            self.shared.over_budget.note(&tenant.key, &over_budget);
            tally.over_budget += over_budget.len() as u64;
            if let (Some((contact_id, subject)), false) = (who, found.is_empty()) {
                touched.insert((new.tenant_id, contact_id), subject);
            }
            matches.extend(found);
        }

        self.manner.go_on();
        tally.evaluation += begun.elapsed();
        tally.matched = matches.len() as u64;

        let mut goals: BTreeMap<RunKey, Goal> = matches
            .iter_mut()
            .filter_map(|found| Some(((found.run.tenant_id, found.run.run_id), found.goal.take()?)))
            .collect();
        let enrol::Admitted { runs: mut made, superseded } = enrol::admit(connection, now, matches).await?;
        tally.kept_out = tally.matched - made.len() as u64;
        attribute(&mut made, &new, &mut tally, &mut spans);
        runs::insert(connection, now, self.shared.config.first_look, &made).await?;
        let goals: Vec<Goal> =
            made.iter().filter_map(|run| goals.remove(&(run.tenant_id, run.run_id))).collect();
        runs::goals::insert(connection, &goals).await?;
        let called = supersede::end(connection, now, &superseded).await?;
        events::insert(connection, &new).await?;
        let watched =
            new.iter().filter(|new| tenants[&new.tenant_id].watches(&new.recorded.event.event_type));
        let watched: Vec<&NewEvent<'_>> = watched.filter(|new| new.contact_id.is_some()).collect();
        let mut kept_of = Vec::new();
        for new in &watched {
            let event = &new.recorded.event;
            if let Some(paths) = tenants[&new.tenant_id].keeps(&event.event_type) {
                kept_of.push((*new, Values::of(event, paths)));
            }
        }
        of_contacts::insert(connection, &kept_of).await?;
        for (new, values) in &kept_of {
            *kept.entry((new.tenant_id, Metered::ContactEvents)).or_default() +=
                Metered::ContactEvents.row_bytes() + values.size_bytes();
        }
        self.outcome.watched.extend(watched.into_iter().filter_map(|new| {
            let event_type = new.recorded.event.event_type.clone();
            let (tenant_id, event_id) = (new.tenant_id, new.recorded.event_id);
            let is_goal = tenants[&tenant_id].is_goal(&event_type);
            Some(Watched { tenant_id, contact_id: new.contact_id?, event_id, event_type, is_goal })
        }));
        contacts::ensure(connection, &touched).await?;
        self.update_contacts(connection, now, &new, &updates).await?;

        self.outcome.begun.goals = goals;
        self.outcome.tally = tally;
        self.outcome.kept = kept;
        self.outcome.spans.extend(spans.into_iter().flatten());
        self.outcome.recorded = new.len();
        let called = called.into_iter().map(|((tenant, run), priority)| (priority, tenant, run));
        let made = made.iter().map(|run| (run.priority, run.tenant_id, run.run_id));
        self.outcome.runs = made.chain(called).collect();
        Ok(())
    }

    /// Writes receipts; keeps the events that are new.
    async fn accept<'b>(
        &mut self,
        connection: &mut Conn<Worker>,
        now: DateTime<Utc>,
        admitted: Vec<Admitted<'b>>,
        tenants: &Known,
    ) -> Result<Vec<Admitted<'b>>, Error> {
        let mut first: BTreeMap<(TenantId, EventKey), [u8; 32]> = BTreeMap::new();
        let mut distinct = Vec::with_capacity(admitted.len());
        for one in admitted {
            let event = &one.arrival.event;
            match first.get(&(one.tenant_id, event.key)) {
                None => {
                    first.insert((one.tenant_id, event.key), event.body_hash);
                    distinct.push(one);
                }
                Some(hash) if *hash == event.body_hash => self.outcome.repeated += 1,
                Some(_other) => self.refuse_conflict(&one),
            }
        }
        let claims: Vec<Claim> = first
            .into_iter()
            .map(|((tenant_id, event_key), body_hash)| Claim { tenant_id, event_key, body_hash })
            .collect();
        let seen = if claims.is_empty() {
            BTreeMap::new()
        } else {
            receipts::accept(connection, now, &claims).await?
        };
        let with_goals = tenants.iter().filter(|(_, tenant)| tenant.has_goals());
        self.outcome.begun.tenants.extend(with_goals.map(|(id, tenant)| (*id, tenant.clone())));
        let mut new = Vec::with_capacity(distinct.len());
        for one in distinct {
            match seen.get(&(one.tenant_id, one.arrival.event.key)) {
                Some(Seen::New) => new.push(one),
                Some(Seen::Before { received_at: Some(received_at) }) => {
                    self.outcome.repeated += 1;
                    self.outcome.watched.extend(watched_before(&one, *received_at, tenants));
                    self.outcome.begun.again.extend(begun_before(&one, *received_at, tenants));
                }
                Some(Seen::Before { received_at: None }) | None => self.outcome.repeated += 1,
                Some(Seen::Conflict) => self.refuse_conflict(&one),
            }
        }
        Ok(new)
    }

    /// The contacts that deciding takes, as they are.
    async fn people(
        &self,
        connection: &mut Conn<Worker>,
        new: &[NewEvent<'_>],
        candidates: &[Vec<crate::trigger_index::TriggerRef>],
        updates: &[Option<ContactUpdate>],
    ) -> Result<Contacts, Error> {
        let needed: BTreeSet<(TenantId, ContactId)> = new
            .iter()
            .zip(candidates)
            .zip(updates)
            .filter(|((_, candidates), update)| update.is_some() || matching::reads_contact(candidates))
            .filter_map(|((new, _), _)| Some((new.tenant_id, new.contact_id?)))
            .collect();
        let needed: Vec<_> = needed.into_iter().collect();
        contacts::read(connection, &needed).await
    }

    /// Applies what contact events say to the locked rows: others may have changed them since they were read.
    async fn update_contacts(
        &self,
        connection: &mut Conn<Worker>,
        now: DateTime<Utc>,
        new: &[NewEvent<'_>],
        updates: &[Option<ContactUpdate>],
    ) -> Result<(), Error> {
        let changes: Vec<((TenantId, ContactId), Stamp, &ContactUpdate)> = new
            .iter()
            .zip(updates)
            .filter_map(|(new, update)| {
                let stamp = Stamp::of_event(&new.recorded.event, now);
                Some(((new.tenant_id, new.contact_id?), stamp, update.as_ref()?))
            })
            .collect();
        let keys: BTreeSet<(TenantId, ContactId)> = changes.iter().map(|(key, ..)| *key).collect();
        let mut locked = contacts::lock(connection, &keys.into_iter().collect::<Vec<_>>()).await?;
        let mut changed = BTreeSet::new();
        for (key, stamp, update) in changes {
            if let Some(contact) = locked.get_mut(&key)
                && update.apply(contact, stamp)
            {
                changed.insert(key);
            }
        }
        locked.retain(|key, _| changed.contains(key));
        contacts::update(connection, now, &locked).await
    }

    fn refuse_conflict(&mut self, one: &Admitted<'_>) {
        let event = &one.arrival.event;
        let detail = format!(
            "event \"{}\" of source \"{}\" was received before with another body",
            event.id, event.source
        );
        self.refuse(one.arrival, Some(one.tenant_id), "event_id_conflict", detail);
    }

    fn refuse(&mut self, arrival: &Arrival, tenant: Option<TenantId>, code: &str, detail: String) {
        let refused = arrival.refused(self.deliveries, code, detail);
        let span = EventSpan::begin(arrival, self.deliveries);
        self.outcome.spans.extend(span.map(|span| span.refused(code)));
        self.outcome.refused.push(match tenant {
            Some(id) => refused.of_tenant(id.to_string()),
            None => refused,
        });
    }
}
