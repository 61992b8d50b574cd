//! From JSON to a condition, or to everything that is wrong with it.

use super::operator::Operator;
use super::pattern::{self, Pattern};
use super::{Condition, Expected, Leaf, Test, aggregate, relative};
use crate::facts::FieldPath;
use crate::limits::Limits;
use crate::past::may_be_kept;
use crate::problem::{MOST_PROBLEMS, Problem, nearest_hint};
use crate::template::{ValueTemplate, is_template};
use crate::workflow::{Allowance, Refused};
use serde_json::{Map, Value};

/// Keys that make an object a condition.
const JOINS: [&str; 3] = ["all", "any", "not"];
const LEAF_KEYS: [&str; 3] = ["field", "op", "value"];

pub(super) fn parse(
    value: &Value,
    at: &str,
    allowance: &mut Allowance<'_>,
) -> Result<Condition, Vec<Problem>> {
    let (limits, problems) = (allowance.limits(), Vec::new());
    let mut reader = Reader { limits, allowance, problems, is_of_past: false };
    let condition = reader.condition(value, at, 1);
    match condition {
        Some(condition) if reader.problems.is_empty() => Ok(condition),
        Some(_) | None => Err(reader.problems),
    }
}

pub(super) struct Reader<'a, 'l> {
    pub(super) limits: &'l Limits,
    pub(super) allowance: &'a mut Allowance<'l>,
    pub(super) problems: Vec<Problem>,
    /// Whether it reads what is asked of past events.
    pub(super) is_of_past: bool,
}

impl Reader<'_, '_> {
    pub(super) fn problem<T>(
        &mut self,
        code: &str,
        at: impl Into<String>,
        message: impl Into<String>,
    ) -> Option<T> {
        if self.problems.len() <= MOST_PROBLEMS {
            self.problems.push(Problem::new(code, at, message));
        }
        None
    }

    /// Keeps the problem of what is more than a definition may have.
    pub(super) fn allowed(&mut self, counted: Result<(), Refused>) -> Option<()> {
        counted.map_err(|problem| self.problems.extend(problem)).ok()
    }

    pub(super) fn condition(&mut self, value: &Value, at: &str, depth: usize) -> Option<Condition> {
        if depth > self.limits.json_depth {
            let message = format!("conditions may be nested at most {} levels deep", self.limits.json_depth);
            return self.problem("too_deep", at, message);
        }
        let Value::Object(members) = value else {
            return self.problem(
                "bad_condition",
                at,
                "a condition is an object: {field, op, value}, all, any or not",
            );
        };
        let mut joins = JOINS.into_iter().filter(|join| members.contains_key(*join));
        let test = match joins.next() {
            None => self.comparison(members, at, depth)?,
            Some(join) => {
                for key in members.keys().filter(|key| *key != join) {
                    let message = format!("\"{key}\" cannot stand beside {join} in one condition; nest them");
                    self.problem::<()>("unknown_key", format!("{at}.{key}"), message);
                }
                let inner = &members[join];
                let at = format!("{at}.{join}");
                match join {
                    "not" => Test::Not(Box::new(self.condition(inner, &at, depth + 1)?)),
                    "all" => Test::All(self.list(inner, &at, depth)?),
                    _ => Test::Any(self.list(inner, &at, depth)?),
                }
            }
        };
        Some(Condition { test })
    }

