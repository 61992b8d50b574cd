//! Strict reading: every key is known, every value of the right type, every problem kept.

use crate::condition::Condition;
use crate::duration;
use crate::facts::{Tz, read_zone};
use crate::limits::Limits;
use crate::problem::{MOST_PROBLEMS, Problem, nearest_hint};
use crate::template::ValueTemplate;
use crate::workflow::{Allowance, NodeTypes};
use chrono::TimeDelta;
use serde_json::{Map, Value};

/// What the parts of a definition are read with.
#[derive(Debug)]
pub struct Reader<'a> {
    pub(super) types: &'a NodeTypes,
    pub(super) limits: &'a Limits,
    pub(super) allowance: Allowance<'a>,
    /// Options are checked against these: a definition may use one kind a hundred times.
    pub(super) schemas: super::options::Schemas,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// The keys that an object may have.
#[derive(Debug)]
pub struct Keys {
    /// What the object is, for people: `a node`.
    pub what: &'static str,
    /// Those that are read.
    pub known: &'static [&'static str],
    /// Keys of the format that this version does not execute: refused, never ignored.
    pub later: &'static [&'static str],
}

/// An object whose keys were checked, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Section<'v> {
    members: &'v Map<String, Value>,
    /// Where it stands: `nodes[2].with`.
    pub at: &'v str,
    what: &'static str,
}

impl<'v> Section<'v> {
    /// A member.
    pub fn get(&self, key: &str) -> Option<&'v Value> {
        self.members.get(key)
    }

    /// Where a member stands: `nodes[2].with`.
    pub fn at(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }
}

