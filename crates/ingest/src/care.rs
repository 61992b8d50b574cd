//! Handling with care what came back: whoever had it before may have died of it.
//!
//! What is in hand is marked in the database before it is evaluated. A mark that is found when the same message comes again was
//! left behind by a death, and says of what. Mostly a message comes back because a process ended, or gave it up: so messages
//! that came back are marked and taken in many at once, and only what was among them when a process died is handled alone,
//! with a mark before each part.
//!
//! A part of a workflow that processes died of [`MOST_DEATHS`](suspects::MOST_DEATHS) times with the same event is suspended, and the event goes on
//! without it. Only what kills with no part in hand is parked (docs/adr/0018).

use crate::Shared;
use crate::metrics::IngestMetrics;
use automation_broker::consumer::Delivery;
use automation_domain::id::{self, TenantId};
use automation_domain::part::PartRef;
use automation_service_kit::in_hand::{self, Doing, Hand};
use automation_store::blame::suspects::{self, Hold, InHand, Subject, Suspect, UNREAD};
use automation_store::blame::suspended_parts;
use automation_store::role::Worker;
use automation_store::{Conn, Db, Error, Scope};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How an event is evaluated.
#[derive(Clone, Copy)]
pub(crate) enum Manner<'a> {
    /// Among others, for the first time.
    Usual,
    /// Alone, with a mark before each part.
    Careful(&'a Care, Subject),
}

/// What marks are written with.
#[derive(Clone, Debug)]
pub(crate) struct Care {
    db: Db<Worker>,
}

/// Whether a subject may be handled again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It may: it is marked as in hand.
    Marked,
    /// Too many processes died of it alone.
    Deadly,
}

impl Manner<'_> {
    /// Takes a part in hand, to be evaluated over an event.
    pub(crate) fn take(self, tenant_id: TenantId, part: PartRef<'_>, event: Uuid) -> Hand {
        if let Self::Careful(care, subject) = self {
            care.mark_here(subject, InHand::Part(part));
        }
        in_hand::take(Doing::Part { tenant_id, part, subject: event })
    }

    /// All parts are through; what follows is the event's alone.
    pub(crate) fn go_on(self) {
        if let Self::Careful(care, subject) = self {
            care.mark_here(subject, InHand::Event);
        }
    }
}

impl Care {
    pub(crate) fn new(db: Db<Worker>) -> Self {
        Self { db }
    }

    /// Keeps messages from others who would take their marks for those of somebody dead; gives those that nobody who lives
    /// has. `None` when the process drains first.
    pub(crate) async fn hold(
        &self,
        messages: &[Uuid],
        drain: &CancellationToken,
    ) -> Option<(Hold, BTreeSet<Uuid>)> {
        loop {
            if let Some(held) = told("keeping messages", suspects::hold(&self.db, messages).await) {
                return Some(held);
            }
            again(drain).await?;
        }
    }

    /// Charges the deaths that left marks on messages, and gives those that were ever charged; marks the others as in hand.
    /// `None` when the process drains first.
    pub(crate) async fn sort(&self, messages: &[Uuid], drain: &CancellationToken) -> Option<BTreeSet<Uuid>> {
        loop {
            if let Some(charged) = told("charging deaths", self.sort_once(messages).await) {
                return Some(charged);
            }
            again(drain).await?;
        }
    }

    async fn sort_once(&self, messages: &[Uuid]) -> Result<BTreeSet<Uuid>, Error> {
        let all: Vec<Subject> = messages.iter().map(|message| (UNREAD, *message)).collect();
        let sort = async |connection: &mut Conn<Worker>| {
            let charged = suspects::charge(connection, &all).await?;
            let charged: BTreeSet<Uuid> = charged.into_iter().map(|suspect| suspect.subject.1).collect();
            let fresh: Vec<Uuid> =
                messages.iter().filter(|message| !charged.contains(message)).copied().collect();
            suspects::mark_messages(connection, &fresh).await?;
            Ok(charged)
        };
        self.db.tx(Scope::Tenants(&[UNREAD]), sort).await
    }

    /// These messages are through.
    pub(crate) async fn acquit_messages(&self, messages: &[Uuid]) {
        let all: Vec<Subject> = messages.iter().map(|message| (UNREAD, *message)).collect();
        let acquitted = self.db.tx(Scope::Tenants(&[UNREAD]), async |connection: &mut Conn<Worker>| {
            suspects::acquit(connection, &all).await
        });
        told("unmarking what is through", acquitted.await);
    }

