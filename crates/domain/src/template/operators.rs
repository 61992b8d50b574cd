//! What operators do with two values.

use super::Failure;
use super::ast::Comparison;
use super::number::{Number, Operator};
use super::output::text;
use super::value::{Items, List, Val};
use crate::budget::{Budget, Exceeded};
use std::cmp::Ordering;

type Outcome<'a> = Result<Val<'a>, Failure>;

pub(super) fn arithmetic<'a>(
    left: Val<'a>,
    operator: Operator,
    right: Val<'a>,
    budget: &Budget,
) -> Outcome<'a> {
    match (&left, operator, &right) {
        (Val::Number(first), _, Val::Number(second)) => {
            first.apply(operator, *second).map(Val::Number).map_err(Failure::failed)
        }
        (Val::Text(first), Operator::Add, Val::Text(second)) => {
            budget.make(first.len() + second.len())?;
            Ok(Val::charged([&**first, &**second].concat()))
        }
        (Val::List(first), Operator::Add, Val::List(second)) => repeated(&[first, second], 1, budget),
        (Val::List(list), Operator::Multiply, Val::Number(Number::Whole(times)))
        | (Val::Number(Number::Whole(times)), Operator::Multiply, Val::List(list)) => {
            repeated(&[list], *times, budget)
        }
        (Val::Text(part), Operator::Multiply, Val::Number(Number::Whole(times)))
        | (Val::Number(Number::Whole(times)), Operator::Multiply, Val::Text(part)) => {
            // A negative number is none.
            let times = if part.is_empty() { 0 } else { usize::try_from(*times).unwrap_or(0) };
            budget.make(part.len().saturating_mul(times))?;
            Ok(Val::charged(part.repeat(times)))
        }
        _ => Err(mismatch(&left, operator, &right)),
    }
}

fn mismatch(left: &Val<'_>, operator: Operator, right: &Val<'_>) -> Failure {
    let hint =
        if left.is_nothing() || right.is_nothing() { "; fill in what is missing with default" } else { "" };
    Failure::Failed(format!(
        "{} cannot be used with {} and {}{hint}",
        operator.sign(),
        left.kind(),
        right.kind()
    ))
}

fn repeated<'a>(lists: &[&List<'a>], times: i128, budget: &Budget) -> Outcome<'a> {
    let mut items = Items::new(budget);
    if lists.iter().any(|list| list.len() > 0) {
        for _ in 0..times {
            for item in lists.iter().flat_map(|list| list.iter()) {
                items.push(item)?;
            }
        }
    }
    Ok(items.finish())
}

pub(super) fn compare(
    left: &Val<'_>,
    comparison: Comparison,
    right: &Val<'_>,
    budget: &Budget,
) -> Result<bool, Failure> {
    let ordered = |accept: fn(Ordering) -> bool| Ok(order(left, right, budget)?.is_some_and(accept));
    match comparison {
        Comparison::Equal => Ok(equal(left, right, budget)?),
        Comparison::NotEqual => Ok(!equal(left, right, budget)?),
        Comparison::Less => ordered(Ordering::is_lt),
        Comparison::LessOrEqual => ordered(Ordering::is_le),
        Comparison::Greater => ordered(Ordering::is_gt),
        Comparison::GreaterOrEqual => ordered(Ordering::is_ge),
        Comparison::In => contains(right, left, budget),
        Comparison::NotIn => Ok(!contains(right, left, budget)?),
    }
}

