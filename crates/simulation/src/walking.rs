//! A run is walked, as the executor does it: what it needs is gathered, what it asks for is done here.

use crate::counting::Before;
use crate::effect::{Done, Effect};
use crate::run::{Ended, Run};
use crate::simulation::{Simulation, TooMuch};
use crate::story::What;
use automation_connectors::suppose;
use automation_domain::effect::Outcome;
use automation_domain::event::{RecordedEvent, caused};
use automation_domain::id::EventId;
use automation_domain::interpreter::{
    Advanced, Asker, Command, End, Need, RecordedEvents, RunEvent, RunInput, Send, Step, StepError,
    Unwatched, advance, cancel, happened_at, received,
};
use automation_domain::past::Past;
use automation_domain::record::stamps::{Applied, Stamp};
use automation_domain::record::{EmittedEvent, RecordChange};
use automation_domain::workflow::Workflow;
use std::collections::BTreeMap;

/// Most events of a type that a run looks back through, the latest.
const MOST_SEEN: usize = 100;

#[derive(Debug)]
struct Recorded<'s> {
    events: &'s BTreeMap<EventId, RecordedEvent>,
    before: Option<Vec<EventId>>,
    past: Before,
}

impl RecordedEvents for Recorded<'_> {
    fn event(&self, id: EventId) -> Option<&RecordedEvent> {
        self.events.get(&id)
    }

    fn before(&self) -> Option<Vec<&RecordedEvent>> {
        Some(self.before.as_ref()?.iter().filter_map(|id| self.event(*id)).collect())
    }

    fn past(&self) -> Past<'_> {
        self.past.as_past()
    }
}

impl Simulation {
    /// Walks a run for the first time.
    pub(crate) fn walk_started(&mut self, index: usize) -> Result<(), TooMuch> {
        // One that another has taken the place of in the meantime has ended.
        if self.runs[index].state.end.is_some() {
            return Ok(());
        }
        let trigger = self.runs[index].trigger.clone();
        self.walk(index, vec![RunEvent::Started { trigger }])
    }

    /// Walks a run whose time has come.
    pub(crate) fn walk_claimed(&mut self, index: usize) -> Result<(), TooMuch> {
        self.walk(index, vec![RunEvent::Claimed])
    }

    /// Walks a run, and again for as long as there is something for it at once: answers, or what was before it began to wait.
    pub(crate) fn walk(&mut self, index: usize, mut inputs: Vec<RunEvent>) -> Result<(), TooMuch> {
        loop {
            self.moment()?;
            self.runs[index].epoch += 1;
            let advanced = self.advance(index, inputs);
            let sent = self.settle(index, advanced);
            let answers: Vec<RunEvent> = sent.into_iter().map(|send| self.answered(index, send)).collect();
            let run = &self.runs[index];
            inputs = match (answers.is_empty(), run.state.end.is_none() && run.state.needs().is_some()) {
                (false, _) => answers,
                (true, true) => vec![RunEvent::Claimed],
                (true, false) => break,
            };
        }
        let now = self.now;
        self.runs[index].set_due(now);
        Ok(())
    }

    /// Ends a run for a rule.
    pub(crate) fn cancel(&mut self, index: usize, reason: String) {
        let (state, commands) = cancel(self.runs[index].state.clone(), reason);
        let log: Vec<Step> = commands.iter().filter_map(Command::step).cloned().collect();
        self.runs[index].state = state;
        for step in log {
            self.log(index, step);
        }
        if commands.contains(&Command::Finish) {
            self.end(index);
        }
        let now = self.now;
        self.runs[index].set_due(now);
    }

