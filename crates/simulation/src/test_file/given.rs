//! What there is before anything happens.

use super::texts;
use automation_domain::contact::{Contact, field};
use automation_domain::facts::Tz;
use automation_domain::id::{RunId, digest};
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::record::ContactChange;
use automation_domain::record::stamps::Stamp;
use automation_domain::workflow::{Keys, NodeTypes, Reader, Section};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// Most contacts of a case.
const MOST_CONTACTS: usize = 1_000;
/// Most other workflows of a case.
const MOST_WITH: usize = 20;

/// What there is.
#[derive(Clone, PartialEq, Debug)]
pub struct Given {
    /// When the case begins.
    pub at: DateTime<Utc>,
    /// Key of the tenant.
    pub tenant: String,
    /// Its time zone.
    pub timezone: Tz,
    /// Contacts.
    pub contacts: Vec<GivenContact>,
    /// Files of other workflows that play along, seen from the file of tests.
    pub with: Vec<String>,
}

/// A contact as it is before anything happens.
#[derive(Clone, PartialEq, Debug)]
pub struct GivenContact {
    /// In the publisher's words.
    pub subject: String,
    set: Vec<(String, Value)>,
    tags: Vec<String>,
    segments: Vec<String>,
    consent: Map<String, Value>,
}

impl Default for Given {
    /// A Monday morning in UTC, and nobody.
    fn default() -> Self {
        let at = DateTime::from_timestamp(1_767_603_600, 0).unwrap_or_default();
        Self { at, tenant: "test".to_owned(), timezone: Tz::UTC, contacts: Vec::new(), with: Vec::new() }
    }
}

impl GivenContact {
    /// Makes the contact so.
    pub fn fill(&self, contact: &mut Contact) {
        // Older than anything that happens.
        let stamp = Stamp::of_run(RunId(digest(&[b"given"])), DateTime::UNIX_EPOCH);
        let set = self
            .set
            .iter()
            .map(|(field, value)| ContactChange::SetField { field: field.clone(), value: value.clone() });
        let tags = self.tags.iter().map(|tag| ContactChange::AddTag { tag: tag.clone() });
        for change in set.chain(tags) {
            change.apply(contact, stamp);
        }
        contact.segments.clone_from(&self.segments);
        contact.segments.sort_unstable();
        contact.segments.dedup();
        contact.consent.clone_from(&self.consent);
    }
}

const GIVEN: Keys =
    Keys { what: "what is given", known: &["at", "tenant", "timezone", "contacts", "with"], later: &[] };
const CONTACT: Keys = Keys {
    what: "a contact",
    known: &[
        "email",
        "phone",
        "first_name",
        "last_name",
        "timezone",
        "owner",
        "score",
        "tags",
        "segments",
        "fields",
        "consent",
    ],
    later: &[],
};

pub(super) fn read(reader: &mut Reader<'_>, case: Section<'_>) -> Option<Given> {
    let given = Given::default();
    let Some(value) = case.get("given") else { return Some(given) };
    let at = case.at("given");
    let section = reader.section(value, &at, &GIVEN)?;
    let begins = match section.get("at") {
        None => Some(given.at),
        Some(value) => match value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
            Some(at) => Some(at.to_utc()),
            None => {
                let message = format!("{value} is no time by RFC 3339, such as 2026-03-02T09:00:00Z");
                reader.problem("bad_value", section.at("at"), message)
            }
        },
    };
    let tenant = match section.get("tenant") {
        None => Some(given.tenant),
        Some(_) => reader.name(section, "tenant").map(str::to_owned),
    };
    let timezone = match section.get("timezone") {
        None => Some(given.timezone),
        Some(_) => {
            reader.text(section, "timezone").and_then(|name| reader.zone(name, section.at("timezone")))
        }
    };
    let contacts = contacts(reader, section);
    let with = texts(reader, section, "with");
    if with.as_ref().is_some_and(|with| with.len() > MOST_WITH) {
        return reader.problem("bad_value", section.at("with"), format!("at most {MOST_WITH} play along"));
    }
    Some(Given { at: begins?, tenant: tenant?, timezone: timezone?, contacts: contacts?, with: with? })
}

fn contacts(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Vec<GivenContact>> {
    let Some(value) = section.get("contacts") else { return Some(Vec::new()) };
    let at = section.at("contacts");
    let Value::Object(all) = value else {
        return reader.problem("wrong_type", at, "contacts are an object, by subject");
    };
    if all.len() > MOST_CONTACTS {
        return reader.problem("bad_value", at, format!("at most {MOST_CONTACTS} contacts are allowed"));
    }
    let read: Vec<Option<GivenContact>> = all
        .iter()
        .map(|(subject, value)| contact(reader, subject, value, &format!("{at}.{subject}")))
        .collect();
    read.into_iter().collect()
}

fn contact(reader: &mut Reader<'_>, subject: &str, value: &Value, at: &str) -> Option<GivenContact> {
    let section = reader.section(value, at, &CONTACT)?;
    let built_in = field::BUILT_IN
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), section.at(name), section.get(name)?.clone())));
    let mut set: Vec<(String, String, Value)> = built_in.collect();
    let own = object(reader, section, "fields")?;
    let own_at = section.at("fields");
    set.extend(
        own.into_iter().map(|(name, value)| (format!("fields.{name}"), format!("{own_at}.{name}"), value)),
    );
    let mut is_good = true;
    for (name, at, value) in &set {
        if let Err(why) = field::check(name, value) {
            is_good = reader.problem::<bool>("bad_value", at.as_str(), why).unwrap_or(false);
        }
    }
    let (tags, segments) = (texts(reader, section, "tags"), texts(reader, section, "segments"));
    let consent = object(reader, section, "consent");
    let set = is_good.then(|| set.into_iter().map(|(name, _, value)| (name, value)).collect());
    Some(GivenContact {
        subject: subject.to_owned(),
        set: set?,
        tags: tags?,
        segments: segments?,
        consent: consent?,
    })
}

/// An object that may be missing.
pub(super) fn object(reader: &mut Reader<'_>, section: Section<'_>, key: &str) -> Option<Map<String, Value>> {
    match section.get(key) {
        None => Some(Map::new()),
        Some(Value::Object(members)) => Some(members.clone()),
        Some(_) => reader.problem("wrong_type", section.at(key), "must be an object"),
    }
}

/// Reads a contact that stands by itself, with its `subject` beside its fields.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn given_contact(document: &Value, limits: &Limits) -> Result<GivenContact, Vec<Problem>> {
    let types = NodeTypes::default();
    let mut reader = Reader::new(&types, limits);
    let mut members = document.as_object().cloned().unwrap_or_default();
    let subject = members.remove("subject");
    let Some(subject) = subject.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty()) else {
        return Err(vec![Problem::new("missing_key", "", "a contact needs \"subject\", a text")]);
    };
    let read = contact(&mut reader, subject, &Value::Object(members), "");
    let problems = reader.into_problems();
    read.filter(|_| problems.is_empty()).ok_or(problems)
}
