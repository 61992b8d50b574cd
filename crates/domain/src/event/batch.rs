//! Batch mode: one message, many events of one type.

use super::Event;
use super::coding::foreign_body;
use super::envelope::{Member, Members, Rejection, check_size, structured};
use super::split::{Pieces, split};
use crate::encoding;
use crate::limits::Limits;
use std::ops::Range;

/// Splits a batch and reads every member; a bad one is refused alone. Each remembers exactly the bytes it had in the array.
pub(super) fn read(body: &[u8], routing_key: Option<&str>, limits: &Limits) -> Result<Members, Rejection> {
    let pieces = pieces(body, limits)?.into_iter().enumerate();
    Ok(pieces
        .map(|(index, (bytes, told_apart))| {
            let outcome = told_apart.and_then(|()| read_member(&body[bytes.clone()], routing_key, limits));
            Member { index: Some(index), bytes, outcome }
        })
        .collect())
}

/// The bytes of every member, or why it is none.
pub(super) fn members<'a>(
    body: &'a [u8],
    limits: &Limits,
) -> Result<Vec<Result<&'a [u8], Rejection>>, Rejection> {
    let pieces = pieces(body, limits)?.into_iter();
    Ok(pieces.map(|(bytes, told_apart)| told_apart.map(|()| &body[bytes])).collect())
}

/// Where a piece of a batch stands, and whether it is told apart.
type Piece = (Range<usize>, Result<(), Rejection>);

/// Where each member stands, and last, refused, what cannot be told apart.
fn pieces(body: &[u8], limits: &Limits) -> Result<Vec<Piece>, Rejection> {
    if body.len() > limits.batch_bytes {
        return Err(Rejection::new(
            "batch_too_large",
            format!("the batch has {} bytes; at most {} are allowed", body.len(), limits.batch_bytes),
        ));
    }
    let text = encoding::without_mark(body);
    let mark = body.len() - text.len();
    if text.trim_ascii().is_empty() {
        return Err(Rejection::new("malformed_batch", "the body is empty"));
    }
    let Some(Pieces { members, rest }) = split(text, limits.batch_events + 1) else {
        return Err(encoding::foreign(body).map_or_else(
            || Rejection::new("malformed_batch", "the batch is not a JSON array of events"),
            foreign_body,
        ));
    };
    if members.len() > limits.batch_events {
        return Err(Rejection::new(
            "batch_too_many",
            format!("the batch has more than the {} events that are allowed", limits.batch_events),
        ));
    }
    let broken = || {
        Rejection::new(
            "malformed_batch",
            "where this member of the batch ends cannot be told: a string or a bracket is not closed, or neither a comma \
             nor the end of the array follows; whatever comes after it is part of it",
        )
    };
    if members.is_empty() && rest.is_some() {
        return Err(broken());
    }
    let in_body = |range: Range<usize>| range.start + mark..range.end + mark;
    let told_apart = members.into_iter().map(|range| (in_body(range), Ok(())));
    Ok(told_apart.chain(rest.map(|range| (in_body(range), Err(broken())))).collect())
}

fn read_member(bytes: &[u8], routing_key: Option<&str>, limits: &Limits) -> Result<Event, Rejection> {
    check_size(bytes, limits)?;
    let event = structured(bytes, limits)?;
    if let Some(key) = routing_key.filter(|key| *key != event.event_type) {
        return Err(Rejection::new(
            "batch_mixed_types",
            format!(
                "the event's type \"{}\" is not the batch's routing key \"{key}\"; send one type in a batch, with the type as \
                 routing key",
                event.event_type
            ),
        ));
    }
    Ok(event)
}