    fn advance(&self, index: usize, inputs: Vec<RunEvent>) -> Advanced {
        let run = &self.runs[index];
        let playing = &self.workflows[run.playing];
        let contact = run.contact_id.filter(|_| playing.workflow.needs(&Need::Contact));
        let past = self.counted(run.contact_id, playing.workflow.run_aggregates(), None);
        let recorded = Recorded { events: &self.events, before: self.before(run), past };
        let input = RunInput {
            event: self.events.get(&run.event),
            contact: contact.and_then(|id| self.contacts.get(&id)).cloned(),
            tenant: self.tenant(),
            run_id: run.id,
            run_key: &run.key,
            started_at: run.started_at,
            version: playing.version,
            now: self.now,
            limits: &self.setting.limits,
            ladder: &self.setting.ladder,
            is_paused: false,
            stored: &run.requests,
            recorded: &recorded,
            watch: &Unwatched,
        };
        advance(&playing.workflow, run.state.clone(), inputs, input)
    }

    /// What happened to the contact before the run began to wait, if it asks for that.
    fn before(&self, run: &Run) -> Option<Vec<EventId>> {
        let Some(Need::Before { from, types }) = run.state.needs() else { return None };
        let of_contact = run.contact_id.and_then(|id| self.events_of.get(&id));
        let events: Vec<&RecordedEvent> =
            of_contact.into_iter().flatten().filter_map(|id| self.events.get(id)).collect();
        let mut before = Vec::new();
        for event_type in types {
            let is_asked =
                |event: &&&RecordedEvent| event.event.event_type == event_type && happened_at(event) >= from;
            let mut of_type: Vec<&RecordedEvent> = events.iter().filter(is_asked).copied().collect();
            of_type.sort_by_key(|event| happened_at(event));
            let all = of_type.len();
            before
                .extend(of_type.into_iter().skip(all.saturating_sub(MOST_SEEN)).map(|event| event.event_id));
        }
        Some(before)
    }

    /// Does what a walk asks for; gives the requests.
    fn settle(&mut self, index: usize, advanced: Advanced) -> Vec<Send> {
        let Advanced { state, commands, .. } = advanced;
        self.runs[index].state = state;
        let (mut doing, mut emitted, mut sent) = (Vec::new(), Vec::new(), Vec::new());
        for command in commands {
            match command {
                Command::Change(change) => {
                    let (effect, event) = self.change(index, &change);
                    doing.extend(effect);
                    emitted.extend(event);
                }
                Command::Emit(event) => emitted.push(event),
                Command::Publish(directive) => doing.push(Effect::of_directive(&directive)),
                // What a step does comes before its line.
                Command::Log(step) => {
                    for effect in doing.drain(..) {
                        self.done(index, &step.node, step.visit, effect);
                    }
                    self.log(index, step);
                }
                Command::Send(send) => sent.push(send),
                Command::Bury { node, error, .. } => {
                    let node = self.workflow(index).nodes[node].id.clone();
                    let run = self.runs[index].id;
                    self.tell(What::Buried { run, node, error });
                }
                Command::Finish => self.end(index),
                Command::Withhold { .. } | Command::Wake { .. } => {}
            }
        }
        for send in &mut sent {
            for change in std::mem::take(&mut send.changes) {
                emitted.extend(self.change(index, &change).1);
            }
        }
        self.publish(index, emitted);
        sent
    }

    /// Makes a change of records; what it came to, and the event that follows.
    fn change(&mut self, index: usize, change: &RecordChange) -> (Option<Effect>, Option<EmittedEvent>) {
        let stamp = Stamp::of_run(self.runs[index].id, self.now);
        let subject = self.runs[index].contact.clone();
        let effect = || Some(Effect::of_change(change, subject.as_deref()));
        match change {
            RecordChange::Contact { contact_id, change } => {
                let Some(contact) = self.contacts.get_mut(contact_id) else { return (None, None) };
                match change.apply(contact, stamp) {
                    Applied::Changed(event) => (effect(), Some(event)),
                    Applied::Confirmed | Applied::Nothing => (None, None),
                }
            }
            RecordChange::CreateTask(task) => (effect(), Some(task.created())),
            RecordChange::AddNote(_) => (effect(), None),
        }
    }

