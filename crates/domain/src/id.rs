//! Identifiers: newtypes over a binary UUID, and the rules by which some of them are derived.
//!
//! Derived ids are what makes a redelivered event harmless: the same event gives the same ids, so constraints decide.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a text is no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be an id as lists print it, such as 019aa5c3-8f2e-7c41-9d06-5b7e2f10c3a8")]
pub struct BadId;

/// Reads an id that has no type of its own.
///
/// # Errors
///
/// [`BadId`] for anything but a UUID.
pub fn parse(text: &str) -> Result<Uuid, BadId> {
    text.parse().map_err(|_| BadId)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text).map(Self)
            }
        }
    };
}

id!(/// A tenant: whose data it is.
    TenantId);
id!(/// A workflow, over all its versions.
    WorkflowId);
id!(/// A published, frozen copy of a workflow.
    VersionId);
id!(/// One execution of a version.
    RunId);
id!(/// A recorded event: time of receipt and the event's key.
    EventId);
id!(/// What an event is known by within a tenant: a function of source and id alone.
    EventKey);
id!(/// A contact: a function of tenant and the publisher's name for it.
    ContactId);
id!(/// A schedule of a published workflow: a function of workflow and trigger.
    ScheduleId);
id!(/// A record an action made (a task, a note): a function of run and step.
    RecordId);
id!(/// What an effect outside is known by to whoever receives it: a function of run, node and visit.
    IdempotencyKey);
id!(/// A credential: what authorizes requests to the world outside.
    CredentialId);
id!(/// A dead letter: time of death, and a function of run and epoch.
    DeadLetterId);
id!(/// What a person is asked to approve: a function of run, node and visit.
    ApprovalId);
id!(/// A key by which a publisher authenticates over HTTP.
    ApiKeyId);
id!(/// One of the secrets of a webhook.
    HookSecretId);
id!(/// A notice: a function of tenant and what it is about.
    NoticeId);

/// What a run is known by everywhere: its own id with its tenant's, since every look-up is one tenant's.
pub type RunKey = (TenantId, RunId);

impl EventKey {
    /// Derives the key from `source` and `id`.
    ///
    /// An id that is a UUIDv7 keeps its millisecond in front, so that keys of a time are neighbours in the index;
    /// any other id is hashed whole. 74 bits or more are always hash.
    pub fn derive(source: &str, id: &str) -> Self {
        let hash = hash(&[b"event", source.as_bytes(), id.as_bytes()]);
        match Uuid::try_parse(id) {
            Ok(uuid) if uuid.get_version_num() == 7 => Self(time_ordered(millis_of(uuid), &hash)),
            Ok(_) | Err(_) => Self(hashed(&hash)),
        }
    }
}

impl EventId {
    /// Derives the id under which an event is recorded.
    pub fn derive(received_at: DateTime<Utc>, key: EventKey) -> Self {
        Self(time_ordered(millis(received_at), &hash(&[b"recorded", key.0.as_bytes()])))
    }
}

impl RunId {
    /// Derives the id of the run that `trigger` of `workflow` starts for an event.
    ///
    /// The version is not part of it: the same event never starts a second run because a workflow was published.
    pub fn derive(received_at: DateTime<Utc>, workflow: WorkflowId, trigger: &str, event: EventKey) -> Self {
        let hash = hash(&[b"run", workflow.0.as_bytes(), trigger.as_bytes(), event.0.as_bytes()]);
        Self(time_ordered(millis(received_at), &hash))
    }
}

impl ScheduleId {
    /// Derives the id of the schedule that is `trigger` of `workflow`, over all versions.
    pub fn derive(workflow: WorkflowId, trigger: &str) -> Self {
        Self(hashed(&hash(&[b"schedule", workflow.0.as_bytes(), trigger.as_bytes()])))
    }

    /// The id of the event of a slot: the same whoever publishes it, and how often. It sorts by slot.
    pub fn event_id(self, slot: DateTime<Utc>) -> Uuid {
        let hash = hash(&[b"slot", self.0.as_bytes(), &slot.timestamp().to_be_bytes()]);
        time_ordered(millis(slot), &hash)
    }
}

impl ContactId {
    /// Derives the id of the contact that publishers of `tenant` call `subject`.
    pub fn derive(tenant: TenantId, subject: &str) -> Self {
        Self(hashed(&hash(&[b"contact", tenant.0.as_bytes(), subject.as_bytes()])))
    }
}

impl RecordId {
    /// Derives the id of the record that a step of a run makes; the same on every try.
    ///
    /// It sorts by the run's time of receipt.
    pub fn derive(run: RunId, node: &str, visit: u32) -> Self {
        let hash = hash(&[b"record", run.0.as_bytes(), node.as_bytes(), &visit.to_be_bytes()]);
        Self(time_ordered(millis_of(run.0), &hash))
    }
}

