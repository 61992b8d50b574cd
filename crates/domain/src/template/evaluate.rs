//! Running a template: a walk over its parts, each charged before it is done.

mod links;
mod statements;

use super::Failure;
use super::ast::{Expression, LoopMember};
use super::number::Number;
use super::operators;
use super::output::{Output, text};
use super::value::{Items, List, Members, Object, Text, Val};
use crate::budget::Budget;
use crate::facts::{Fact, Facts, FieldPath};
use std::borrow::Cow;

type Outcome<'a> = Result<Val<'a>, Failure>;

/// A run of one template.
pub(super) struct Evaluator<'a> {
    facts: &'a Facts<'a>,
    paths: &'a [FieldPath],
    budget: &'a Budget,
    memory: Vec<Option<Val<'a>>>,
    loops: Vec<Round<'a>>,
    /// Line of the statement that is run, for messages.
    pub(super) line: u32,
}

/// Where a loop stands.
struct Round<'a> {
    items: List<'a>,
    index: usize,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(facts: &'a Facts<'a>, paths: &'a [FieldPath], slots: usize) -> Result<Self, Failure> {
        facts.budget.make(slots * size_of::<Option<Val<'_>>>())?;
        Ok(Self { facts, paths, budget: facts.budget, memory: vec![None; slots], loops: Vec::new(), line: 1 })
    }

    /// What an expression comes to.
    pub(super) fn evaluate(&mut self, expression: &'a Expression) -> Outcome<'a> {
        self.budget.spend(1)?;
        match expression {
            Expression::Nothing => Ok(Val::Nothing),
            Expression::Bool(value) => Ok(Val::Bool(*value)),
            Expression::Number(number) => Ok(Number::read(number).map_or(Val::Nothing, Val::Number)),
            Expression::Text(text) => Ok(Val::Text(Text::Borrowed(text))),
            Expression::Fact(index) => self.fact(*index),
            Expression::Variable(slots) => {
                Ok(slots.iter().find_map(|slot| self.memory[*slot as usize].clone()).unwrap_or(Val::Nothing))
            }
            Expression::Loop(depth, member) => Ok(self.loop_member(*depth, *member)),
            Expression::Cycle(depth, values) => {
                let index = self.loops.get(*depth as usize).map_or(0, |round| round.index);
                self.evaluate(&values[index % values.len()])
            }
            Expression::List(items) => self.list(items),
            Expression::Object(members) => self.object(members),
            Expression::Range(bounds) => self.range(bounds),
            Expression::Not(inner) => Ok(Val::Bool(!self.evaluate(inner)?.is_true())),
            Expression::Negative(inner) => {
                let value = self.evaluate(inner)?;
                let Val::Number(number) = value else {
                    return Err(Failure::Failed(format!("- cannot be used with {}", value.kind())));
                };
                number.negative().map(Val::Number).map_err(Failure::failed)
            }
            Expression::And(parts) => self.first(parts, |value| !value.is_true()),
            Expression::Or(parts) => self.first(parts, |value| value.is_true()),
            Expression::Compare(row) => {
                let mut left = self.evaluate(&row.first)?;
                for (comparison, right) in &row.rest {
                    let right = self.evaluate(right)?;
                    if !operators::compare(&left, *comparison, &right, self.budget)? {
                        return Ok(Val::Bool(false));
                    }
                    left = right;
                }
                Ok(Val::Bool(true))
            }
            Expression::Arithmetic(row) => {
                let mut left = self.evaluate(&row.first)?;
                for (operator, right) in &row.rest {
                    let right = self.evaluate(right)?;
                    left = operators::arithmetic(left, *operator, right, self.budget)?;
                }
                Ok(left)
            }
            Expression::Join(parts) => {
                let mut output = Output::new(self.budget);
                for part in parts.iter() {
                    output.value(&self.evaluate(part)?)?;
                }
                Ok(Val::charged(output.finish()))
            }
            Expression::Choice(choice) => {
                if self.evaluate(&choice.condition)?.is_true() {
                    return self.evaluate(&choice.then);
                }
                choice.otherwise.as_ref().map_or(Ok(Val::Nothing), |otherwise| self.evaluate(otherwise))
            }
            Expression::Chain(chain) => {
                let mut value = self.evaluate(&chain.0)?;
                for link in &chain.1 {
                    value = self.follow(link, value)?;
                }
                Ok(value)
            }
        }
    }

    fn fact(&mut self, index: usize) -> Outcome<'a> {
        let fact = self.facts.fact(&self.paths[index]);
        fact.map_or(Ok(Val::Nothing), |fact| value_of(fact, self.budget))
    }

    /// The first value that decides, or the last.
    fn first(&mut self, parts: &'a [Expression], decides: fn(&Val<'_>) -> bool) -> Outcome<'a> {
        let mut value = Val::Nothing;
        for part in parts {
            value = self.evaluate(part)?;
            if decides(&value) {
                break;
            }
        }
        Ok(value)
    }

    fn list(&mut self, items: &'a [Expression]) -> Outcome<'a> {
        let mut list = Items::new(self.budget);
        for item in items {
            list.push(self.evaluate(item)?)?;
        }
        Ok(list.finish())
    }

    fn object(&mut self, members: &'a [(Expression, Expression)]) -> Outcome<'a> {
        let mut object = Members::new(self.budget);
        for (key, member) in members {
            let key = text(&self.evaluate(key)?, self.budget)?;
            object.insert(&key, self.evaluate(member)?)?;
        }
        Ok(object.finish())
    }

    fn range(&mut self, bounds: &'a [Expression]) -> Outcome<'a> {
        let mut numbers = Vec::new();
        for bound in bounds {
            let bound = self.evaluate(bound)?;
            let wrong = || Failure::Failed(format!("range takes whole numbers, not {}", bound.kind()));
            numbers.push(bound.whole().ok_or_else(wrong)?);
        }
        let (mut next, end, step) = match numbers.as_slice() {
            [end] => (0, *end, 1),
            [from, end] => (*from, *end, 1),
            [from, end, step, ..] => (*from, *end, *step),
            [] => (0, 0, 1),
        };
        if step == 0 {
            return Err(Failure::Failed("the step of a range cannot be 0".to_owned()));
        }
        let mut items = Items::new(self.budget);
        while if step > 0 { next < end } else { next > end } {
            items.push(Number::whole(next).map_or(Val::Nothing, Val::Number))?;
            next += step;
        }
        Ok(items.finish())
    }

    fn loop_member(&self, depth: u32, member: LoopMember) -> Val<'a> {
        let Some(round) = self.loops.get(depth as usize) else { return Val::Nothing };
        let (index, length) = (round.index, round.items.len());
        let number = |number: usize| Val::Number(Number::Whole(number as i128));
        match member {
            LoopMember::Index => number(index + 1),
            LoopMember::Index0 => number(index),
            LoopMember::Revindex => number(length - index),
            LoopMember::Revindex0 => number(length - index - 1),
            LoopMember::First => Val::Bool(index == 0),
            LoopMember::Last => Val::Bool(index + 1 == length),
            LoopMember::Length => number(length),
            LoopMember::Depth => number(depth as usize + 1),
            LoopMember::Depth0 => number(depth as usize),
            LoopMember::Previous => {
                index.checked_sub(1).and_then(|index| round.items.get(index)).unwrap_or(Val::Nothing)
            }
            LoopMember::Next => round.items.get(index + 1).unwrap_or(Val::Nothing),
        }
    }
}

/// A fact as a value.
pub(super) fn value_of<'a>(fact: Fact<'a>, budget: &Budget) -> Outcome<'a> {
    match fact {
        Fact::Json(Cow::Borrowed(value)) => Ok(Val::from(value)),
        Fact::Json(Cow::Owned(value)) => Ok(Val::owned(value, budget)?),
        Fact::Members(members) => Ok(Val::Object(Object::Json(members))),
        Fact::Whole(parts) => {
            let mut whole = Members::new(budget);
            for (name, part) in parts {
                whole.insert(name, value_of(part, budget)?)?;
            }
            Ok(whole.finish())
        }
    }
}

/// What can be gone through: a list, the names of an object, nothing.
pub(super) fn iterable<'a>(value: &Val<'a>, budget: &Budget) -> Result<List<'a>, Failure> {
    match value {
        Val::Nothing => Ok(List::Json(&[])),
        Val::List(list) => Ok(list.clone()),
        Val::Object(object) => {
            let mut names = Items::new(budget);
            for (name, _) in object.iter() {
                names.push(Val::Text(name))?;
            }
            Ok(names.finish_list())
        }
        Val::Bool(_) | Val::Number(_) | Val::Text(_) => {
            Err(Failure::Failed(format!("a list is needed, not {}", value.kind())))
        }
    }
}

/// The member that a path of `attribute` leads to.
pub(super) fn along<'a>(value: &Val<'a>, segments: &[String], budget: &Budget) -> Outcome<'a> {
    let mut value = value.clone();
    for segment in segments {
        budget.look_at(segment.len())?;
        value = value.member(segment);
    }
    Ok(value)
}