    /// Has the events follow that changes cause.
    fn publish(&mut self, index: usize, emitted: Vec<EmittedEvent>) {
        let run = &self.runs[index];
        let (id, what) = (run.id, format!("event of claim {}", run.epoch));
        let root = self.events.get(&run.event).map(|recorded| recorded.event.clone());
        let tenant = self.setting.tenant.clone();
        for (number, event) in (0..).zip(emitted) {
            let cause = caused::Cause { tenant: &tenant, run_id: id, event: root.as_ref() };
            self.follows(caused::by_run(cause, &what, number, event, self.now), id);
        }
    }

    /// What a request comes to, which is not sent.
    fn answered(&mut self, index: usize, send: Send) -> RunEvent {
        let Send { token, node, visit, tries, request, is_stored, .. } = send;
        let workflow = self.workflows[self.runs[index].playing].workflow.clone();
        let of = &workflow.nodes[node];
        if !is_stored {
            self.done(index, &of.id, visit, Effect::of_request(&request));
            self.runs[index].requests.0.insert((of.id.clone(), visit), request.clone());
        }
        let before = self.runs[index].sent.entry(of.id.clone()).or_default();
        let answer = self.answers.after(&workflow.key, &of.id, *before);
        *before += 1;
        let outcome = suppose(&request, &answer.supposed(), &self.setting.limits, self.now.into());
        let outcome = received(Some(of), outcome);
        let error = failure(&outcome);
        let run = self.runs[index].id;
        let is_of = |done: &&mut Done| done.run == run && done.node == of.id && done.visit == visit;
        if let Some(done) = self.effects.iter_mut().find(is_of) {
            done.effect.tried(error.as_ref());
        }
        let (attempt, answer) = (tries.attempt, answer.told());
        self.tell(What::Answered { run, node: of.id.clone(), attempt, answer, error });
        Asker { token, node, visit, tries }.hears(outcome, of.delivery())
    }

    fn workflow(&self, index: usize) -> &Workflow {
        &self.workflows[self.runs[index].playing].workflow
    }

    fn done(&mut self, index: usize, node: &str, visit: u32, effect: Effect) {
        let (at, run, node) = (self.now, self.runs[index].id, node.to_owned());
        let workflow = self.runs[index].workflow.clone();
        self.tell(What::Effect { run, node: node.clone(), effect: effect.clone() });
        self.effects.push(Done { at, run, workflow, node, visit, effect });
    }

    fn log(&mut self, index: usize, step: Step) {
        let now = self.now;
        let run = &mut self.runs[index];
        run.log.push((now, step.clone()));
        let (run, workflow) = (run.id, run.workflow.clone());
        self.tell(What::Step { run, workflow, step });
    }

    fn end(&mut self, index: usize) {
        let now = self.now;
        let run = &mut self.runs[index];
        run.ended_at = Some(now);
        let reason = match (&run.state.end, &run.state.ended_by) {
            (Some(End::Cancelled { reason }), _) => Some(reason.clone()),
            (Some(End::Failed { error, .. }), _) => Some(format!("{} [{}]", error.message, error.code)),
            (Some(End::Completed), Some(by)) => Some(format!("{} {}", by.event_type, by.event_id)),
            (Some(End::Completed) | None, _) => None,
        };
        let (id, workflow, key, playing) = (run.id, run.workflow.clone(), run.key.clone(), run.playing);
        let end = run.ended();
        if end != Ended::Cancelled
            && self.workflows[playing].workflow.enrolment.needs_record()
            && let Some(known) = self.enrolments.get_mut(&(playing, key))
        {
            known.leave(id, now);
        }
        self.tell(What::Ended { run: id, workflow, end: end.as_str(), reason });
    }
}

fn failure(outcome: &Outcome) -> Option<StepError> {
    match outcome {
        Outcome::Done { .. } => None,
        Outcome::Retry { error, .. } | Outcome::Failed { error } => Some(error.clone()),
    }
}
