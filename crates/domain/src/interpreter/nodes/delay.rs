//! Delays: a token waits for a time.

use super::{Onward, Walk};
use crate::duration;
use crate::interpreter::{Command, StepOutcome, Token, Waits};
use crate::template::ValueTemplate;
use crate::workflow::{Node, NodeIndex};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

/// Longest delay: what is longer is a mistake in a template, not a plan.
const MAX_DAYS: i64 = 3_660;

impl Walk<'_> {
    pub(super) fn delay(
        &mut self,
        token: u16,
        index: NodeIndex,
        node: &Node,
        visit: u32,
        duration: &ValueTemplate,
    ) -> Onward {
        let rendered = match duration.render(&self.facts()) {
            Ok(rendered) => rendered,
            Err(error) => {
                self.fail_step(node, visit, &error.code, error.message);
                return Onward::Stays;
            }
        };
        let Some(length) = length(&rendered) else {
            let message = format!(
                "{rendered} is not a duration: write 30s, 15m, 1h, 7d or a number of seconds, at most {MAX_DAYS} days"
            );
            self.fail_step(node, visit, "invalid_duration", message);
            return Onward::Stays;
        };
        if length <= TimeDelta::zero() {
            self.log(&node.id, "delay", visit, StepOutcome::Completed, Value::Null);
            return Onward::To(node.next);
        }
        let until = self.now + length;
        self.state
            .tokens
            .insert(token, Token { node: node.id.clone(), visit, waits: Waits::Timer { until } });
        let detail = json!({ "until": until.to_rfc3339_opts(SecondsFormat::AutoSi, true) });
        self.log(&node.id, "delay", visit, StepOutcome::Waiting, detail);
        self.commands.push(Command::WaitUntil { token, node: index, until });
        Onward::Stays
    }

    /// Lets every token go on whose time has come.
    pub(in crate::interpreter) fn wake(&mut self) {
        let now = self.now;
        let due = |until: &DateTime<Utc>| *until <= now;
        let tokens: Vec<u16> = self
            .state
            .tokens
            .iter()
            .filter(|(_, token)| matches!(&token.waits, Waits::Timer { until } if due(until)))
            .map(|(number, _)| *number)
            .collect();
        for number in tokens {
            // The run may have ended on the way of an earlier token.
            let Some(token) = self.state.tokens.remove(&number) else { return };
            let workflow = self.workflow;
            let Some(index) = workflow.node_index(&token.node) else {
                self.fail_unknown(token.node);
                return;
            };
            let node = &workflow.nodes[index];
            self.log(&node.id, super::kind_key(node), token.visit, StepOutcome::Completed, Value::Null);
            self.go(number, node.next);
        }
    }
}

/// A duration as text, or a number of seconds.
fn length(rendered: &Value) -> Option<TimeDelta> {
    let length = match rendered {
        Value::String(text) => {
            let text = text.trim();
            duration::parse(text).or_else(|| text.parse().ok().and_then(seconds))
        }
        Value::Number(number) => number.as_f64().and_then(seconds),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }?;
    (length <= TimeDelta::days(MAX_DAYS)).then_some(length)
}

fn seconds(seconds: f64) -> Option<TimeDelta> {
    let millis = (seconds * 1000.0).round();
    // Beyond this the conversion below would saturate.
    (millis.abs() < 1e15).then(|| TimeDelta::milliseconds(millis as i64))
}
