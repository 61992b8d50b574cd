//! Tests, behind `is`.

use super::Failure;
use super::ast::Comparison;
use super::number::Number;
use super::operators::{compare, contains, equal};
use super::output::text;
use super::value::Val;
use crate::budget::Budget;

/// A test.
#[derive(Debug)]
pub(super) struct Predicate {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) holds: Holds,
}

type Holds = fn(&Budget, &Val<'_>, &Val<'_>) -> Result<bool, Failure>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Takes {
    Nothing,
    One,
}

pub(super) fn find(name: &str) -> Option<&'static Predicate> {
    ALL.iter().find(|predicate| predicate.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|predicate| predicate.name)
}

const fn plain(name: &'static str, holds: Holds) -> Predicate {
    Predicate { name, takes: Takes::Nothing, holds }
}

const fn with(name: &'static str, holds: Holds) -> Predicate {
    Predicate { name, takes: Takes::One, holds }
}

static ALL: [Predicate; 31] = [
    plain("boolean", |_, value, _| Ok(matches!(value, Val::Bool(_)))),
    with("containing", |budget, value, part| contains(value, part, budget)),
    plain("defined", |_, value, _| Ok(!value.is_nothing())),
    with("divisibleby", |_, value, by| {
        let remainder = whole(value)?.checked_rem(whole(by)?);
        remainder
            .map(|remainder| remainder == 0)
            .ok_or_else(|| Failure::Failed("nothing is divisible by 0".to_owned()))
    }),
    with("endingwith", |budget, value, end| texts(budget, value, end, |value, end| value.ends_with(end))),
    with("eq", |budget, value, other| Ok(equal(value, other, budget)?)),
    with("equalto", |budget, value, other| Ok(equal(value, other, budget)?)),
    plain("even", |_, value, _| Ok(whole(value)? % 2 == 0)),
    plain("false", |_, value, _| Ok(matches!(value, Val::Bool(false)))),
    plain("float", |_, value, _| Ok(matches!(value, Val::Number(Number::Decimal(_))))),
    with("ge", |budget, value, other| compare(value, Comparison::GreaterOrEqual, other, budget)),
    with("greaterthan", |budget, value, other| compare(value, Comparison::Greater, other, budget)),
    with("gt", |budget, value, other| compare(value, Comparison::Greater, other, budget)),
    with("in", |budget, value, whole| contains(whole, value, budget)),
    plain("integer", |_, value, _| Ok(matches!(value, Val::Number(Number::Whole(_))))),
    plain("iterable", |_, value, _| Ok(matches!(value, Val::List(_) | Val::Object(_)))),
    with("le", |budget, value, other| compare(value, Comparison::LessOrEqual, other, budget)),
    with("lessthan", |budget, value, other| compare(value, Comparison::Less, other, budget)),
    plain("lower", |budget, value, _| {
        texts(budget, value, value, |value, _| !value.chars().any(char::is_uppercase))
    }),
    with("lt", |budget, value, other| compare(value, Comparison::Less, other, budget)),
    plain("mapping", |_, value, _| Ok(matches!(value, Val::Object(_)))),
    with("ne", |budget, value, other| Ok(!equal(value, other, budget)?)),
    plain("none", |_, value, _| Ok(value.is_nothing())),
    plain("number", |_, value, _| Ok(matches!(value, Val::Number(_)))),
    plain("odd", |_, value, _| Ok(whole(value)? % 2 != 0)),
    plain("sequence", |_, value, _| Ok(matches!(value, Val::List(_)))),
    with("startingwith", |budget, value, begin| {
        texts(budget, value, begin, |value, begin| value.starts_with(begin))
    }),
    plain("string", |_, value, _| Ok(matches!(value, Val::Text(_)))),
    plain("true", |_, value, _| Ok(matches!(value, Val::Bool(true)))),
    plain("undefined", |_, value, _| Ok(value.is_nothing())),
    plain("upper", |budget, value, _| {
        texts(budget, value, value, |value, _| !value.chars().any(char::is_lowercase))
    }),
];

fn whole(value: &Val<'_>) -> Result<i128, Failure> {
    let wrong = || Failure::Failed(format!("a whole number is needed, not {}", value.kind()));
    value.whole().ok_or_else(wrong)
}

/// Of nothing, no test of texts holds.
fn texts(
    budget: &Budget,
    value: &Val<'_>,
    other: &Val<'_>,
    holds: fn(&str, &str) -> bool,
) -> Result<bool, Failure> {
    if value.is_nothing() || other.is_nothing() {
        return Ok(false);
    }
    let (value, other) = (text(value, budget)?, text(other, budget)?);
    budget.look_at(value.len())?;
    Ok(holds(&value, &other))
}
