//! Templates: strings with `{{ … }}`, and JSON whose strings are templates.
//!
//! The language is Jinja's: expressions, filters, `if`, `for`, `set`. What this engine decides:
//!
//! - A string without `{{` and `{%` is itself, and costs nothing.
//! - A string that is one expression keeps the expression's type: `"{{ contact.score }}"` is a number, a missing field
//!   is null. Inside other text, missing and null are empty, a whole number has no `.0`, lists and objects are JSON.
//! - A missing field is never an error; `default` fills it in (`{{ contact.first_name | default("friend") }}`), for
//!   fields that are null too. A field or name that cannot exist is refused when the template is read.
//! - There is nothing to include, no file, no clock and no chance. Instructions and output are bounded.

mod engine;
mod references;

use crate::facts::{Facts, FieldPath};
use crate::limits::Limits;
use crate::problem::Problem;
use engine::Program;
use serde_json::{Map, Value};

/// A compiled string; one that is a single expression keeps the expression's type.
#[derive(Clone, Debug)]
pub struct Template {
    source: Source,
    at: String,
}

#[derive(Clone, Debug)]
enum Source {
    Literal(String),
    /// `{{ contact.email }}` and nothing else: by far the most frequent, and found without running anything.
    Field(FieldPath),
    Program(Box<Program>),
}

/// JSON whose strings are templates.
#[derive(Clone, Debug)]
pub struct ValueTemplate {
    part: Part,
}

#[derive(Clone, Debug)]
enum Part {
    /// Nothing in it is a template.
    Literal(Value),
    Text(Template),
    List(Vec<ValueTemplate>),
    Object(Vec<(String, ValueTemplate)>),
}

/// Why rendering failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct RenderError {
    /// Stable code: `template_failed`, `template_fuel`.
    pub code: String,
    /// One sentence that names the template's place.
    pub message: String,
}

/// Whether a string is more than itself.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

impl Template {
    /// Compiles a string; `at` is where it stands in the definition.
    ///
    /// # Errors
    ///
    /// `bad_template` for syntax and size, `unknown_field` and `not_available` for what it refers to.
    pub fn parse(text: &str, at: &str, limits: &Limits) -> Result<Self, Problem> {
        let source = if !is_template(text) {
            Source::Literal(text.to_owned())
        } else if text.len() > limits.template_bytes {
            let message = format!(
                "a template may have at most {} bytes; this has {}",
                limits.template_bytes,
                text.len()
            );
            return Err(Problem::new("bad_template", at, message));
        } else if let Some(path) = references::single_field(text) {
            Source::Field(FieldPath::partial(path, at)?)
        } else {
            Source::Program(Box::new(Program::compile(text, at, limits)?))
        };
        Ok(Self { source, at: at.to_owned() })
    }

    /// Renders it.
    ///
    /// # Errors
    ///
    /// `template_fuel` when it takes too many instructions, `template_failed` for anything else: a sum of a text and
    /// a number, an output beyond the limit.
    pub fn render(&self, facts: &Facts<'_>) -> Result<Value, RenderError> {
        match &self.source {
            Source::Literal(text) => Ok(Value::String(text.clone())),
            Source::Field(path) => Ok(facts.field(path).map_or(Value::Null, std::borrow::Cow::into_owned)),
            Source::Program(program) => program.run(facts, &self.at),
        }
    }

    /// Whether it reads a field below this root; `now.time` reads the contact's zone.
    pub fn reads(&self, root: &str) -> bool {
        self.references().iter().any(|path| path.reads(root))
    }

    /// Every field it reads.
    pub(crate) fn references(&self) -> &[FieldPath] {
        match &self.source {
            Source::Literal(_) => &[],
            Source::Field(path) => std::slice::from_ref(path),
            Source::Program(program) => program.references(),
        }
    }
}

impl ValueTemplate {
    /// Compiles every string in `value`.
    ///
    /// # Errors
    ///
    /// The problem of each template that cannot be compiled, with its path below `at`.
    pub fn parse(value: &Value, at: &str, limits: &Limits) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let template = Self::compile(value, at, limits, &mut problems);
        if problems.is_empty() { Ok(template) } else { Err(problems) }
    }

    fn compile(value: &Value, at: &str, limits: &Limits, problems: &mut Vec<Problem>) -> Self {
        let part = match value {
            Value::String(text) if is_template(text) => match Template::parse(text, at, limits) {
                Ok(template) => Part::Text(template),
                Err(problem) => {
                    problems.push(problem);
                    Part::Literal(Value::Null)
                }
            },
            Value::Array(items) => Part::list(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::compile(item, &format!("{at}[{index}]"), limits, problems))
                    .collect(),
            ),
            Value::Object(members) => Part::object(
                members
                    .iter()
                    .map(|(key, member)| {
                        (key.clone(), Self::compile(member, &format!("{at}.{key}"), limits, problems))
                    })
                    .collect(),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Part::Literal(value.clone())
            }
        };
        Self { part }
    }

    /// Renders every string in it.
    ///
    /// # Errors
    ///
    /// The error of the first template that fails.
    pub fn render(&self, facts: &Facts<'_>) -> Result<Value, RenderError> {
        match &self.part {
            Part::Literal(value) => Ok(value.clone()),
            Part::Text(template) => template.render(facts),
            Part::List(items) => {
                items.iter().map(|item| item.render(facts)).collect::<Result<_, _>>().map(Value::Array)
            }
            Part::Object(members) => members
                .iter()
                .map(|(key, member)| Ok((key.clone(), member.render(facts)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }

    /// Whether it reads a field below this root; `now.time` reads the contact's zone.
    pub fn reads(&self, root: &str) -> bool {
        self.references().iter().any(|path| path.reads(root))
    }

    /// Whether nothing in it is a template.
    pub fn is_literal(&self) -> bool {
        matches!(self.part, Part::Literal(_))
    }

    /// Every field it reads.
    pub(crate) fn references(&self) -> Vec<&FieldPath> {
        match &self.part {
            Part::Literal(_) => Vec::new(),
            Part::Text(template) => template.references().iter().collect(),
            Part::List(items) => items.iter().flat_map(Self::references).collect(),
            Part::Object(members) => members.iter().flat_map(|(_, member)| member.references()).collect(),
        }
    }
}

impl Part {
    /// A list, as a literal where all its items are.
    fn list(items: Vec<ValueTemplate>) -> Self {
        if !items.iter().all(ValueTemplate::is_literal) {
            return Self::List(items);
        }
        Self::Literal(items.into_iter().map(|item| item.part.into_literal()).collect())
    }

    /// An object, as a literal where all its members are.
    fn object(members: Vec<(String, ValueTemplate)>) -> Self {
        if !members.iter().all(|(_, member)| member.is_literal()) {
            return Self::Object(members);
        }
        let members = members.into_iter().map(|(key, member)| (key, member.part.into_literal()));
        Self::Literal(Value::Object(members.collect()))
    }

    fn into_literal(self) -> Value {
        match self {
            Self::Literal(value) => value,
            Self::Text(_) | Self::List(_) | Self::Object(_) => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests;
