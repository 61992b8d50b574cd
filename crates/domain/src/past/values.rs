//! What is kept of the content of an event for those who look back at it.

use crate::event::Event;
use crate::facts::FieldPath;
use crate::json;
use crate::path;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Longest value that is kept, in bytes of JSON.
pub const VALUE_BYTES: usize = 512;

/// Most fields that are kept of the events of one type.
pub const MOST_PATHS: usize = 32;

/// Under which the paths stand whose values are too long to be kept: no path is empty.
const TOO_LONG: &str = "";

/// Values of an event, by their paths.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Values(Map<String, Value>);

impl Values {
    /// Those of an event at these paths; what is missing or null is left out.
    pub fn of<'p>(event: &Event, paths: impl IntoIterator<Item = &'p FieldPath>) -> Self {
        let (mut values, mut too_long) = (Map::new(), Vec::new());
        for path in paths {
            let Some(value) = find(event, path).filter(|value| !value.is_null()) else { continue };
            if json::size_bytes(&value) <= VALUE_BYTES {
                values.insert(path.as_str().to_owned(), value.into_owned());
            } else {
                too_long.push(Value::from(path.as_str()));
            }
        }
        if !too_long.is_empty() {
            values.insert(TOO_LONG.to_owned(), too_long.into());
        }
        Self(values)
    }

    /// As they were stored, by whoever did: what is too long is no value here.
    pub fn stored(mut values: Map<String, Value>) -> Self {
        let is_too_long =
            |(path, value): &(&String, &Value)| !path.is_empty() && json::size_bytes(value) > VALUE_BYTES;
        let too_long: Vec<String> = values.iter().filter(is_too_long).map(|(path, _)| path.clone()).collect();
        for path in too_long {
            values.remove(&path);
            let known = values.entry(TOO_LONG).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(known) = known {
                known.push(path.into());
            }
        }
        Self(values)
    }

    /// As they are stored: an object of values by path, and under the empty name the paths of those that are too long.
    pub fn to_store(&self) -> Option<&Map<String, Value>> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    /// Bytes that it is stored in.
    pub fn size_bytes(&self) -> usize {
        self.0.iter().map(|(path, value)| path.len() + json::size_bytes(value) + 4).sum()
    }

    /// The value at a path; `None` where it is missing, null or too long.
    pub fn get(&self, path: &FieldPath) -> Option<&Value> {
        self.0.get(path.as_str())
    }

    /// Whether the value at a path is too long to be kept.
    pub fn lacks(&self, path: &FieldPath) -> bool {
        let too_long = self.0.get(TOO_LONG).and_then(Value::as_array);
        too_long.is_some_and(|paths| paths.iter().any(|one| one == path.as_str()))
    }
}

/// Whether a field of events may be kept: what they say, and where they are from.
pub(crate) fn may_be_kept(path: &FieldPath) -> bool {
    matches!(
        path.segments().iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
        ["event", "data", _, ..] | ["event", "id" | "source"]
    )
}

fn find<'e>(event: &'e Event, path: &FieldPath) -> Option<Cow<'e, Value>> {
    let segments: Vec<&str> = path.segments().iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["event", "data", rest @ ..] => rest
            .iter()
            .try_fold(&event.data, |value, segment| path::member(value, segment))
            .map(Cow::Borrowed),
        ["event", "id"] => Some(Cow::Owned(Value::from(event.id.as_str()))),
        ["event", "source"] => Some(Cow::Owned(Value::from(event.source.as_str()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sample::Sample;
    use serde_json::json;

    fn path(text: &str) -> FieldPath {
        FieldPath::parse(text, "").unwrap()
    }

    #[test]
    fn of_an_event_what_is_asked_for_is_kept_and_what_is_too_long_is_named() {
        let mut event = Sample::default().event.event;
        let long = "x".repeat(VALUE_BYTES);
        event.data = json!({ "total": 19.99, "items": [{ "sku": "a" }], "url": long, "none": null });
        let paths =
            ["event.data.total", "event.data.items[0].sku", "event.data.url", "event.data.none", "event.id"];
        let paths: Vec<FieldPath> = paths.into_iter().map(path).collect();
        let values = Values::of(&event, &paths);
        let stored = json!({
            "event.data.total": 19.99, "event.data.items[0].sku": "a", "event.id": "1", "": ["event.data.url"],
        });
        assert_eq!(Some(&Value::Object(values.to_store().unwrap().clone())), Some(&stored));
        assert_eq!(values.get(&paths[0]), Some(&json!(19.99)));
        assert_eq!(
            (values.get(&paths[2]), values.lacks(&paths[2]), values.lacks(&paths[0])),
            (None, true, false)
        );
        assert_eq!(Values::of(&event, []).to_store(), None, "where nothing is asked for, nothing is stored");
    }
}
