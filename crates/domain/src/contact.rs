//! A contact: the person a run is about.

pub mod field;
pub mod from_event;

use crate::id::ContactId;
use crate::json::number;
use crate::record::stamps::{Applied, Presence, Stamp, Stamps};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The engine's record of a person, known to publishers by `subject`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Contact {
    /// Derived from tenant and subject.
    pub contact_id: ContactId,
    /// The publishers' id of the person.
    pub subject: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// IANA time zone.
    pub timezone: Option<String>,
    /// Lead score.
    #[serde(serialize_with = "shortest")]
    pub score: f64,
    /// Who looks after the contact.
    pub owner: Option<String>,
    /// Tags, sorted, each once.
    pub tags: Vec<String>,
    /// Segments, sorted, each once.
    pub segments: Vec<String>,
    /// The tenant's own fields.
    pub fields: Map<String, Value>,
    /// Consent by topic.
    pub consent: Map<String, Value>,
    /// What set each field, tag and segment, and when.
    pub set_by: Stamps,
}

/// Writes a whole number as it is written everywhere else, without a fraction.
fn shortest<S: Serializer>(score: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    number::of_double(*score).serialize(serializer)
}

impl Contact {
    /// A contact of whom nothing is known but the subject.
    pub fn new(contact_id: ContactId, subject: &str) -> Self {
        Self {
            contact_id,
            subject: subject.to_owned(),
            email: None,
            phone: None,
            first_name: None,
            last_name: None,
            timezone: None,
            score: 0.0,
            owner: None,
            tags: Vec::new(),
            segments: Vec::new(),
            fields: Map::new(),
            consent: Map::new(),
            set_by: Stamps::default(),
        }
    }

    pub(crate) fn add_tag(&mut self, tag: &str, stamp: Stamp) -> Applied<()> {
        let Self { tags, set_by, .. } = self;
        set_by.take(tag_part(tag), stamp, Presence::There, || insert_sorted(tags, tag).then_some(()))
    }

    pub(crate) fn remove_tag(&mut self, tag: &str, stamp: Stamp) -> Applied<()> {
        let Self { tags, set_by, .. } = self;
        set_by.take(tag_part(tag), stamp, Presence::Gone, || remove_sorted(tags, tag).then_some(()))
    }

    pub(crate) fn enter_segment(&mut self, segment: &str, stamp: Stamp) -> Applied<()> {
        let Self { segments, set_by, .. } = self;
        let part = format!("segments.{segment}");
        set_by.take(part, stamp, Presence::There, || insert_sorted(segments, segment).then_some(()))
    }
}

fn tag_part(tag: &str) -> String {
    format!("tags.{tag}")
}

/// Adds a word to a sorted list that holds each once; returns whether it was new.
fn insert_sorted(words: &mut Vec<String>, word: &str) -> bool {
    match words.binary_search_by(|known| known.as_str().cmp(word)) {
        Ok(_) => false,
        Err(at) => {
            words.insert(at, word.to_owned());
            true
        }
    }
}

/// Removes a word from a sorted list; returns whether it was there.
fn remove_sorted(words: &mut Vec<String>, word: &str) -> bool {
    match words.binary_search_by(|known| known.as_str().cmp(word)) {
        Ok(at) => {
            words.remove(at);
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_written_as_numbers_are_everywhere() {
        let mut contact = Contact::new(ContactId(uuid::Uuid::nil()), "ada");
        for (score, written) in [(0.0, "0"), (-3.0, "-3"), (2.5, "2.5")] {
            contact.score = score;
            assert_eq!(serde_json::to_value(&contact).unwrap()["score"].to_string(), written);
        }
    }
}
