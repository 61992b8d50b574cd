//! The visitor that builds a value, and refuses on its way what no reader of the value could see any more.

use super::Fault;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Word that is left of a text: the parser's own error type can only carry text.
#[derive(Default)]
pub(super) struct Notes {
    fault: RefCell<Option<Fault>>,
    has_double: Cell<bool>,
}

impl Notes {
    /// What was refused.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.fault.take()
    }

    /// Whether a number became a double.
    pub(super) fn has_double(&self) -> bool {
        self.has_double.get()
    }
}

/// Builds a [`Value`], and takes notes.
#[derive(Clone, Copy)]
pub(super) struct Strict<'n> {
    notes: &'n Notes,
    limit: usize,
    depth: usize,
}

impl<'n> Strict<'n> {
    pub(super) fn new(notes: &'n Notes, limit: usize) -> Self {
        Self { notes, limit, depth: 0 }
    }

    pub(super) fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn refuse<E: de::Error>(&self, fault: Fault) -> E {
        let custom = E::custom(&fault);
        self.notes.fault.replace(Some(fault));
        custom
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth < self.limit {
            Ok(Self { depth: self.depth + 1, ..self })
        } else {
            Err(self.refuse(Fault::TooDeep { limit: self.limit }))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        self.notes.has_double.set(true);
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(self.refuse(Fault::Nul));
        }
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key.contains('\0') {
                return Err(self.refuse(Fault::Nul));
            }
            match members.entry(key) {
                Entry::Vacant(slot) => slot.insert(access.next_value_seed(inner)?),
                Entry::Occupied(slot) => return Err(self.refuse(Fault::DuplicateKey(slot.key().clone()))),
            };
        }
        Ok(Value::Object(members))
    }
}
