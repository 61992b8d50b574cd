//! What each thread evaluates at this moment, so that a hang has a name.
//!
//! What strangers wrote is evaluated on the threads of the runtime, without waiting. Each thread says before each part what it
//! takes in hand, in a slot of its own that nobody but the [watchdog](crate::watchdog) ever looks into: taking something
//! costs some tens of nanoseconds, and no allocation.

use crate::crash_point;
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::part::PartRef;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use uuid::Uuid;

/// What a thread is about to evaluate.
#[derive(Clone, Copy, Debug)]
pub enum Doing<'a> {
    /// Reading a message, known by its publisher's id.
    Message(&'a str),
    /// What is done with an event, known by its publisher's id, whatever the workflow.
    Event(TenantId, &'a str),
    /// A part of a workflow, over an event or for a run.
    Part {
        /// Whose workflow.
        tenant_id: TenantId,
        /// Which part.
        part: PartRef<'a>,
        /// The event or run.
        subject: Uuid,
    },
}

/// Something in hand; dropping it puts it down. It belongs to the thread that took it.
#[derive(Debug)]
#[must_use = "what is not kept is put down at once"]
pub struct Hand(PhantomData<*const ()>);

/// What was found in the hand of a thread, for a log. Ids alone, and nothing of what is evaluated.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InHand {
    /// `message`, `event`, `trigger`, `enrolment` or `node`.
    pub kind: &'static str,
    /// The id of a trigger or node, or what a publisher calls its message or event.
    pub id: String,
    /// Whose it is, where that is known.
    pub tenant: Option<TenantId>,
    /// The workflow and the version that a part belongs to.
    pub version: Option<(WorkflowId, VersionId)>,
    /// The event or run that a part is evaluated for.
    pub subject: Option<Uuid>,
}

/// One thread's slot.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts what was taken: the same number twice is the same thing in hand.
    turn: u64,
    is_held: bool,
    /// What was taken last.
    in_hand: InHand,
}

/// The slots of all threads that ever took something. One whose thread has ended is dropped at the next look.
static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

thread_local! {
    static SLOT: Arc<Slot> = {
        let slot = Arc::new(Slot::default());
        lock(&SLOTS).push(Arc::downgrade(&slot));
        slot
    };
}

/// Takes something in hand, in place of what this thread held before.
pub fn take(doing: Doing<'_>) -> Hand {
    SLOT.with(|slot| lock(&slot.state).take(doing));
    let (kind, id) = doing.name();
    crash_point::in_hand(kind, id);
    Hand(PhantomData)
}

impl Drop for Hand {
    fn drop(&mut self) {
        // A thread that ends has put everything down.
        let _ = SLOT.try_with(|slot| lock(&slot.state).is_held = false);
    }
}

/// What all threads hold: which thread, the how manieth thing it took, and what that is.
pub(crate) fn look() -> Vec<(usize, u64, InHand)> {
    let mut slots = lock(&SLOTS);
    slots.retain(|slot| slot.strong_count() > 0);
    let held = slots.iter().filter_map(Weak::upgrade).filter_map(|slot| {
        let state = lock(&slot.state);
        // The address tells threads apart for as long as the slot lives; a later one begins its count anew.
        state.is_held.then(|| (Arc::as_ptr(&slot).addr(), state.turn, state.in_hand.clone()))
    });
    held.collect()
}

impl<'a> Doing<'a> {
    fn name(self) -> (&'static str, &'a str) {
        match self {
            Self::Message(id) => ("message", id),
            Self::Event(_, id) => ("event", id),
            Self::Part { part, .. } => (part.kind.as_str(), part.id),
        }
    }
}

impl State {
    fn take(&mut self, doing: Doing<'_>) {
        let (kind, id) = doing.name();
        self.turn += 1;
        self.is_held = true;
        self.in_hand.kind = kind;
        self.in_hand.id.clear();
        self.in_hand.id.push_str(id);
        (self.in_hand.tenant, self.in_hand.version, self.in_hand.subject) = match doing {
            Doing::Message(_) => (None, None, None),
            Doing::Event(tenant, _) => (Some(tenant), None, None),
            Doing::Part { tenant_id, part, subject } => {
                (Some(tenant_id), Some((part.workflow_id, part.version_id)), Some(subject))
            }
        };
    }
}

impl fmt::Display for InHand {
    /// `node "tag" of workflow …, version …, for …, tenant …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.id)?;
        if let Some((workflow, version)) = self.version {
            write!(f, " of workflow {workflow}, version {version}")?;
        }
        if let Some(subject) = self.subject {
            write!(f, ", for {subject}")?;
        }
        self.tenant.map_or(Ok(()), |tenant| write!(f, ", tenant {tenant}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::part::PartKind;

    fn of_this_thread() -> Option<(u64, InHand)> {
        let slot = SLOT.with(|slot| Arc::as_ptr(slot).addr());
        look().into_iter().find(|(thread, ..)| *thread == slot).map(|(_, turn, in_hand)| (turn, in_hand))
    }

    #[test]
    fn what_is_held_is_seen_until_it_is_put_down_and_each_taking_is_told_from_the_one_before() {
        let tenant_id = TenantId(Uuid::from_u128(1));
        let part = PartRef {
            workflow_id: WorkflowId(Uuid::from_u128(2)),
            version_id: VersionId(Uuid::from_u128(3)),
            kind: PartKind::Node,
            id: "tag",
        };
        let first = take(Doing::Part { tenant_id, part, subject: Uuid::from_u128(4) });
        let (turn, in_hand) = of_this_thread().unwrap();
        assert_eq!((in_hand.kind, in_hand.id.as_str(), in_hand.tenant), ("node", "tag", Some(tenant_id)));
        assert!(in_hand.to_string().starts_with("node \"tag\" of workflow 00000000-"), "{in_hand}");
        drop(first);
        assert_eq!(of_this_thread(), None);
        let _second = take(Doing::Message("m-1"));
        let (later, in_hand) = of_this_thread().unwrap();
        assert!(later > turn);
        assert_eq!(in_hand, InHand { kind: "message", id: "m-1".to_owned(), ..InHand::default() });
    }

    #[test]
    fn a_thread_that_ended_holds_nothing() {
        let taken = std::thread::spawn(|| {
            std::mem::forget(take(Doing::Message("of a thread that ends")));
        });
        taken.join().unwrap();
        assert!(look().iter().all(|(.., in_hand)| in_hand.id != "of a thread that ends"));
    }
}