    /// Charges the deaths that left marks, suspends the parts that are to blame, and marks the subject as in hand. `None` when
    /// the process drains first.
    pub(crate) async fn begin(
        &self,
        metrics: &IngestMetrics,
        subject: Subject,
        in_hand: InHand<'_>,
        drain: &CancellationToken,
    ) -> Option<Standing> {
        let (suspects, blamed) = loop {
            if let Some(charged) = told("charging deaths", self.begin_once(subject, in_hand).await) {
                break charged;
            }
            again(drain).await?;
        };
        for suspect in &blamed {
            notice(suspect);
            metrics.suspended();
        }
        let is_deadly = |suspect: &Suspect| suspect.part.is_none() && suspect.is_deadly();
        Some(if suspects.iter().any(is_deadly) { Standing::Deadly } else { Standing::Marked })
    }

    /// What was ever charged to the subject, and of that the parts that are suspended by it.
    async fn begin_once(
        &self,
        subject: Subject,
        in_hand: InHand<'_>,
    ) -> Result<(Vec<Suspect>, Vec<Suspect>), Error> {
        let begin = async |connection: &mut Conn<Worker>| {
            let suspects = suspects::charge(connection, &[subject]).await?;
            let blamed = suspended_parts::suspend_deadly(connection, &suspects).await?;
            suspects::mark(connection, subject, in_hand).await?;
            Ok((suspects, blamed))
        };
        self.db.tx(Scope::Tenants(&[subject.0]), begin).await
    }

    /// Nothing is in hand for the subject; what was charged stays.
    pub(crate) async fn put_down(&self, subject: Subject) {
        let scope = [subject.0];
        let put = self.db.tx(Scope::Tenants(&scope), async |connection: &mut Conn<Worker>| {
            suspects::put_down(connection, subject).await
        });
        told("unmarking what was in hand", put.await);
    }

    /// The subject is through.
    pub(crate) async fn acquit(&self, subject: Subject) {
        let scope = [subject.0];
        let acquitted = self.db.tx(Scope::Tenants(&scope), async |connection: &mut Conn<Worker>| {
            suspects::acquit(connection, &[subject]).await
        });
        told("unmarking what is through", acquitted.await);
    }

    /// Marks from the middle of an evaluation, which cannot wait but for this.
    fn mark_here(&self, subject: Subject, in_hand: InHand<'_>) {
        let marked = self
            .db
            .tx(Scope::Tenants(std::slice::from_ref(&subject.0)), async |connection: &mut Conn<Worker>| {
                suspects::mark(connection, subject, in_hand).await
            });
        told("marking what is in hand", block_in_place(|| Handle::current().block_on(marked)));
    }
}

/// What a message is known by each time it is delivered.
pub(crate) fn message_id(delivery: &Delivery) -> Uuid {
    let headers = delivery.headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let own = [
        delivery.routing_key.as_bytes(),
        delivery.message_id.as_deref().unwrap_or_default().as_bytes(),
        &delivery.body,
    ];
    id::digest(&own.into_iter().chain(headers).collect::<Vec<_>>())
}

fn notice(suspect: &Suspect) {
    let Some(part) = &suspect.part else { return };
    tracing::error!(
        tenant.id = %suspect.subject.0,
        workflow.id = %part.workflow_id,
        version.id = %part.version_id,
        event.key = %suspect.subject.1,
        deaths = suspect.deaths,
        "{part} is suspended: processes died or hung while they evaluated it; events go on without it"
    );
}

/// Waits before the database is asked again; `None` when the process drains. Whatever came back is not handled without what is
/// charged to it: what killed would kill again unseen.
async fn again(drain: &CancellationToken) -> Option<()> {
    tokio::select! {
        () = drain.cancelled() => None,
        () = tokio::time::sleep(Duration::from_millis(200)) => Some(()),
    }
}

/// What the database answered; of a mark that it did not take, the log tells.
fn told<T>(what: &str, answered: Result<T, Error>) -> Option<T> {
    answered.inspect_err(|error| tracing::warn!(%error, "{what} failed")).ok()
}

impl Shared {
    /// How an event of a tenant is evaluated that came back.
    pub(crate) fn carefully(&self, subject: Subject) -> Manner<'_> {
        Manner::Careful(&self.care, subject)
    }
}
