//! The work message: up to fifty runs of one priority that have something to do.
//!
//! A nudge carries no state. Losing one costs time, repeating one costs a look; what is owed stands in the database.
//! Layout: one byte of version, then 32 bytes for each run: tenant, run.

use crate::publisher::Message;
use crate::topology::WORK;
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::priority::Priority;
use uuid::Uuid;

/// Most runs in one message.
pub const MAX_RUNS: usize = 50;

/// The content type of a work message.
pub const CONTENT_TYPE: &str = "application/x-automation-nudge";

const VERSION: u8 = 1;
const PAIR: usize = 32;

/// Why bytes are not a work message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NudgeError {
    /// No bytes, or no run.
    #[error("a work message names no run")]
    Empty,
    /// Written by a newer version of the engine.
    #[error("a work message has version {0}; this version of the engine reads version {VERSION}")]
    Version(u8),
    /// Cut off, or not a work message.
    #[error("a work message has {0} bytes, which is no whole number of runs")]
    Length(usize),
    /// More than [`MAX_RUNS`].
    #[error("a work message names {0} runs; the limit is {MAX_RUNS}")]
    TooMany(usize),
}

/// Packs runs into as few messages as possible, in the order given.
pub fn pack(runs: impl IntoIterator<Item = RunKey>) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for (index, (tenant, run)) in runs.into_iter().enumerate() {
        if index % MAX_RUNS == 0 {
            bodies.push(vec![VERSION]);
        }
        if let Some(body) = bodies.last_mut() {
            body.extend_from_slice(tenant.0.as_bytes());
            body.extend_from_slice(run.0.as_bytes());
        }
    }
    bodies
}

/// The messages that nudge these runs, packed by priority, the most urgent first; `new_id` gives each its id.
pub fn messages(
    runs: impl IntoIterator<Item = (Priority, TenantId, RunId)> + Clone,
    mut new_id: impl FnMut() -> String,
) -> Vec<Message> {
    let mut messages = Vec::new();
    for priority in Priority::ALL {
        let of_priority = runs.clone().into_iter().filter(|run| run.0 == priority);
        messages.extend(pack(of_priority.map(|(_, tenant, run)| (tenant, run))).into_iter().map(|body| {
            Message {
                exchange: WORK.to_owned(),
                routing_key: priority.as_str().to_owned(),
                body,
                content_type: CONTENT_TYPE.to_owned(),
                message_id: new_id(),
                ..Message::default()
            }
        }));
    }
    messages
}

/// Reads what [`pack`] wrote.
pub fn decode(body: &[u8]) -> Result<Vec<RunKey>, NudgeError> {
    let (version, pairs) = body.split_first().ok_or(NudgeError::Empty)?;
    if *version != VERSION {
        return Err(NudgeError::Version(*version));
    }
    let (pairs, rest) = pairs.as_chunks::<PAIR>();
    if !rest.is_empty() {
        return Err(NudgeError::Length(body.len()));
    }
    match pairs.len() {
        0 => Err(NudgeError::Empty),
        1..=MAX_RUNS => Ok(pairs.iter().map(pair).collect()),
        many => Err(NudgeError::TooMany(many)),
    }
}

fn pair(bytes: &[u8; PAIR]) -> RunKey {
    let both = u128::from_be_bytes;
    let (mut tenant, mut run) = ([0; 16], [0; 16]);
    tenant.copy_from_slice(&bytes[..16]);
    run.copy_from_slice(&bytes[16..]);
    (TenantId(Uuid::from_u128(both(tenant))), RunId(Uuid::from_u128(both(run))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs() -> impl Strategy<Value = Vec<RunKey>> {
        prop::collection::vec(any::<(u128, u128)>(), 0..180).prop_map(|pairs| {
            pairs
                .into_iter()
                .map(|(t, r)| (TenantId(Uuid::from_u128(t)), RunId(Uuid::from_u128(r))))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_back_in_order(runs in runs()) {
            let bodies = pack(runs.clone());
            prop_assert_eq!(bodies.len(), runs.len().div_ceil(MAX_RUNS));
            prop_assert!(bodies.iter().all(|body| body.len() <= 4096));
            let read: Vec<_> = bodies.iter().flat_map(|body| decode(body).unwrap()).collect();
            prop_assert_eq!(read, runs);
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = decode(&body);
        }
    }

    #[test]
    fn refusals_name_their_reason() {
        assert_eq!(decode(&[]), Err(NudgeError::Empty));
        assert_eq!(decode(&[1]), Err(NudgeError::Empty));
        assert_eq!(decode(&[2; 33]), Err(NudgeError::Version(2)));
        assert_eq!(decode(&[1; 32]), Err(NudgeError::Length(32)));
        assert_eq!(decode(&[1; 1 + 51 * 32]), Err(NudgeError::TooMany(51)));
    }
}
