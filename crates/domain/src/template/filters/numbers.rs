//! Filters that give numbers.

use crate::budget::Budget;
use crate::template::Failure;
use crate::template::number::{Number, NumberError};
use crate::template::value::Val;

type Outcome<'a> = Result<Val<'a>, Failure>;

/// Most decimals that can be asked for: a number has no more digits.
const MOST_DECIMALS: i128 = 17;

pub(super) fn abs<'a>(_: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    match value {
        Val::Number(Number::Whole(number)) => made(Number::whole(number.abs())),
        Val::Number(Number::Decimal(number)) => made(Number::decimal(number.abs())),
        Val::Nothing => Ok(value),
        Val::Bool(_) | Val::Text(_) | Val::List(_) | Val::Object(_) => Err(no_number(&value)),
    }
}

/// A whole number: what stands behind the point is cut off. The argument stands in for what is no number.
pub(super) fn int<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let number = converted(budget, value, arguments)?;
    if let Val::Number(Number::Decimal(number)) = number {
        return made(Number::decimal(number.trunc()));
    }
    Ok(number)
}

/// A number. The argument stands in for what is none.
pub(super) fn float<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    converted(budget, value, arguments)
}

fn converted<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let instead = arguments.first().and_then(Clone::clone);
    let number = match &value {
        Val::Number(number) => Some(*number),
        Val::Bool(value) => Some(Number::Whole(i128::from(*value))),
        Val::Text(text) => {
            budget.look_at(text.len())?;
            read(text.trim())
        }
        Val::Nothing => return Ok(instead.unwrap_or(value)),
        Val::List(_) | Val::Object(_) => None,
    };
    match (number, instead) {
        (Some(number), _) => Ok(Val::Number(number)),
        (None, Some(instead)) => Ok(instead),
        (None, None) => Err(no_number(&value)),
    }
}

/// A number as people write it in decimal digits; never `inf` or `nan`, and never rounded to fit.
fn read(text: &str) -> Option<Number> {
    let is_decimal = text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    if is_decimal {
        text.parse().ok().and_then(Number::decimal)
    } else {
        text.parse().ok().and_then(Number::whole)
    }
}

/// `round(2)`; `round(2, "ceil")` and `"floor"` to one side.
pub(super) fn round<'a>(_: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let decimals = match arguments.first().and_then(Option::as_ref) {
        None | Some(Val::Nothing) => 0,
        Some(Val::Number(Number::Whole(decimals))) if (0..=MOST_DECIMALS).contains(decimals) => *decimals,
        Some(_) => {
            return Err(Failure::Failed(format!("precision is a whole number from 0 to {MOST_DECIMALS}")));
        }
    };
    let method: fn(f64) -> f64 = match arguments.get(1).and_then(Option::as_ref) {
        None | Some(Val::Nothing) => f64::round,
        Some(Val::Text(method)) if &**method == "common" => f64::round,
        Some(Val::Text(method)) if &**method == "ceil" => f64::ceil,
        Some(Val::Text(method)) if &**method == "floor" => f64::floor,
        Some(_) => return Err(Failure::Failed("method is common, ceil or floor".to_owned())),
    };
    match value {
        Val::Number(Number::Decimal(number)) => {
            let scale = 10_f64.powi(decimals as i32);
            let scaled = method(number * scale) / scale;
            // So many decimals that there is nothing to round.
            made(Number::decimal(if scaled.is_finite() { scaled } else { number }))
        }
        Val::Number(Number::Whole(_)) | Val::Nothing => Ok(value),
        Val::Bool(_) | Val::Text(_) | Val::List(_) | Val::Object(_) => Err(no_number(&value)),
    }
}

fn made<'a>(number: Option<Number>) -> Outcome<'a> {
    number.map(Val::Number).ok_or_else(|| Failure::failed(NumberError::TooLarge))
}

fn no_number(value: &Val<'_>) -> Failure {
    let hint = if matches!(value, Val::Text(_)) { " that is none: use float, or int(0)" } else { "" };
    Failure::Failed(format!("a number is needed, not {}{hint}", value.kind()))
}
