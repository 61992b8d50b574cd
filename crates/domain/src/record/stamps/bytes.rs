//! Stamps as they are stored: narrow, because every change of a record writes its row anew.
//!
//! A byte for the form (1), the number of stamps, the stamps, then parts until the end. A stamp is its time in
//! microseconds since 1970 (8 bytes, big-endian), its key (16 bytes) and what that is the key of (1 byte). A part is
//! twice the index of its stamp, plus one when it is gone; when it is, the day since 1970 on which it went; then the length of
//! its name, and the name. Numbers are LEB128. One event often sets many parts: its stamp is there once. No stamps at all are
//! no bytes.

use super::{Entry, Of, Presence, Stamp};
use chrono::DateTime;
use std::collections::BTreeMap;
use uuid::Uuid;

const FORM: u8 = 1;

/// Stored stamps that are not of this form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stamps of another form")]
pub struct Unreadable;

/// Parts with their stamps, and the days on which those that are gone went.
pub(super) fn write(parts: &[(&str, Stamp, Option<u32>)]) -> Vec<u8> {
    if parts.is_empty() {
        return Vec::new();
    }
    let mut stamps: Vec<Stamp> = parts.iter().map(|(_, stamp, _)| *stamp).collect();
    stamps.sort_unstable();
    stamps.dedup();
    let mut bytes = vec![FORM];
    number(&mut bytes, stamps.len());
    for stamp in &stamps {
        bytes.extend(stamp.at.timestamp_micros().to_be_bytes());
        bytes.extend(stamp.key.as_bytes());
        bytes.push(match stamp.of {
            Of::Event => 0,
            Of::Run => 1,
        });
    }
    for (name, stamp, gone_on) in parts {
        let index = stamps.binary_search(stamp).unwrap_or_default();
        number(&mut bytes, index * 2 + usize::from(gone_on.is_some()));
        if let Some(day) = gone_on {
            number(&mut bytes, *day as usize);
        }
        number(&mut bytes, name.len());
        bytes.extend(name.as_bytes());
    }
    bytes
}

pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, Unreadable> {
    let Some((form, rest)) = bytes.split_first() else { return Ok(BTreeMap::new()) };
    if *form != FORM {
        return Err(Unreadable);
    }
    let mut rest = Rest(rest);
    let stamps = (0..rest.number()?).map(|_| rest.stamp()).collect::<Result<Vec<_>, _>>()?;
    let mut parts = Vec::new();
    while !rest.0.is_empty() {
        let number = rest.number()?;
        let stamp = *stamps.get(number / 2).ok_or(Unreadable)?;
        let (presence, gone_on) = match number % 2 {
            0 => (Presence::There, None),
            _ => (Presence::Gone, Some(u32::try_from(rest.number()?).map_err(|_| Unreadable)?)),
        };
        let length = rest.number()?;
        let name = str::from_utf8(rest.take(length)?).map_err(|_| Unreadable)?;
        parts.push((name.to_owned(), Entry { stamp, presence, gone_on }));
    }
    Ok(parts.into_iter().collect())
}

fn number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// What is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        self.take(N)?.try_into().map_err(|_| Unreadable)
    }

    fn number(&mut self) -> Result<usize, Unreadable> {
        let mut number = 0;
        // No number here is anywhere near 2^28.
        for shift in [0, 7, 14, 21] {
            let [byte] = self.array()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable)
    }

    fn stamp(&mut self) -> Result<Stamp, Unreadable> {
        let micros = i64::from_be_bytes(self.array()?);
        let at = DateTime::from_timestamp_micros(micros).ok_or(Unreadable)?;
        let key = Uuid::from_bytes(self.array()?);
        let of = match self.array()? {
            [0] => Of::Event,
            [1] => Of::Run,
            _ => return Err(Unreadable),
        };
        Ok(Stamp { at, key, of })
    }
}
