//! An event is taken in, as ingest does it: what it says of its contact, whom it lets in, and who waits for it.

use crate::run::{Requests, Run};
use crate::simulation::{MOST_RUNS, Simulation, TooMuch};
use crate::story::{Verdict, What};
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::contact::from_event::{says_of_contact, update_from};
use automation_domain::entry::{self, EntryCondition, KeptOut, run_key_if_let_in};
use automation_domain::event::admission::{check_depth, check_type};
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::facts::Facts;
use automation_domain::id::{ContactId, EventId, RunId};
use automation_domain::interpreter::{CONTACT_CHANGES, RunEvent, RunState};
use automation_domain::record::stamps::Stamp;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What a trigger comes to: its workflow's place and its own, what a run is unique by, and why.
struct Decision {
    playing: usize,
    trigger: usize,
    key: Result<Option<String>, OverBudget>,
    conditions: Vec<EntryCondition>,
}

/// Deciding takes more than its budget, or all that was decided about the event so far did.
struct OverBudget;

impl Simulation {
    pub(crate) fn take_in(&mut self, event: Event, by: Option<RunId>) -> Result<(), TooMuch> {
        let checked = check_type(&event).and_then(|()| check_depth(&event, &self.setting.limits));
        let checked = checked.and_then(|()| match self.seen.insert(event.key) {
            true => Ok(()),
            false => Err(("repeated", "an event of this source and id was taken in before".to_owned())),
        });
        if let Err((code, detail)) = checked {
            self.tell(What::Refused { id: event.id, event_type: event.event_type, code, detail });
            return Ok(());
        }
        let recorded =
            RecordedEvent { event_id: EventId::derive(self.now, event.key), received_at: self.now, event };
        let subject = recorded.event.subject.clone();
        let contact_id = subject.as_deref().map(|who| ContactId::derive(self.setting.tenant_id, who));
        let changed_contact = self.learn(&recorded, contact_id);
        let event = recorded.event.clone();
        self.tell(What::Event {
            id: event.id,
            source: event.source,
            event_type: event.event_type,
            subject: event.subject,
            data: event.data,
            causation_depth: event.causation_depth,
            caused_by: by,
            changed_contact,
        });
        let decisions = self.decide(&recorded, contact_id);
        if let (Some(id), Some(subject)) = (contact_id, &subject)
            && decisions.iter().any(|decision| matches!(decision.key, Ok(Some(_))))
        {
            self.contacts.entry(id).or_insert_with(|| Contact::new(id, subject));
        }
        self.events.insert(recorded.event_id, recorded.clone());
        if let Some(id) = contact_id {
            self.events_of.entry(id).or_default().push(recorded.event_id);
        }
        let open = self.runs.len();
        for decision in decisions {
            self.let_in(decision, &recorded, contact_id)?;
        }
        self.meet_goals(&recorded, contact_id, 0..open)?;
        self.tell_waiting(&recorded, contact_id, open)?;
        for index in open..self.runs.len() {
            self.look_for_goal(index)?;
            self.walk_started(index)?;
        }
        Ok(())
    }

    /// What the event says of its contact; whether that is to be kept.
    fn learn(&mut self, recorded: &RecordedEvent, contact: Option<ContactId>) -> bool {
        let (Some(id), Some(subject), Some(update)) =
            (contact, &recorded.event.subject, update_from(&recorded.event))
        else {
            return false;
        };
        let stamp = Stamp::of_event(&recorded.event, self.now);
        update.apply(self.contacts.entry(id).or_insert_with(|| Contact::new(id, subject)), stamp)
    }

    /// Every trigger that listens for the event.
    fn decide(&self, recorded: &RecordedEvent, contact_id: Option<ContactId>) -> Vec<Decision> {
        // Who is unknown is decided about as a contact of whom nothing is known.
        let unknown = contact_id.zip(recorded.event.subject.as_deref());
        let unknown = unknown.map(|(id, subject)| Contact::new(id, subject));
        let contact = contact_id.and_then(|id| self.contacts.get(&id)).or(unknown.as_ref());
        let budget = Budget::new(&self.setting.limits);
        let (event, tenant, now) = (Some(recorded), self.tenant(), self.now);
        let counting = self.workflows.iter().flat_map(|playing| playing.workflow.entry_aggregates());
        let before = self.counted(contact_id, counting, Some(recorded));
        let past = before.as_past();
        let facts = Facts { event, contact, run: None, past, tenant, now, budget: &budget };
        let mut decisions = Vec::new();
        for (index, playing) in self.workflows.iter().enumerate() {
            let workflow = &playing.workflow;
            budget.begin_next();
            for (number, trigger) in workflow.triggers.iter().enumerate() {
                if !entry::listens(playing.workflow_id, trigger, &recorded.event) {
                    continue;
                }
                let key = match budget.is_worn_out() {
                    true => Err(OverBudget),
                    false => {
                        run_key_if_let_in(&workflow.enrolment, trigger, &recorded.event, &facts, |_, _| ())
                            .map_err(|_exceeded| OverBudget)
                    }
                };
                // Telling has a budget of its own, so that it takes nothing from deciding.
                let telling = Budget::new(&self.setting.limits);
                let facts = Facts { budget: &telling, ..facts };
                let conditions = entry::explained(workflow, trigger, &facts);
                decisions.push(Decision { playing: index, trigger: number, key, conditions });
            }
        }
        decisions
    }

