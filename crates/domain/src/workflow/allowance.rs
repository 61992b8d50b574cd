//! What the expressions of one definition may come to together: counted before each is compiled.
//!
//! A definition stays in memory in every process that uses it, many times as large as its text. So there is a limit on how
//! many expressions it has, and one on the bytes they take once compiled.

use crate::json;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::template::is_template;
use serde_json::Value;

/// How much of each a definition has so far.
#[derive(Debug)]
pub struct Allowance<'a> {
    limits: &'a Limits,
    templates: usize,
    comparisons: usize,
    aggregates: usize,
    patterns: usize,
    translated: u64,
    bytes: usize,
    said: bool,
}

/// There are too many, or they are too large; the problem is that of the first which is.
pub type Refused = Option<Problem>;

/// Most figures over past events: each look at a contact reads the events of all of them.
pub const MOST_AGGREGATES: usize = 20;
/// Bytes that a byte of a template comes to once compiled: a part of an expression is at least two bytes of text.
const TEMPLATE_BYTES_PER_BYTE: usize = 16;
/// Characters that translating all regular expressions may look at: a tenth of a second.
const TRANSLATED: u64 = 10_000_000;
/// Bytes of a comparison, and of each name in its path, beside their texts.
const COMPARISON_BYTES: usize = 128;
const NAME_BYTES: usize = 40;

impl<'a> Allowance<'a> {
    /// The whole of it.
    pub fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            templates: 0,
            comparisons: 0,
            aggregates: 0,
            patterns: 0,
            translated: 0,
            bytes: 0,
            said: false,
        }
    }

    /// The limits that all of it follows.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Bytes counted so far, those of the expressions and of the values beside them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts JSON whose strings may be templates.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is to be compiled from here on.
    pub fn value(&mut self, value: &Value, at: &str) -> Result<(), Refused> {
        self.count_templates(value, at)?;
        self.take(json::memory_bytes(value), at)
    }

    /// Counts a comparison of a field.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is to be compiled from here on.
    pub fn comparison(&mut self, field: &str, at: &str) -> Result<(), Refused> {
        self.comparisons += 1;
        let most = self.limits.comparisons;
        self.within("too_many_comparisons", "comparisons", self.comparisons, most, at)?;
        let names = 1 + field.matches('.').count();
        self.take(COMPARISON_BYTES + 2 * field.len() + names * NAME_BYTES, at)
    }

    /// Counts a figure over past events.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is to be compiled from here on.
    pub fn aggregate(&mut self, at: &str) -> Result<(), Refused> {
        self.aggregates += 1;
        self.within("too_many_aggregates", "figures over past events", self.aggregates, MOST_AGGREGATES, at)?;
        self.take(COMPARISON_BYTES, at)
    }

    /// Counts a regular expression that is to be compiled.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is to be compiled from here on.
    pub fn pattern(&mut self, at: &str) -> Result<(), Refused> {
        self.patterns += 1;
        let most = self.limits.regexes;
        self.within("too_many_regexes", "regular expressions", self.patterns, most, at)
    }

    /// Counts the characters that are looked at to translate a regular expression.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is to be compiled from here on.
    pub fn translating(&mut self, characters: u64, at: &str) -> Result<(), Refused> {
        self.translated = self.translated.saturating_add(characters);
        if self.translated <= TRANSLATED {
            return Ok(());
        }
        let message = "the sets of characters of the regular expressions take too long to compile together; write sets \
                       within sets, and wide ones where case is ignored, in another way";
        self.refuse(Problem::new("regexes_too_costly", at, message))
    }

    /// Counts what something compiled takes.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing is to be compiled from here on.
    pub fn take(&mut self, bytes: usize, at: &str) -> Result<(), Refused> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= self.limits.expression_bytes {
            return Ok(());
        }
        let message = format!(
            "templates, conditions and values may take at most {} bytes together once compiled; up to here they take more",
            self.limits.expression_bytes
        );
        self.refuse(Problem::new("expressions_too_large", at, message))
    }

    fn count_templates(&mut self, value: &Value, at: &str) -> Result<(), Refused> {
        match value {
            Value::String(text) if is_template(text) => {
                self.templates += 1;
                self.within("too_many_templates", "templates", self.templates, self.limits.templates, at)?;
                self.take(text.len().saturating_mul(TEMPLATE_BYTES_PER_BYTE), at)
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.count_templates(item, at)),
            Value::Object(members) => {
                members.values().try_for_each(|member| self.count_templates(member, at))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn within(&mut self, code: &str, what: &str, count: usize, most: usize, at: &str) -> Result<(), Refused> {
        if count <= most {
            return Ok(());
        }
        self.refuse(Problem::new(code, at, format!("a workflow may have at most {most} {what}")))
    }

    /// One problem is enough: all that follows is too much as well.
    fn refuse(&mut self, problem: Problem) -> Result<(), Refused> {
        Err((!std::mem::replace(&mut self.said, true)).then_some(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(refused: Result<(), Refused>) -> Option<String> {
        refused.err().flatten().map(|problem| problem.code)
    }

    #[test]
    fn each_limit_is_named_once() {
        let limits = Limits { templates: 2, comparisons: 2, regexes: 1, ..Limits::default() };
        let mut allowance = Allowance::new(&limits);
        assert_eq!(allowance.value(&json!(["{{ 1 }}", { "a": "{% if 1 %}" }, "plain"]), "with"), Ok(()));
        let refused = allowance.value(&json!("{{ 1 }}"), "with").unwrap_err().unwrap();
        assert_eq!(refused.to_string(), "with: a workflow may have at most 2 templates [too_many_templates]");
        assert_eq!(allowance.value(&json!("{{ 1 }}"), "with"), Err(None));

        let mut allowance = Allowance::new(&limits);
        assert_eq!(allowance.comparison("event.id", "where"), Ok(()));
        assert_eq!(allowance.comparison("event.id", "where"), Ok(()));
        assert_eq!(code(allowance.comparison("event.id", "where")).as_deref(), Some("too_many_comparisons"));

        let mut allowance = Allowance::new(&limits);
        assert_eq!(allowance.pattern("where"), Ok(()));
        assert_eq!(code(allowance.pattern("where")).as_deref(), Some("too_many_regexes"));

        let mut allowance = Allowance::new(&limits);
        assert_eq!(allowance.translating(6_000_000, "where"), Ok(()));
        assert_eq!(code(allowance.translating(6_000_000, "where")).as_deref(), Some("regexes_too_costly"));
    }

    #[test]
    fn values_count_by_the_memory_they_take_not_by_their_text() {
        let limits = Limits::default();
        let mut allowance = Allowance::new(&limits);
        let lists: Value = (0..200_000).map(|_| json!([])).collect();
        assert_eq!(code(allowance.value(&lists, "with")).as_deref(), Some("expressions_too_large"));
        assert!(allowance.bytes() > 6 * 1024 * 1024);
    }
}
