//! What happens in a case, and when.

use super::given::object;
use super::moment::{self, Moment};
use super::{MOST_HAPPENINGS, bounded, texts};
use crate::setting::Happening;
use automation_domain::contact::field;
use automation_domain::event::is_type;
use automation_domain::schedule::EVENT_PREFIX;
use automation_domain::workflow::{Keys, Reader, Section};
use chrono::TimeDelta;
use serde_json::{Map, Value, json};

const EVENT: Keys =
    Keys { what: "an event", known: &["at", "event", "subject", "data", "source", "id", "time"], later: &[] };
const CHANGE: Keys = Keys {
    what: "a change of a contact",
    known: &["at", "contact", "set", "add_tags", "remove_tags", "enter_segments"],
    later: &[],
};
const SLOT: Keys = Keys { what: "a slot", known: &["at", "schedule", "workflow"], later: &[] };
const ANY: Keys = Keys {
    what: "what happens",
    known: &[
        "at",
        "event",
        "subject",
        "data",
        "source",
        "id",
        "time",
        "contact",
        "set",
        "add_tags",
        "remove_tags",
        "enter_segments",
        "schedule",
        "workflow",
    ],
    later: &[],
};

pub(super) fn read(reader: &mut Reader<'_>, case: Section<'_>) -> Option<Vec<(Moment, Happening)>> {
    let listed = bounded(reader, case, "when", MOST_HAPPENINGS)?;
    let at = case.at("when");
    let mut all = Vec::new();
    let mut is_good = true;
    for (index, value) in listed.iter().enumerate() {
        match one(reader, value, &format!("{at}[{index}]")) {
            Some(happens) => all.extend(happens),
            None => is_good = false,
        }
    }
    is_good.then_some(all)
}

/// A CloudEvent as an entry; anything else as it is.
pub(super) fn of_cloudevent(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    if !members.contains_key("specversion") {
        return value.clone();
    }
    let of_entry = ["type", "subject", "data", "source", "id", "time"].into_iter().filter_map(|key| {
        let name = if key == "type" { "event" } else { key };
        Some((name.to_owned(), members.get(key)?.clone()))
    });
    Value::Object(of_entry.collect())
}

fn one(reader: &mut Reader<'_>, value: &Value, at: &str) -> Option<Vec<(Moment, Happening)>> {
    let has = |key: &str| value.get(key).is_some();
    let keys = match (has("event"), has("contact"), has("schedule")) {
        (true, false, false) => &EVENT,
        (false, true, false) => &CHANGE,
        (false, false, true) => &SLOT,
        _ => {
            reader.section(value, at, &ANY)?;
            return reader.problem("missing_key", at, "needs one of \"event\", \"contact\" and \"schedule\"");
        }
    };
    let section = reader.section(value, at, keys)?;
    let when = moment::optional(reader, section, "at")?.unwrap_or(Moment::After(TimeDelta::zero()));
    let happenings = if has("event") {
        vec![event(reader, section)?]
    } else if has("contact") {
        change(reader, section)?
    } else {
        let workflow = match section.get("workflow") {
            Some(_) => reader.name(section, "workflow")?.to_owned(),
            // The one that is tested.
            None => String::new(),
        };
        vec![Happening::Slot { workflow, trigger: reader.name(section, "schedule")?.to_owned() }]
    };
    Some(happenings.into_iter().map(|happening| (when, happening)).collect())
}

fn event(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Happening> {
    let event_type = reader.text(section, "event")?;
    if !is_type(event_type) || event_type.starts_with(EVENT_PREFIX) {
        let message = format!(
            "\"{event_type}\" is no type of an event from outside: words of a-z, 0-9, _ and - with dots between them, not \
             {EVENT_PREFIX}…"
        );
        return reader.problem("bad_value", section.at("event"), message);
    }
    let optional = |reader: &mut Reader<'_>, key: &str| match section.get(key) {
        Some(_) => reader.text(section, key).map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let (subject, source, id) =
        (optional(reader, "subject"), optional(reader, "source"), optional(reader, "id"));
    let data = object(reader, section, "data");
    let time = match optional(reader, "time")? {
        None => None,
        Some(text) => match chrono::DateTime::parse_from_rfc3339(&text) {
            Ok(time) => Some(time.to_utc()),
            Err(_) => {
                let message = format!("\"{text}\" is no time by RFC 3339");
                return reader.problem("bad_value", section.at("time"), message);
            }
        },
    };
    Some(Happening::Event {
        event_type: event_type.to_owned(),
        subject: subject?,
        data: Value::Object(data?),
        source: source?,
        id: id?,
        time,
    })
}

/// A change of a contact is the events that say so.
fn change(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Vec<Happening>> {
    let subject = reader.text(section, "contact")?.to_owned();
    let set = object(reader, section, "set")?;
    let (added, removed, entered) = (
        texts(reader, section, "add_tags")?,
        texts(reader, section, "remove_tags")?,
        texts(reader, section, "enter_segments")?,
    );
    let mut changes = Map::new();
    for (written, value) in set {
        let at = format!("{}.{written}", section.at("set"));
        let checked = field::named(&written).and_then(|name| field::check(&name, &value).map(|()| name));
        let name = match checked {
            Ok(name) => name,
            Err(why) => return reader.problem("bad_value", at, why),
        };
        changes.insert(name, json!({ "to": value }));
    }
    let mut all = Vec::new();
    let mut add = |event_type: &str, data: Value| {
        all.push(Happening::event(event_type, Some(&subject), data));
    };
    if !changes.is_empty() {
        add("contact.updated", json!({ "changes": changes }));
    }
    added.iter().for_each(|tag| add("contact.tag_added", json!({ "tag": tag })));
    removed.iter().for_each(|tag| add("contact.tag_removed", json!({ "tag": tag })));
    entered.iter().for_each(|segment| add("contact.segment_entered", json!({ "segment_id": segment })));
    if all.is_empty() {
        let message = "changes nothing: give \"set\", \"add_tags\", \"remove_tags\" or \"enter_segments\"";
        return reader.problem("missing_key", section.at, message);
    }
    Some(all)
}
