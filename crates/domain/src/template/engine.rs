//! Templates that have to be run: minijinja, bounded, over exactly the facts that a template reads.

use super::RenderError;
use super::references::{check_tags, filters_and_tests, resolve};
use crate::facts::{Facts, FieldPath};
use crate::limits::Limits;
use crate::problem::Problem;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::sync::LazyLock;

/// Name of the one template in a program's environment, and of the value that an expression leaves behind.
const NAME: &str = "template";

/// What all programs share; a clone costs a few reference counts.
static BASE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // A missing field is empty, however deep; names that cannot exist are refused when a template is compiled.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    // The library's own acts on what is missing alone; null is as good as missing, wherever it stands.
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    // Would print every fact there is.
    environment.remove_global("debug");
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("only the treatment of newlines differs from the default"));
    environment
});

/// A compiled template with the fields that it reads.
#[derive(Clone, Debug)]
pub(super) struct Program {
    environment: Environment<'static>,
    form: Form,
    references: Vec<FieldPath>,
    output_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// Gives a text.
    Text,
    /// One expression: gives whatever it comes to.
    Expression,
}

impl Program {
    pub(super) fn compile(text: &str, at: &str, limits: &Limits) -> Result<Self, Problem> {
        check_tags(text, at)?;
        let mut environment = BASE.clone();
        environment.set_fuel(Some(limits.template_fuel));
        let form = form_of(text, &environment);
        match form {
            Form::Text => environment.set_formatter(write_value),
            Form::Expression => environment.set_formatter(|_, state, value| {
                state.set_temp(NAME, value.clone());
                Ok(())
            }),
        }
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| {
            Problem::new("bad_template", at, format!("not a template: {}", describe(&error)))
        })?;
        let template = environment.get_template(NAME).map_err(|error| {
            Problem::new("bad_template", at, format!("not a template: {}", describe(&error)))
        })?;
        check_functions(text, &environment, at)?;
        let names = template.undeclared_variables(true).into_iter();
        let references = resolve(names, environment.globals().map(|(name, _)| name), at)?;
        Ok(Self { environment, form, references, output_bytes: limits.output_bytes })
    }

    pub(super) fn references(&self) -> &[FieldPath] {
        &self.references
    }

    pub(super) fn run(&self, facts: &Facts<'_>, at: &str) -> Result<Value, RenderError> {
        let mut output = Capped { bytes: Vec::new(), limit: self.output_bytes, exceeded: false };
        let context = minijinja::Value::from(Serde(self.context(facts)));
        let result = self
            .environment
            .get_template(NAME)
            .and_then(|template| template.render_captured_to(context, &mut output))
            .map(|captured| captured.state().get_temp(NAME));
        let left = match result {
            Ok(left) => left,
            Err(_) if output.exceeded => return Err(self.too_long(at)),
            Err(error) => return Err(failed(&error, at)),
        };
        match self.form {
            // Only whole strings are written, so the bytes are UTF-8.
            Form::Text => Ok(Value::String(String::from_utf8_lossy(&output.bytes).into_owned())),
            Form::Expression => self.to_json(left, at),
        }
    }

    /// The facts that the template reads, as a tree; null counts as missing so that `default` applies to it.
    fn context(&self, facts: &Facts<'_>) -> Value {
        let mut tree = Map::new();
        for path in &self.references {
            if let Some(value) = facts.field(path).filter(|value| !value.is_null()) {
                insert(&mut tree, path.segments(), value.into_owned());
            }
        }
        Value::Object(tree)
    }

    fn to_json(&self, value: Option<minijinja::Value>, at: &str) -> Result<Value, RenderError> {
        let Some(value) = value.filter(|value| !value.is_undefined()) else {
            return Ok(Value::Null);
        };
        let mut output = Capped { bytes: Vec::new(), limit: self.output_bytes, exceeded: false };
        let written = serde_json::to_writer(&mut output, &value);
        if output.exceeded {
            return Err(self.too_long(at));
        }
        written.and_then(|()| serde_json::from_slice(&output.bytes)).map_err(|_| RenderError {
            code: "template_failed".to_owned(),
            message: format!("{at}: the template comes to something that is not a value"),
        })
    }

    fn too_long(&self, at: &str) -> RenderError {
        let message = format!("{at}: the template comes to more than {} bytes", self.output_bytes);
        RenderError { code: "template_failed".to_owned(), message }
    }
}

/// `value`, or `other` (nothing without one) where it is missing or null; with `lax`, where it is false or empty too.
fn default(value: minijinja::Value, other: Option<minijinja::Value>, lax: Option<bool>) -> minijinja::Value {
    let is_nothing = value.is_undefined() || value.is_none() || (lax == Some(true) && !value.is_true());
    if is_nothing { other.unwrap_or_else(|| minijinja::Value::from("")) } else { value }
}

/// One expression, if what stands between the first `{{` and the last `}}` is one.
fn form_of(text: &str, environment: &Environment<'_>) -> Form {
    let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    let inner = inner.map(|inner| inner.strip_prefix('-').unwrap_or(inner));
    let inner = inner.map(|inner| inner.strip_suffix('-').unwrap_or(inner));
    match inner {
        Some(inner) if environment.compile_expression(inner).is_ok() => Form::Expression,
        Some(_) | None => Form::Text,
    }
}

/// Refuses filters and tests that do not exist, which the compiler would leave to the first run.
fn check_functions(text: &str, environment: &Environment<'_>, at: &str) -> Result<(), Problem> {
    let mut state = environment.empty_state();
    for (word, name) in filters_and_tests(text) {
        let unknown = match word {
            "is" => state.perform_test(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownTest),
            _ => state.apply_filter(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownFilter),
        };
        if unknown {
            let what = if word == "is" { "test" } else { "filter" };
            return Err(Problem::new(
                "bad_template",
                at,
                format!("not a template: there is no {what} \"{name}\""),
            ));
        }
    }
    Ok(())
}

fn insert(tree: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            tree.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let branch = tree.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(branch) = branch {
                insert(branch, rest, value);
            }
        }
    }
}

/// Writes a value into text: nothing for missing and null, no `.0` after a whole number, JSON for lists and objects.
fn write_value(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &minijinja::Value) -> Result<(), Error> {
    use minijinja::value::ValueKind;
    let kind = value.kind();
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    let written = match kind {
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            let json = serde_json::to_string(value).map_err(|_| {
                Error::new(ErrorKind::BadSerialization, "the value cannot be written as JSON")
            })?;
            out.write_str(&json)
        }
        // Jinja writes True; the language around the templates is JSON.
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            let text = value.to_string();
            out.write_str(text.strip_suffix(".0").unwrap_or(&text))
        }
        // `ValueKind` is a foreign enum that may grow: whatever else there is writes itself.
        ValueKind::String | _ => out.write_fmt(format_args!("{value}")),
    };
    written.map_err(Error::from)
}

fn failed(error: &Error, at: &str) -> RenderError {
    if error.kind() == ErrorKind::OutOfFuel {
        let message = format!("{at}: the template takes too many instructions");
        return RenderError { code: "template_fuel".to_owned(), message };
    }
    RenderError { code: "template_failed".to_owned(), message: format!("{at}: {}", describe(error)) }
}

fn describe(error: &Error) -> String {
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    match error.line() {
        Some(line) if line > 1 => format!("{what} (line {line})"),
        Some(_) | None => what,
    }
}

/// A buffer that refuses to grow beyond its limit.
struct Capped {
    bytes: Vec<u8>,
    limit: usize,
    exceeded: bool,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            self.exceeded = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
