//! What runs are for: looked for among what happens, whether the run is open or not, as ingest does it.

use crate::simulation::{Simulation, TooMuch};
use crate::story::What;
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{Facts, RunFacts};
use automation_domain::id::{ContactId, RunId};
use automation_domain::interpreter::{Reached, RunEvent, RunState, happened_at};
use automation_domain::past::Past;
use automation_domain::workflow::{RunGoal, Window};
use std::ops::Range;

/// What a run is for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Goal {
    event_type: String,
    filter: RunGoal,
    window: Window,
    ends_run: bool,
    /// Whether it was reached: it counts once.
    is_reached: bool,
}

impl Simulation {
    /// What a run that begins is for; one without a contact is for nothing.
    pub(crate) fn goal_of(
        &self,
        playing: usize,
        (run_id, run_key): (RunId, &str),
        recorded: &RecordedEvent,
        contact: Option<ContactId>,
    ) -> Option<Goal> {
        let (playing, contact) = (&self.workflows[playing], contact?);
        let goal = playing.workflow.goal.as_ref()?;
        let (budget, state) = (Budget::new(&self.setting.limits), RunState::default());
        let run = RunFacts {
            run_id,
            run_key,
            started_at: self.now,
            workflow: &playing.workflow.key,
            version: playing.version,
            state: &state,
            item: None,
        };
        let facts = Facts {
            event: Some(recorded),
            contact: self.contacts.get(&contact),
            run: Some(run),
            past: Past::Unknown,
            tenant: self.tenant(),
            now: self.now,
            budget: &budget,
        };
        let began_at = happened_at(recorded);
        Some(Goal {
            event_type: goal.filter.event.clone(),
            filter: goal.of_run(&facts),
            window: Window { began_at, until: goal.until(began_at) },
            ends_run: goal.ends_run,
            is_reached: false,
        })
    }

    /// Looks for the goal of a run that was just made among what came before its event and happened after it.
    pub(crate) fn look_for_goal(&mut self, index: usize) -> Result<(), TooMuch> {
        let run = &self.runs[index];
        let (Some(_), Some(contact)) = (&run.goal, run.contact_id) else { return Ok(()) };
        let of_contact = self.events_of.get(&contact).into_iter().flatten();
        let mut before: Vec<_> = of_contact.filter_map(|id| self.events.get(id)).cloned().collect();
        before.sort_by_key(happened_at);
        for recorded in before {
            self.meet_goals(&recorded, Some(contact), index..index + 1)?;
        }
        Ok(())
    }

    /// Counts the event for those of these runs that it is the goal of, and ends those that it ends.
    pub(crate) fn meet_goals(
        &mut self,
        recorded: &RecordedEvent,
        contact: Option<ContactId>,
        among: Range<usize>,
    ) -> Result<(), TooMuch> {
        let Some(contact) = contact else { return Ok(()) };
        let at = happened_at(recorded);
        for index in among {
            let run = &self.runs[index];
            let fits = |goal: &Goal| {
                !goal.is_reached && goal.event_type == recorded.event.event_type && goal.window.has(at)
            };
            let goal = run.goal.as_ref().filter(|goal| run.contact_id == Some(contact) && fits(goal));
            let Some(goal) = goal else { continue };
            if !self.is_met(goal, run.id, recorded, contact) {
                continue;
            }
            let (ends_run, run, workflow) = (goal.ends_run, run.id, run.workflow.clone());
            if let Some(goal) = &mut self.runs[index].goal {
                goal.is_reached = true;
            }
            let (event_type, event_id) = (recorded.event.event_type.clone(), recorded.event.id.clone());
            self.tell(What::Goal { run, workflow, event_type: event_type.clone(), id: event_id.clone() });
            if ends_run && self.runs[index].state.end.is_none() {
                self.walk(index, vec![RunEvent::GoalReached(Reached { event_type, event_id, at })])?;
            }
        }
        Ok(())
    }

    fn is_met(&self, goal: &Goal, run_id: RunId, recorded: &RecordedEvent, contact: ContactId) -> bool {
        let (budget, state) = (Budget::new(&self.setting.limits), RunState::default());
        let run = goal.filter.run_key.as_deref().map(|run_key| RunFacts {
            run_id,
            run_key,
            started_at: goal.window.began_at,
            workflow: "",
            version: 0,
            state: &state,
            item: None,
        });
        let subject = recorded.event.subject.as_deref().unwrap_or_default();
        let unknown = Contact::new(contact, subject);
        let facts = Facts {
            event: Some(recorded),
            contact: Some(self.contacts.get(&contact).unwrap_or(&unknown)),
            run,
            past: Past::Unknown,
            tenant: self.tenant(),
            now: self.now,
            budget: &budget,
        };
        // What cannot be decided within the budget is not met.
        goal.filter.is_met_by(&facts, &self.setting.limits).unwrap_or(false)
    }
}