impl IdempotencyKey {
    /// Derives the key of what a step sends outside: the same on every try, crash, takeover and replay.
    pub fn derive(run: RunId, node: &str, visit: u32) -> Self {
        Self(hashed(&hash(&[b"effect", run.0.as_bytes(), node.as_bytes(), &visit.to_be_bytes()])))
    }
}

impl ApprovalId {
    /// Derives the id of the approval that a visit of a node asks for: what was said of an earlier visit is not said of this one.
    ///
    /// It sorts by the run's time of receipt.
    pub fn derive(run: RunId, node: &str, visit: u32) -> Self {
        let hash = hash(&[b"approval", run.0.as_bytes(), node.as_bytes(), &visit.to_be_bytes()]);
        Self(time_ordered(millis_of(run.0), &hash))
    }
}

impl DeadLetterId {
    /// Derives the id of the dead letter of the claim `epoch` of a run: a claim gives up a visit of a node once, or the run as
    /// a whole.
    pub fn derive(died_at: DateTime<Utc>, run: RunId, epoch: i32, step: Option<(&str, u32)>) -> Self {
        let (node, visit) = step.unwrap_or_default();
        let (epoch, visit) = (epoch.to_be_bytes(), visit.to_be_bytes());
        let parts: [&[u8]; 5] = [b"dead letter", run.0.as_bytes(), &epoch, node.as_bytes(), &visit];
        Self(time_ordered(millis(died_at), &hash(&parts)))
    }
}

/// The smallest id of the form used here with the time `at`: the lower bound of a partition or a listing.
pub fn lower_bound(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(millis(at)) << 80)
}

/// The ids that were derived at the same millisecond as this one lie between these: `low <= id < high`.
pub fn id_bounds(id: Uuid) -> (Uuid, Uuid) {
    let bound = |millis: u64| Uuid::from_u128(u128::from(millis) << 80);
    (bound(millis_of(id)), bound(millis_of(id) + 1))
}

/// The millisecond that a time-ordered id begins with, since the epoch.
pub fn millis_of(id: Uuid) -> u64 {
    (id.as_u128() >> 80) as u64
}

/// An id that is a function of these parts alone.
pub fn digest(parts: &[&[u8]]) -> Uuid {
    hashed(&hash(parts))
}

/// Longest key that a run is told from others by, in bytes: it is indexed, and must fit there whatever it holds.
const LONGEST_KEY: usize = 256;
/// What is kept of a longer one, for people.
const KEPT_OF_KEY: usize = 200;

/// The key under which runs are kept: the text itself, or, when it is longer than 256 bytes, its beginning and a hash of
/// the whole. U+0000, which cannot be stored, is replaced.
pub fn run_key(text: String) -> String {
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    if text.len() <= LONGEST_KEY {
        return text;
    }
    let kept = &text[..text.floor_char_boundary(KEPT_OF_KEY)];
    format!("{kept}#{}", digest(&[b"run key", text.as_bytes()]).simple())
}

fn millis(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0)
}

/// SHA-256 over the parts, each preceded by its length so that no two lists of parts collide.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// RFC 9562 version 7 layout: 48 bits of milliseconds, then 74 bits of `hash`.
fn time_ordered(millis: u64, hash: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&hash[..10]);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

/// RFC 9562 version 8 layout: 122 bits of `hash`.
fn hashed(hash: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_time_ordered_id_keeps_its_time() {
        let id = "01932c07-0000-7000-8000-000000000001";
        let key = EventKey::derive("shop", id);
        assert_eq!(millis_of(key.0), 0x0193_2c07_0000);
        assert_ne!(key, EventKey::derive("crm", id));
    }

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(EventKey::derive("ab", "c"), EventKey::derive("a", "bc"));
    }

    #[test]
    fn long_keys_keep_their_beginning_and_stay_apart() {
        let (fits, long) = ("k".repeat(256), "ü".repeat(150));
        assert_eq!(run_key(fits.clone()), fits);
        let (one, other) = (run_key(format!("{long}1")), run_key(format!("{long}2")));
        assert!(one.len() <= 256 && one.starts_with(&"ü".repeat(100)), "{one}");
        assert_ne!(one, other);
        assert_eq!(run_key("a\0b".to_owned()), "a\u{fffd}b");
    }

    #[test]
    fn run_id_sorts_by_receipt() {
        let at = |s| DateTime::from_timestamp(s, 0).unwrap();
        let key = EventKey::derive("shop", "1");
        let workflow = WorkflowId(Uuid::from_u128(1));
        let (early, late) =
            (RunId::derive(at(100), workflow, "t", key), RunId::derive(at(101), workflow, "t", key));
        assert!(early < late);
        assert!(early.0 > lower_bound(at(100)) && early.0 < lower_bound(at(101)));
    }
}