    /// Starts a run, if conditions and entry rules let it in.
    fn let_in(
        &mut self,
        decision: Decision,
        recorded: &RecordedEvent,
        contact_id: Option<ContactId>,
    ) -> Result<(), TooMuch> {
        let playing = self.workflows[decision.playing].clone();
        let trigger = playing.workflow.triggers[decision.trigger].id.clone();
        let id = RunId::derive(self.now, playing.workflow_id, &trigger, recorded.event.key);
        let (mut until, mut superseded) = (None::<DateTime<Utc>>, None);
        let (verdict, key) = match decision.key {
            Err(OverBudget) => (Verdict::OverBudget, None),
            Ok(None) if decision.conditions.iter().any(EntryCondition::is_missed) => {
                (Verdict::ConditionFalse, None)
            }
            Ok(None) => (Verdict::Suppressed, None),
            Ok(Some(key)) if playing.workflow.enrolment.needs_record() => {
                let known = self.enrolments.entry((decision.playing, key.clone())).or_default();
                match known.enter(id, &playing.workflow.enrolment, self.now) {
                    Ok(open) => {
                        superseded = open;
                        (Verdict::Started, Some(key))
                    }
                    Err(KeptOut::Once { .. }) => (Verdict::Once, Some(key)),
                    Err(KeptOut::StillIn) => (Verdict::StillIn, Some(key)),
                    Err(KeptOut::Gap { until: free }) => {
                        until = Some(free);
                        (Verdict::Gap, Some(key))
                    }
                    Err(KeptOut::Max { until: free }) => {
                        until = Some(free);
                        (Verdict::Max, Some(key))
                    }
                }
            }
            Ok(Some(key)) => (Verdict::Started, Some(key)),
        };
        let run = (verdict == Verdict::Started).then_some(id);
        self.tell(What::Decided {
            workflow: playing.workflow.key.clone(),
            trigger: trigger.clone(),
            verdict,
            key: key.clone(),
            run,
            until,
            conditions: decision.conditions,
        });
        let (Some(_), Some(key)) = (run, key) else { return Ok(()) };
        if self.runs.len() == MOST_RUNS {
            return Err(TooMuch::Runs);
        }
        let goal = self.goal_of(decision.playing, (id, &key), recorded, contact_id);
        self.runs.push(Run {
            id,
            goal,
            workflow: playing.workflow.key.clone(),
            trigger,
            key,
            contact: recorded.event.subject.clone(),
            started_at: self.now,
            ended_at: None,
            state: RunState::default(),
            log: Vec::new(),
            playing: decision.playing,
            contact_id,
            event: recorded.event_id,
            epoch: 0,
            due: None,
            requests: Requests::default(),
            sent: BTreeMap::new(),
        });
        if let Some(index) = self.runs.iter().position(|run| Some(run.id) == superseded) {
            self.cancel(index, format!("run {id} took its place"));
        }
        Ok(())
    }

    /// Tells the runs that were open and wait for the event, or for what it may have changed.
    fn tell_waiting(
        &mut self,
        recorded: &RecordedEvent,
        contact: Option<ContactId>,
        open: usize,
    ) -> Result<(), TooMuch> {
        let event_type = recorded.event.event_type.as_str();
        let changes_contact = says_of_contact(event_type);
        for index in 0..open {
            let run = &self.runs[index];
            let waits = run.awaits(event_type) || (changes_contact && run.awaits(CONTACT_CHANGES));
            if run.contact_id.is_some() && run.contact_id == contact && waits {
                self.walk(
                    index,
                    vec![RunEvent::Heard { event: recorded.event_id, changes_contact }, RunEvent::Claimed],
                )?;
            }
        }
        Ok(())
    }
}