/// Whether two values are the same. What they share is compared as often as it is met, and charged each time.
pub(super) fn equal(left: &Val<'_>, right: &Val<'_>, budget: &Budget) -> Result<bool, Exceeded> {
    budget.spend(1)?;
    Ok(match (left, right) {
        (Val::Nothing, Val::Nothing) => true,
        (Val::Bool(left), Val::Bool(right)) => left == right,
        (Val::Number(left), Val::Number(right)) => left == right,
        (Val::Text(left), Val::Text(right)) => {
            budget.look_at(left.len().min(right.len()))?;
            **left == **right
        }
        (Val::List(left), Val::List(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal(&left, &right, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        (Val::Object(left), Val::Object(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (key, left) in left.iter() {
                budget.look_at(key.len())?;
                let Some(right) = right.get(&key) else { return Ok(false) };
                if !equal(&left, &right, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => false,
    })
}

/// How two values are ordered; what is missing is neither before nor after anything.
pub(super) fn order(left: &Val<'_>, right: &Val<'_>, budget: &Budget) -> Result<Option<Ordering>, Failure> {
    match (left, right) {
        (Val::Nothing, _) | (_, Val::Nothing) => Ok(None),
        (Val::Number(left), Val::Number(right)) => Ok(Some(left.order(*right))),
        (Val::Text(left), Val::Text(right)) => {
            budget.look_at(left.len().min(right.len()))?;
            Ok(Some(left.cmp(right)))
        }
        _ => Err(Failure::Failed(format!(
            "{} and {} have no order; a text becomes a number with the filter float",
            left.kind(),
            right.kind()
        ))),
    }
}

/// Whether a text has a part, a list a member, an object a name.
pub(super) fn contains(whole: &Val<'_>, part: &Val<'_>, budget: &Budget) -> Result<bool, Failure> {
    match whole {
        Val::Nothing => Ok(false),
        Val::Text(whole) => {
            budget.look_at(whole.len())?;
            Ok(!part.is_nothing() && whole.contains(&*text(part, budget)?))
        }
        Val::List(list) => {
            for item in list.iter() {
                if equal(&item, part, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Val::Object(object) => {
            let key = text(part, budget)?;
            budget.look_at(key.len())?;
            Ok(object.get(&key).is_some())
        }
        Val::Bool(_) | Val::Number(_) => Err(Failure::Failed(format!("nothing can be in {}", whole.kind()))),
    }
}

/// `[from:to:step]` of a list or a text, counted from the end where negative.
pub(super) fn slice<'a>(value: Val<'a>, bounds: [Val<'_>; 3], budget: &Budget) -> Outcome<'a> {
    let [from, to, step] = bounds.map(|bound| bound_of(&bound));
    let (from, to, step) = (from?, to?, step?.unwrap_or(1));
    if step == 0 {
        return Err(Failure::Failed("the step of a slice cannot be 0".to_owned()));
    }
    match value {
        Val::Nothing => Ok(Val::Nothing),
        Val::List(list) => {
            let mut items = Items::new(budget);
            for index in indexes(list.len(), from, to, step) {
                items.push(list.get(index).unwrap_or(Val::Nothing))?;
            }
            Ok(items.finish())
        }
        Val::Text(text) => {
            // The characters, and a text that has no more of them.
            budget.make(text.len() * (1 + size_of::<char>()))?;
            let characters: Vec<char> = text.chars().collect();
            let part: String =
                indexes(characters.len(), from, to, step).map(|index| characters[index]).collect();
            Ok(Val::charged(part))
        }
        Val::Bool(_) | Val::Number(_) | Val::Object(_) => {
            Err(Failure::Failed(format!("{} has no slices; those are of lists and texts", value.kind())))
        }
    }
}

fn bound_of(bound: &Val<'_>) -> Result<Option<i128>, Failure> {
    if bound.is_nothing() || bound.whole().is_some() {
        return Ok(bound.whole());
    }
    Err(Failure::Failed(format!("a slice takes whole numbers, not {}", bound.kind())))
}

fn indexes(length: usize, from: Option<i128>, to: Option<i128>, step: i128) -> impl Iterator<Item = usize> {
    let length = length as i128;
    let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |bound: i128| (if bound < 0 { bound + length } else { bound }).clamp(least, most);
    let (first, last) = if step > 0 { (0, length) } else { (length - 1, -1) };
    let (from, to) = (from.map_or(first, place), to.map_or(last, place));
    std::iter::successors(Some(from), move |index| Some(index + step))
        .take_while(move |index| if step > 0 { *index < to } else { *index > to })
        .filter_map(|index| usize::try_from(index).ok())
}
