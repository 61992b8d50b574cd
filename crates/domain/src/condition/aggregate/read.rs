//! `{ count: { event, where, within }, op, value }`, and `sum`, `average`, `min` and `max` with `of`.

use super::{Aggregate, Kind, LONGEST_WINDOW, SHORTEST_WINDOW};
use crate::condition::compare::number_in;
use crate::condition::operator::Operator;
use crate::condition::parse::Reader;
use crate::condition::{Condition, Expected};
use crate::duration;
use crate::event::is_type;
use crate::facts::FieldPath;
use crate::past::may_be_kept;
use crate::problem::nearest_hint;
use serde_json::{Map, Value};

const KEYS: [&str; 4] = ["event", "where", "of", "within"];

impl Reader<'_, '_> {
    pub(in crate::condition) fn aggregate(
        &mut self,
        kind: Kind,
        members: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Option<Aggregate> {
        let key = kind.as_str();
        for other in members.keys().filter(|other| ![key, "op", "value"].contains(&other.as_str())) {
            let message = format!("\"{other}\" cannot stand beside {key}");
            self.problem::<()>("unknown_key", format!("{at}.{other}"), message);
        }
        if self.is_of_past {
            let message = "past events cannot be asked for what happened before them";
            return self.problem("bad_condition", format!("{at}.{key}"), message);
        }
        let counted = self.allowance.aggregate(at);
        self.allowed(counted)?;
        let op = self.operator(members, at).and_then(|op| self.of_numbers(op, at));
        let expected = op.and_then(|op| self.number(members, op, at));
        let inner_at = format!("{at}.{key}");
        let Value::Object(inner) = &members[key] else {
            let message = format!("{key} is an object: {{event, where, within}}");
            return self.problem("wrong_type", inner_at, message);
        };
        for other in inner.keys().filter(|other| !KEYS.contains(&other.as_str())) {
            let message = format!("{key} has no key \"{other}\"{}", nearest_hint(other, KEYS));
            self.problem::<()>("unknown_key", format!("{inner_at}.{other}"), message);
        }
        let event = self.event(inner, &inner_at);
        let window = self.window(inner, &inner_at);
        let of = self.of(kind, inner, &inner_at);
        let filter = self.filter(inner, &inner_at, depth);
        let (window, within) = window?;
        Some(Aggregate {
            kind,
            event: event?,
            filter: filter?,
            of: of?,
            within,
            window,
            at: inner_at,
            op: op?,
            expected: expected?,
        })
    }

    /// A figure is a number, and is compared as one.
    fn of_numbers(&mut self, op: Operator, at: &str) -> Option<Operator> {
        match op {
            Operator::Equals
            | Operator::NotEquals
            | Operator::GreaterThan
            | Operator::LessThan
            | Operator::GreaterOrEqual
            | Operator::LessOrEqual
            | Operator::IsEmpty
            | Operator::IsNotEmpty => Some(op),
            Operator::Contains
            | Operator::NotContains
            | Operator::StartsWith
            | Operator::EndsWith
            | Operator::RegexMatch => {
                let message = format!("{} is for texts and lists; a figure is a number", op.as_str());
                self.problem("unknown_operator", format!("{at}.op"), message)
            }
        }
    }

    fn number(&mut self, members: &Map<String, Value>, op: Operator, at: &str) -> Option<Expected> {
        let expected = self.expected(members.get("value"), op, at)?;
        let is_number = match &expected {
            Expected::Literal(Value::Number(_)) | Expected::Template(_) | Expected::Nothing => true,
            Expected::Literal(Value::String(text)) => number_in(text).is_some(),
            Expected::Literal(_) | Expected::Pattern(_) => false,
        };
        if is_number {
            return Some(expected);
        }
        self.problem("wrong_type", format!("{at}.value"), "a figure is compared with a number")
    }

    fn event(&mut self, inner: &Map<String, Value>, at: &str) -> Option<String> {
        let event = self.word(inner, "event", at)?;
        if is_type(event) {
            return Some(event.to_owned());
        }
        let message =
            "an event type is words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes";
        self.problem("bad_name", format!("{at}.event"), message)
    }

    /// The window as it is written, and its length.
    fn window(&mut self, inner: &Map<String, Value>, at: &str) -> Option<(String, chrono::TimeDelta)> {
        let written = self.word(inner, "within", at)?;
        let at = format!("{at}.within");
        let Some(length) = duration::parse(written) else {
            let message = format!("\"{written}\" is not a duration: write 15m, 1h, 7d or 1h30m");
            return self.problem("bad_duration", at, message);
        };
        if (SHORTEST_WINDOW..=LONGEST_WINDOW).contains(&length) {
            return Some((written.to_owned(), length));
        }
        let message = format!("events are looked at from 1m to {}d back", LONGEST_WINDOW.num_days());
        self.problem("bad_value", at, message)
    }

    fn of(&mut self, kind: Kind, inner: &Map<String, Value>, at: &str) -> Option<Option<FieldPath>> {
        let key = kind.as_str();
        match (kind, inner.contains_key("of")) {
            (Kind::Count, false) => Some(None),
            (Kind::Count, true) => {
                self.problem("unknown_key", format!("{at}.of"), "count counts events, not a field of theirs")
            }
            (Kind::Sum | Kind::Average | Kind::Min | Kind::Max, false) => {
                self.problem("missing_key", at, format!("{key} needs \"of\": the field of the events"))
            }
            (Kind::Sum | Kind::Average | Kind::Min | Kind::Max, true) => {
                let of = self.word(inner, "of", at)?;
                let at = format!("{at}.of");
                let counted = self.allowance.take(2 * of.len(), &at);
                self.allowed(counted)?;
                let path = FieldPath::parse(of, &at).map_err(|problem| self.problems.push(problem)).ok()?;
                if may_be_kept(&path) && path.segments().get(1).is_some_and(|member| member == "data") {
                    return Some(Some(path));
                }
                let message = format!("\"{of}\" is no number of an event: write event.data.total");
                self.problem("unknown_field", at, message)
            }
        }
    }

    fn filter(&mut self, inner: &Map<String, Value>, at: &str, depth: usize) -> Option<Option<Condition>> {
        let Some(filter) = inner.get("where") else { return Some(None) };
        self.is_of_past = true;
        let filter = self.condition(filter, &format!("{at}.where"), depth + 1);
        self.is_of_past = false;
        filter.map(Some)
    }
}