impl<'a> Reader<'a> {
    /// Begins a document; `types` are the kinds of nodes that it may have.
    pub fn new(types: &'a NodeTypes, limits: &'a Limits) -> Self {
        let allowance = Allowance::new(limits);
        Self {
            types,
            limits,
            allowance,
            schemas: Default::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What is wrong with what was read.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Whether there are as many problems as are told: looking for more is of no use.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() > MOST_PROBLEMS
    }

    /// Keeps a problem; `None`, so that a function can end with it.
    pub fn problem<T>(&mut self, code: &str, at: impl Into<String>, message: impl Into<String>) -> Option<T> {
        self.add(Problem::new(code, at, message));
        None
    }

    /// Keeps a problem; one beyond the most that are told stands for all that follow.
    fn add(&mut self, problem: Problem) {
        match self.problems.len() {
            0..MOST_PROBLEMS => self.problems.push(problem),
            MOST_PROBLEMS => {
                let message =
                    format!("there are more than {MOST_PROBLEMS} problems; the others are not listed");
                self.problems.push(Problem::new("too_many_problems", "", message));
            }
            _ => {}
        }
    }

    /// Keeps something worth saying that does not prevent publishing.
    pub fn warn(&mut self, code: &str, at: impl Into<String>, message: impl Into<String>) {
        if self.warnings.len() < MOST_PROBLEMS {
            self.warnings.push(Problem::new(code, at, message));
        }
    }

    /// Keeps the problems of a part that was read elsewhere.
    pub(super) fn keep<T>(&mut self, result: Result<T, Vec<Problem>>) -> Option<T> {
        result.map_err(|problems| problems.into_iter().for_each(|problem| self.add(problem))).ok()
    }

    /// JSON whose strings may be templates.
    pub fn template(&mut self, value: &Value, at: &str) -> Option<ValueTemplate> {
        let counted = self.allowance.value(value, at);
        self.keep(counted.map_err(|problem| problem.into_iter().collect()))?;
        self.keep(ValueTemplate::parse(value, at, self.limits))
    }

    /// An object; keys that it may not have are problems.
    pub fn section<'v>(&mut self, value: &'v Value, at: &'v str, keys: &Keys) -> Option<Section<'v>> {
        let Value::Object(members) = value else {
            return self.problem("wrong_type", at, format!("{} is an object", keys.what));
        };
        let section = Section { members, at, what: keys.what };
        for key in members.keys() {
            let key = key.as_str();
            if keys.later.contains(&key) {
                let message = format!("\"{key}\" is not available yet");
                self.problem::<()>("not_available", section.at(key), message);
            } else if !keys.known.contains(&key) {
                let hint = nearest_hint(key, keys.known.iter().chain(keys.later).copied());
                let message = format!("{} has no key \"{key}\"{hint}", keys.what);
                self.problem::<()>("unknown_key", section.at(key), message);
            }
        }
        Some(section)
    }

    /// A member that must be there.
    pub fn required<'v>(&mut self, section: Section<'v>, key: &str) -> Option<&'v Value> {
        let value = section.get(key);
        if value.is_none() {
            self.problem::<()>("missing_key", section.at, format!("{} needs \"{key}\"", section.what));
        }
        value
    }

    /// A text that must be there.
    pub fn text<'v>(&mut self, section: Section<'v>, key: &str) -> Option<&'v str> {
        match self.required(section, key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::String(_) => self.problem("bad_value", section.at(key), "must not be empty"),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.problem("wrong_type", section.at(key), "must be a text")
            }
        }
    }

    /// A list that may be missing, which is an empty one.
    pub fn list<'v>(&mut self, section: Section<'v>, key: &str) -> Option<&'v [Value]> {
        match section.get(key) {
            None => Some(&[]),
            Some(Value::Array(items)) => Some(items),
            Some(_) => self.problem("wrong_type", section.at(key), "must be a list"),
        }
    }

    /// A name that other parts refer to: `[a-z0-9][a-z0-9_-]*`, at most 64 characters.
    pub fn name<'v>(&mut self, section: Section<'v>, key: &str) -> Option<&'v str> {
        let name = self.text(section, key)?;
        if is_key(name) {
            return Some(name);
        }
        let message = format!(
            "\"{name}\" is not a name: lower-case letters, digits, - and _, beginning with a letter or digit, at most 64"
        );
        self.problem("bad_name", section.at(key), message)
    }

    /// One of several words, or `None` if the key is missing.
    pub fn choice<T: Copy>(&mut self, section: Section<'_>, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = section.get(key)?;
        let word = value.as_str().unwrap_or_default();
        if let Some((_, chosen)) = choices.iter().find(|(choice, _)| *choice == word) {
            return Some(*chosen);
        }
        let known: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        let hint = nearest_hint(word, known.iter().copied());
        self.problem("bad_value", section.at(key), format!("{value} is none of {}{hint}", known.join(", ")))
    }

    /// True or false, or `None` if the key is missing.
    pub fn flag(&mut self, section: Section<'_>, key: &str) -> Option<bool> {
        let value = section.get(key)?;
        value.as_bool().or_else(|| self.problem("wrong_type", section.at(key), "must be true or false"))
    }

    /// The condition at a key, or `None` if there is none.
    pub fn condition(&mut self, section: Section<'_>, key: &str) -> Option<Condition> {
        let condition = Condition::parse_within(section.get(key)?, &section.at(key), &mut self.allowance);
        self.keep(condition)
    }

    /// A time zone by its IANA name.
    pub fn zone(&mut self, name: &str, at: impl Into<String>) -> Option<Tz> {
        match read_zone(name) {
            Ok(zone) => Some(zone),
            Err(message) => self.problem("unknown_timezone", at, message),
        }
    }

    /// A duration such as `1h30m`.
    pub fn duration(&mut self, value: &Value, at: &str) -> Option<TimeDelta> {
        match value.as_str().and_then(duration::parse) {
            Some(length) => Some(length),
            None => {
                let message =
                    format!("{value} is not a duration: write 30s, 15m, 1h, 7d or 1h30m, at most 3660 days");
                self.problem("bad_duration", at, message)
            }
        }
    }
}

/// Whether a text may name a workflow, a trigger, a node or a case.
pub fn is_key(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
}
