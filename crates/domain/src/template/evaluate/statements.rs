//! Statements of a template that runs.

use super::{Evaluator, Round, iterable};
use crate::template::Failure;
use crate::template::ast::{For, Statement, StatementKind, Target};
use crate::template::output::Output;
use crate::template::value::{Items, Members, Val};

impl<'a> Evaluator<'a> {
    pub(in crate::template) fn statements(
        &mut self,
        body: &'a [Statement],
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        for statement in body {
            self.budget.spend(1)?;
            self.line = statement.line;
            match &statement.kind {
                StatementKind::Data(text) => output.push(text)?,
                StatementKind::Write(expression) => output.value(&self.evaluate(expression)?)?,
                StatementKind::If(branches, otherwise) => {
                    let mut taken = otherwise;
                    for (condition, body) in branches.iter() {
                        if self.evaluate(condition)?.is_true() {
                            taken = body;
                            break;
                        }
                    }
                    self.statements(taken, output)?;
                }
                StatementKind::For(each) => self.for_each(each, output)?,
                StatementKind::Set(target, expression) => {
                    let value = self.evaluate(expression)?;
                    self.assign(target, value)?;
                }
                StatementKind::SetMember(set) => {
                    let (slot, member, expression) = &**set;
                    let value = self.evaluate(expression)?;
                    self.set_member(*slot, member, value)?;
                }
                StatementKind::Capture(capture) => {
                    let mut captured = Output::new(self.budget);
                    self.statements(&capture.body, &mut captured)?;
                    let mut value = Val::charged(captured.finish());
                    for call in &capture.filters {
                        value = self.filter(call, value)?;
                    }
                    self.memory[capture.slot] = Some(value);
                }
                StatementKind::With(assignments, body) => {
                    for (target, expression) in assignments.iter() {
                        let value = self.evaluate(expression)?;
                        self.assign(target, value)?;
                    }
                    self.statements(body, output)?;
                }
            }
        }
        Ok(())
    }

    fn for_each(&mut self, each: &'a For, output: &mut Output<'_>) -> Result<(), Failure> {
        let list = self.evaluate(&each.list)?;
        let mut items = iterable(&list, self.budget)?;
        if let Some(condition) = &each.condition {
            let mut kept = Items::new(self.budget);
            for item in items.iter() {
                self.assign(&each.target, item.clone())?;
                if self.evaluate(condition)?.is_true() {
                    kept.push(item)?;
                }
            }
            items = kept.finish_list();
        }
        if items.len() == 0 {
            return self.statements(&each.otherwise, output);
        }
        self.loops.push(Round { items: items.clone(), index: 0 });
        for (index, item) in items.iter().enumerate() {
            self.budget.spend(1 + each.inner.len() as u64 / 8)?;
            self.memory[each.inner.clone()].fill(None);
            if let Some(round) = self.loops.last_mut() {
                round.index = index;
            }
            self.assign(&each.target, item)?;
            self.statements(&each.body, output)?;
        }
        self.loops.pop();
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: Val<'a>) -> Result<(), Failure> {
        match (target, &value) {
            (Target::One(slot), _) => self.memory[*slot] = Some(value),
            (Target::Several(slots), Val::List(list)) if list.len() == slots.len() => {
                for (slot, item) in slots.iter().zip(list.iter()) {
                    self.memory[*slot] = Some(item);
                }
            }
            (Target::Several(slots), _) => {
                let found = if let Val::List(list) = &value {
                    format!("a list of {}", list.len())
                } else {
                    value.kind().to_owned()
                };
                return Err(Failure::Failed(format!(
                    "{} names need a list of as many values, not {found}",
                    slots.len()
                )));
            }
        }
        Ok(())
    }

    fn set_member(&mut self, slot: usize, member: &str, value: Val<'a>) -> Result<(), Failure> {
        let mut members = Members::new(self.budget);
        if let Some(Some(Val::Object(object))) = self.memory.get(slot) {
            for (key, member) in object.iter() {
                members.insert(&key, member)?;
            }
        }
        members.insert(member, value)?;
        self.memory[slot] = Some(members.finish());
        Ok(())
    }
}