    fn list(&mut self, value: &Value, at: &str, depth: usize) -> Option<Vec<Condition>> {
        let Value::Array(items) = value else {
            return self.problem("wrong_type", at, "must be a list of conditions");
        };
        if items.is_empty() {
            return self.problem("bad_condition", at, "needs at least one condition");
        }
        // Every item is read before the first failure counts, so that all problems are found.
        let parts: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.condition(item, &format!("{at}[{index}]"), depth + 1))
            .collect();
        parts.into_iter().collect()
    }

    fn comparison(&mut self, members: &Map<String, Value>, at: &str, depth: usize) -> Option<Test> {
        if let Some(kind) = aggregate::Kind::ALL.into_iter().find(|kind| members.contains_key(kind.as_str()))
        {
            return Some(Test::Aggregate(Box::new(self.aggregate(kind, members, at, depth)?)));
        }
        if relative::KEYS.iter().any(|key| members.contains_key(*key)) {
            return Some(Test::Relative(Box::new(self.relative(members, at)?)));
        }
        self.leaf(members, at).map(Test::Leaf)
    }

    fn leaf(&mut self, members: &Map<String, Value>, at: &str) -> Option<Leaf> {
        for key in members.keys().filter(|key| !LEAF_KEYS.contains(&key.as_str())) {
            let hint = nearest_hint(key, LEAF_KEYS.into_iter().chain(JOINS));
            let message = format!("a condition has no key \"{key}\"{hint}");
            self.problem::<()>("unknown_key", format!("{at}.{key}"), message);
        }
        let field = self.field(members, at);
        let op = self.operator(members, at);
        let expected = self.expected(members.get("value"), op?, at);
        Some(Leaf { field: field?, op: op?, expected: expected? })
    }

    /// The field that is compared.
    pub(super) fn field(&mut self, members: &Map<String, Value>, at: &str) -> Option<FieldPath> {
        let name = members.get("field").and_then(Value::as_str).unwrap_or_default();
        let counted = self.allowance.comparison(name, at);
        self.allowed(counted)?;
        let name = self.word(members, "field", at)?;
        let field_at = format!("{at}.field");
        let field = FieldPath::parse(name, &field_at).map_err(|problem| self.problems.push(problem)).ok()?;
        if self.is_of_past && !may_be_kept(&field) {
            let message = format!(
                "\"{name}\" is not known of past events: ask for event.data.…, event.source or event.id"
            );
            return self.problem("unknown_field", field_at, message);
        }
        Some(field)
    }

    pub(super) fn operator(&mut self, members: &Map<String, Value>, at: &str) -> Option<Operator> {
        let op = self.word(members, "op", at)?;
        let found = Operator::from_key(op);
        if found.is_none() {
            let hint = nearest_hint(op, Operator::ALL.map(Operator::as_str));
            let message = format!("there is no operator \"{op}\"{hint}");
            self.problem::<()>("unknown_operator", format!("{at}.op"), message);
        }
        found
    }

    pub(super) fn word<'v>(
        &mut self,
        members: &'v Map<String, Value>,
        key: &str,
        at: &str,
    ) -> Option<&'v str> {
        match members.get(key) {
            Some(Value::String(word)) => Some(word),
            Some(_) => self.problem("wrong_type", format!("{at}.{key}"), "must be a text"),
            None => self.problem("missing_key", at, format!("a condition needs \"{key}\"")),
        }
    }

    pub(super) fn expected(&mut self, value: Option<&Value>, op: Operator, at: &str) -> Option<Expected> {
        let key = op.as_str();
        let value_at = format!("{at}.value");
        match (value, op.takes_value()) {
            (None, false) => Some(Expected::Nothing),
            (Some(_), false) => self.problem("unknown_key", value_at, format!("{key} takes no value")),
            (None, true) => self.problem("missing_key", at, format!("{key} needs \"value\"")),
            (Some(Value::Null), true) => {
                self.problem("wrong_type", value_at, "null equals nothing; use is_empty or is_not_empty")
            }
            (Some(value), true) if op == Operator::RegexMatch => self.regex(value, value_at),
            (Some(value), true) => {
                let counted = self.allowance.value(value, &value_at);
                self.allowed(counted)?;
                self.value(value, &value_at)
            }
        }
    }

    fn value(&mut self, value: &Value, at: &str) -> Option<Expected> {
        match ValueTemplate::parse(value, at, self.limits) {
            Ok(template) if template.is_literal() => Some(Expected::Literal(value.clone())),
            Ok(template) => Some(Expected::Template(template)),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    fn regex(&mut self, value: &Value, at: String) -> Option<Expected> {
        let Value::String(text) = value else {
            return self.problem("wrong_type", at, "regex_match needs a regular expression as text");
        };
        if is_template(text) {
            return self.problem("bad_regex", at, "a regular expression is fixed: it cannot be a template");
        }
        let counted = self.allowance.pattern(&at);
        self.allowed(counted)?;
        let most_bytes = self.limits.regex_bytes;
        let read = match Pattern::read(text, most_bytes) {
            Ok(read) => {
                let counted = self.allowance.translating(read.work, &at);
                self.allowed(counted)?;
                Ok(read)
            }
            Err(refused) => Err(refused),
        };
        match read.and_then(|read| Pattern::compile(read, most_bytes)) {
            Ok(pattern) => {
                let counted = self.allowance.take(pattern.memory_bytes(), &at);
                self.allowed(counted)?;
                Some(Expected::Pattern(pattern))
            }
            Err(pattern::Refused::TooLarge(limit)) => {
                self.problem("bad_regex", at, format!("the regular expression needs more than {limit} bytes"))
            }
            Err(pattern::Refused::Syntax(what)) => {
                self.problem("bad_regex", at, format!("not a regular expression: {what}"))
            }
        }
    }
}
