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

mod ast;
mod evaluate;
mod filters;
mod lexer;
mod names;
mod number;
mod operators;
mod output;
mod parser;
mod predicates;
mod value;

use crate::budget::Exceeded;
use crate::facts::{Facts, FieldPath};
use crate::json;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::step_code::StepCode;
use ast::{Body, Expression, Statement, StatementKind};
use evaluate::Evaluator;
use output::Output;
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
    /// One expression: gives whatever it comes to.
    Expression(Box<Program<Expression>>),
    /// Gives a text.
    Text(Box<Program<Body>>),
}

/// A template that has to be run.
#[derive(Clone, Debug)]
struct Program<T> {
    code: T,
    paths: Vec<FieldPath>,
    slots: usize,
    output_bytes: usize,
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
    /// Stable code: `template_failed`, `over_budget`.
    pub code: String,
    /// One sentence that names the template's place.
    pub message: String,
}

/// Why a template, or a part of it, has no result.
#[derive(Debug)]
enum Failure {
    /// One sentence about what cannot be done.
    Failed(String),
    OverBudget(Exceeded),
}

impl Failure {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// At its place in the definition and its line in the template.
    fn at(self, at: &str, line: u32) -> RenderError {
        let line = if line > 1 { format!(" (line {line})") } else { String::new() };
        match self {
            Self::Failed(what) => {
                RenderError { code: StepCode::TemplateFailed.into(), message: format!("{at}: {what}{line}") }
            }
            Self::OverBudget(exceeded) => RenderError {
                code: StepCode::OverBudget.into(),
                message: format!("{at}: the template {exceeded}{line}"),
            },
        }
    }
}

impl From<Exceeded> for Failure {
    fn from(exceeded: Exceeded) -> Self {
        Self::OverBudget(exceeded)
    }
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
        } else {
            Source::read(text, at, limits)?
        };
        Ok(Self { source, at: at.to_owned() })
    }

    /// Renders it, at the cost of the facts' budget.
    ///
    /// # Errors
    ///
    /// `over_budget` when the budget does not suffice; `template_failed` for anything else: a sum of a text and a number,
    /// an output beyond the limit.
    pub fn render(&self, facts: &Facts<'_>) -> Result<Value, RenderError> {
        self.render_within(facts, 0)
    }

    /// The same at `depth` within a value.
    fn render_within(&self, facts: &Facts<'_>, depth: u32) -> Result<Value, RenderError> {
        let mut line = 1;
        let rendered = match &self.source {
            Source::Literal(text) => {
                facts.budget.make(text.len()).map(|()| Value::String(text.clone())).map_err(Failure::from)
            }
            Source::Field(path) => facts.fact(path).map_or(Ok(Value::Null), |fact| {
                let value = evaluate::value_of(fact, facts.budget)?;
                Ok(output::to_json(&value, facts.budget, depth)?)
            }),
            Source::Expression(program) => program.value(facts, depth),
            Source::Text(program) => program.text(facts, &mut line),
        };
        rendered.map_err(|failure| failure.at(&self.at, line))
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
            Source::Expression(program) => &program.paths,
            Source::Text(program) => &program.paths,
        }
    }
}

impl Source {
    fn read(text: &str, at: &str, limits: &Limits) -> Result<Self, Problem> {
        let parser::Parsed { body, mut paths, slots } = parser::parse(text, at)?;
        let mut body = body.into_vec();
        let output_bytes = limits.output_bytes;
        let is_whole = text.starts_with("{{") && text.ends_with("}}") && body.len() == 1;
        match body.pop() {
            Some(Statement { kind: StatementKind::Write(expression), .. }) if is_whole => {
                if matches!(expression, Expression::Fact(_))
                    && let Some(path) = paths.pop()
                {
                    return Ok(Self::Field(path));
                }
                Ok(Self::Expression(Box::new(Program { code: expression, paths, slots, output_bytes })))
            }
            last => {
                body.extend(last);
                Ok(Self::Text(Box::new(Program { code: body.into(), paths, slots, output_bytes })))
            }
        }
    }
}

impl Program<Expression> {
    fn value(&self, facts: &Facts<'_>, depth: u32) -> Result<Value, Failure> {
        let mut evaluator = Evaluator::new(facts, &self.paths, self.slots)?;
        let value = evaluator.evaluate(&self.code)?;
        let value = output::to_json(&value, facts.budget, depth)?;
        if json::size_bytes(&value) > self.output_bytes {
            return Err(output::too_long(self.output_bytes));
        }
        Ok(value)
    }
}

impl Program<Body> {
    fn text(&self, facts: &Facts<'_>, line: &mut u32) -> Result<Value, Failure> {
        let mut evaluator = Evaluator::new(facts, &self.paths, self.slots)?;
        let mut output = Output::limited(facts.budget, self.output_bytes);
        let written = evaluator.statements(&self.code, &mut output);
        *line = evaluator.line;
        written.map(|()| Value::String(output.finish()))
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
        self.render_within(facts, 0)
    }

    fn render_within(&self, facts: &Facts<'_>, depth: u32) -> Result<Value, RenderError> {
        match &self.part {
            Part::Literal(value) => output::copy(value, facts.budget).map_err(|exceeded| RenderError {
                code: StepCode::OverBudget.into(),
                message: format!("what stands without a template {exceeded}"),
            }),
            Part::Text(template) => template.render_within(facts, depth),
            Part::List(items) => items
                .iter()
                .map(|item| item.render_within(facts, depth + 1))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Part::Object(members) => members
                .iter()
                .map(|(key, member)| Ok((key.clone(), member.render_within(facts, depth + 1)?)))
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
mod bounds_tests;
#[cfg(test)]
mod language_tests;
#[cfg(test)]
mod tests;
