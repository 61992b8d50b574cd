//! Filters, behind `|`: each with what it takes and what it does.
//!
//! Nothing goes through filters of texts and numbers as nothing, so that `default` may stand behind them; to filters of
//! lists it is an empty one.
//!
//! Those that work with other filters and tests (`map`, `select`, …) are read by the parser and done by the evaluator.

mod lists;
mod numbers;
mod texts;

use super::Failure;
use super::output::text;
use super::value::{Text, Val};
use crate::budget::Budget;

/// A filter.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) name: &'static str,
    /// The names of what it takes, in order.
    pub(super) parameters: &'static [&'static str],
    /// How many of them have to be given.
    pub(super) required: usize,
    pub(super) apply: Apply,
}

/// The value, and an argument for each parameter; `None` where it was left out.
type Apply = for<'a> fn(&Budget, Val<'a>, &[Option<Val<'a>>]) -> Result<Val<'a>, Failure>;

pub(super) fn find(name: &str) -> Option<&'static Filter> {
    ALL.iter().find(|filter| filter.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|filter| filter.name)
}

const fn filter(
    name: &'static str,
    parameters: &'static [&'static str],
    required: usize,
    apply: Apply,
) -> Filter {
    Filter { name, parameters, required, apply }
}

static ALL: &[Filter] = &[
    filter("abs", &[], 0, numbers::abs),
    filter("bool", &[], 0, |_, value, _| Ok(Val::Bool(value.is_true()))),
    filter("capitalize", &[], 0, texts::capitalize),
    filter("count", &[], 0, lists::length),
    filter("d", &["default_value", "boolean"], 0, default),
    filter("default", &["default_value", "boolean"], 0, default),
    filter("e", &[], 0, texts::escape),
    filter("escape", &[], 0, texts::escape),
    filter("first", &[], 0, lists::first),
    filter("float", &["default"], 0, numbers::float),
    filter("format", &["value", "second", "third", "fourth"], 0, texts::format),
    filter("int", &["default"], 0, numbers::int),
    filter("items", &[], 0, lists::items),
    filter("join", &["d", "attribute"], 0, lists::join),
    filter("last", &[], 0, lists::last),
    filter("length", &[], 0, lists::length),
    filter("lines", &[], 0, texts::lines),
    filter("list", &[], 0, lists::list),
    filter("lower", &[], 0, texts::lower),
    filter("max", &["attribute"], 0, lists::max),
    filter("min", &["attribute"], 0, lists::min),
    filter("replace", &["old", "new"], 2, texts::replace),
    filter("reverse", &[], 0, lists::reverse),
    filter("round", &["precision", "method"], 0, numbers::round),
    filter("sort", &["reverse", "case_sensitive", "attribute"], 0, lists::sort),
    filter("split", &["separator", "maxsplit"], 0, texts::split),
    filter("string", &[], 0, texts::string),
    filter("sum", &["attribute", "start"], 0, lists::sum),
    filter("title", &[], 0, texts::title),
    filter("tojson", &[], 0, texts::tojson),
    filter("trim", &["chars"], 0, texts::trim),
    filter("unique", &["case_sensitive", "attribute"], 0, lists::unique),
    filter("upper", &[], 0, texts::upper),
];

/// The value, or another where it is nothing; with `boolean`, where it is false, 0 or empty too.
fn default<'a>(_: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Result<Val<'a>, Failure> {
    let counts = if flag(arguments, 1) { value.is_true() } else { !value.is_nothing() };
    if counts {
        return Ok(value);
    }
    Ok(arguments[0].clone().unwrap_or(Val::Text(Text::Borrowed(""))))
}

/// Whether an argument is given and true.
fn flag(arguments: &[Option<Val<'_>>], index: usize) -> bool {
    arguments.get(index).and_then(Option::as_ref).is_some_and(Val::is_true)
}

/// The text of an argument that is given.
fn text_argument<'a>(
    budget: &Budget,
    arguments: &[Option<Val<'a>>],
    index: usize,
) -> Result<Option<Text<'a>>, Failure> {
    arguments.get(index).and_then(Option::as_ref).map(|argument| text(argument, budget)).transpose()
}
