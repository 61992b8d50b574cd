//! What happened to a contact before, for conditions that count it.

use crate::simulation::Simulation;
use automation_domain::condition::Aggregate;
use automation_domain::event::RecordedEvent;
use automation_domain::id::ContactId;
use automation_domain::interpreter::happened_at;
use automation_domain::past::{self, History, MOST_EVENTS, Past, PastEvent};

/// What is known of the past of whom facts are about.
#[derive(Debug)]
pub(crate) enum Before {
    /// They are about nobody.
    Nobody,
    /// This.
    Known(History),
}

impl Before {
    pub(crate) fn as_past(&self) -> Past<'_> {
        match self {
            Self::Nobody => Past::Nobody,
            Self::Known(history) => Past::Of(history),
        }
    }
}

impl Simulation {
    /// What these figures are of, with an event that is not recorded yet.
    pub(crate) fn counted<'w>(
        &self,
        contact: Option<ContactId>,
        aggregates: impl IntoIterator<Item = &'w Aggregate>,
        at_hand: Option<&RecordedEvent>,
    ) -> Before {
        let Some(contact) = contact else { return Before::Nobody };
        let recorded =
            self.events_of.get(&contact).into_iter().flatten().filter_map(|id| self.events.get(id));
        let all: Vec<&RecordedEvent> = recorded.chain(at_hand).collect();
        let mut history = History::new(self.now);
        for (event_type, asked) in past::together(aggregates.into_iter().map(Aggregate::asks)) {
            let from = self.now - asked.within;
            let of_type = all.iter().filter(|one| one.event.event_type == event_type);
            let mut within: Vec<&RecordedEvent> =
                of_type.copied().filter(|one| happened_at(one) >= from).collect();
            within.sort_by_key(|one| happened_at(one));
            let too_many = within.len().saturating_sub(MOST_EVENTS);
            let events = within.into_iter().skip(too_many);
            let events = events.map(|one| PastEvent::of(one, asked.paths.iter().copied()));
            history.add(event_type, events, too_many > 0);
        }
        Before::Known(history)
    }
}
