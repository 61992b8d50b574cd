//! Conditions whose templates were worked out at an earlier moment.

use super::{Condition, Expected, Leaf, Test};
use crate::budget::Exceeded;
use crate::facts::Facts;
use serde_json::Value;

impl Condition {
    /// What its templates come to, in their order; one that fails comes to nothing.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] when that takes more than is left of the facts' budget.
    pub(crate) fn render(&self, facts: &Facts<'_>) -> Result<Vec<Value>, Exceeded> {
        let mut values = Vec::new();
        self.render_into(facts, &mut values)?;
        Ok(values)
    }

    pub(super) fn render_into(&self, facts: &Facts<'_>, values: &mut Vec<Value>) -> Result<(), Exceeded> {
        match &self.test {
            Test::All(parts) | Test::Any(parts) => {
                parts.iter().try_for_each(|part| part.render_into(facts, values))
            }
            Test::Not(part) => part.render_into(facts, values),
            Test::Leaf(Leaf { expected, .. }) => {
                if let Expected::Template(_) = expected {
                    values.push(expected.resolve(facts)?.into_value().into_owned());
                }
                Ok(())
            }
            Test::Aggregate(aggregate) => aggregate.render_into(facts, values),
            Test::Relative(_) => Ok(()),
        }
    }

    /// The same with these values in place of its templates, in their order; one that is missing is nothing.
    pub(crate) fn with_values(&self, values: &[Value]) -> Self {
        self.fixed(&mut values.iter().cloned())
    }

    pub(super) fn fixed(&self, values: &mut dyn Iterator<Item = Value>) -> Self {
        let test = match &self.test {
            Test::All(parts) => Test::All(parts.iter().map(|part| part.fixed(values)).collect()),
            Test::Any(parts) => Test::Any(parts.iter().map(|part| part.fixed(values)).collect()),
            Test::Not(part) => Test::Not(Box::new(part.fixed(values))),
            Test::Leaf(leaf) => Test::Leaf(leaf.fixed(values)),
            Test::Aggregate(aggregate) => Test::Aggregate(Box::new(aggregate.fixed(values))),
            Test::Relative(relative) => Test::Relative(relative.clone()),
        };
        Self { test }
    }
}

impl Leaf {
    fn fixed(&self, values: &mut dyn Iterator<Item = Value>) -> Self {
        match self.expected {
            Expected::Template(_) => {
                let expected = Expected::Literal(values.next().unwrap_or_default());
                Self { field: self.field.clone(), op: self.op, expected }
            }
            Expected::Nothing | Expected::Literal(_) | Expected::Pattern(_) => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sample::Sample;
    use crate::limits::Limits;
    use serde_json::json;

    fn parse(value: Value) -> Condition {
        Condition::parse(&value, "", &Limits::default()).unwrap()
    }

    #[test]
    fn a_condition_keeps_what_its_templates_came_to() {
        let condition = parse(json!({ "all": [
            { "field": "event.data.cart", "op": "equals", "value": "{{ vars.cart }}" },
            { "field": "event.data.kind", "op": "equals", "value": "full" },
            { "not": { "field": "event.data.total", "op": "less_than", "value": "{{ vars.least }}" } },
        ]}));
        let mut sample = Sample::default();
        sample.event.event.data = json!({ "cart": "c-1", "kind": "full", "total": 10 });
        sample.state.vars.insert("cart".into(), json!("c-1"));
        sample.state.vars.insert("least".into(), json!(5));
        let values = condition.render(&sample.facts()).unwrap();
        assert_eq!(values, [json!("c-1"), json!(5)]);
        let fixed = condition.with_values(&values);
        sample.state.vars.insert("cart".into(), json!("c-2"));
        assert!(fixed.holds(&sample.facts()).unwrap(), "what the variable says later is nothing to it");
        assert!(!condition.holds(&sample.facts()).unwrap());
        assert!(!condition.with_values(&[]).holds(&sample.facts()).unwrap());
    }
}
