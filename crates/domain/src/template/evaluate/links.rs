//! What is done with a value: its members, slices, filters and tests.

use super::{Evaluator, Outcome, along, iterable};
use crate::template::Failure;
use crate::template::ast::{FilterCall, Keep, Link, Select, TestCall};
use crate::template::number::Number;
use crate::template::operators;
use crate::template::output::text;
use crate::template::value::{Items, Val};

impl<'a> Evaluator<'a> {
    pub(super) fn follow(&mut self, link: &'a Link, value: Val<'a>) -> Outcome<'a> {
        self.budget.spend(1)?;
        match link {
            Link::Member(segment) => {
                self.budget.look_at(segment.len())?;
                Ok(value.member(segment))
            }
            Link::Index(index) => {
                let index = self.evaluate(index)?;
                self.index(&value, &index)
            }
            Link::Slice(bounds) => {
                let mut found = [Val::Nothing, Val::Nothing, Val::Nothing];
                for (found, bound) in found.iter_mut().zip(bounds.iter()) {
                    if let Some(bound) = bound {
                        *found = self.evaluate(bound)?;
                    }
                }
                operators::slice(value, found, self.budget)
            }
            Link::Filter(call) => self.filter(call, value),
            Link::Test(call) => Ok(Val::Bool(self.test(call, &value)?)),
            Link::NotTest(call) => Ok(Val::Bool(!self.test(call, &value)?)),
            Link::MapMember(mapped) => {
                let (path, otherwise) = &**mapped;
                let otherwise = otherwise.as_ref().map(|otherwise| self.evaluate(otherwise)).transpose()?;
                let mut items = Items::new(self.budget);
                for item in iterable(&value, self.budget)?.iter() {
                    let member = along(&item, path.segments(), self.budget)?;
                    let otherwise = otherwise.as_ref().filter(|_| member.is_nothing());
                    items.push(otherwise.cloned().unwrap_or(member))?;
                }
                Ok(items.finish())
            }
            Link::MapFilter(call) => {
                let arguments = self.arguments(call)?;
                let mut items = Items::new(self.budget);
                for item in iterable(&value, self.budget)?.iter() {
                    items.push((call.filter.apply)(self.budget, item, &arguments)?)?;
                }
                Ok(items.finish())
            }
            Link::Select(select) => self.select(select, &value),
        }
    }

    fn index(&self, value: &Val<'a>, index: &Val<'_>) -> Outcome<'a> {
        match (value, index) {
            (_, Val::Nothing) => Ok(Val::Nothing),
            (Val::List(list), Val::Number(Number::Whole(number))) => {
                let number = if *number < 0 { *number + list.len() as i128 } else { *number };
                Ok(usize::try_from(number).ok().and_then(|index| list.get(index)).unwrap_or(Val::Nothing))
            }
            (_, Val::Text(_) | Val::Number(_)) => {
                let segment = text(index, self.budget)?;
                self.budget.look_at(segment.len())?;
                Ok(value.member(&segment))
            }
            (_, Val::Bool(_) | Val::List(_) | Val::Object(_)) => {
                Err(Failure::Failed(format!("[] takes a number or a text, not {}", index.kind())))
            }
        }
    }

    pub(super) fn filter(&mut self, call: &'a FilterCall, value: Val<'a>) -> Outcome<'a> {
        let arguments = self.arguments(call)?;
        (call.filter.apply)(self.budget, value, &arguments)
    }

    fn arguments(&mut self, call: &'a FilterCall) -> Result<Vec<Option<Val<'a>>>, Failure> {
        let arguments = call.arguments.iter();
        arguments
            .map(|argument| argument.as_ref().map(|argument| self.evaluate(argument)).transpose())
            .collect()
    }

    fn test(&mut self, call: &'a TestCall, value: &Val<'_>) -> Result<bool, Failure> {
        let argument = call.argument.as_ref().map(|argument| self.evaluate(argument)).transpose()?;
        (call.predicate.holds)(self.budget, value, &argument.unwrap_or(Val::Nothing))
    }

    fn select(&mut self, select: &'a Select, value: &Val<'a>) -> Outcome<'a> {
        let argument = match &select.test {
            Some(TestCall { argument: Some(argument), .. }) => self.evaluate(argument)?,
            Some(_) | None => Val::Nothing,
        };
        let mut items = Items::new(self.budget);
        for item in iterable(value, self.budget)?.iter() {
            self.budget.spend(1)?;
            let looked_at = match &select.path {
                Some(path) => along(&item, path.segments(), self.budget)?,
                None => item.clone(),
            };
            let passes = match &select.test {
                Some(test) => (test.predicate.holds)(self.budget, &looked_at, &argument)?,
                None => looked_at.is_true(),
            };
            if passes == (select.keep == Keep::Passing) {
                items.push(item)?;
            }
        }
        Ok(items.finish())
    }
}
