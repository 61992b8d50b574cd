//! Delays: a token waits for a time.

use super::{Onward, Walk};
use crate::duration;
use crate::interpreter::{Command, StepError, StepOutcome, Token, Waits};
use crate::json::excerpt;
use crate::step_code::StepCode;
use crate::template::{RenderError, ValueTemplate};
use crate::workflow::{Node, NodeIndex};
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};

const MAX_DAYS: i64 = duration::LONGEST.num_days();

impl Walk<'_> {
    pub(super) fn delay(
        &mut self,
        token: u16,
        index: NodeIndex,
        node: &Node,
        visit: u32,
        duration: &ValueTemplate,
    ) -> Onward {
        let watch = self.surroundings.watch;
        let rendered = watch.take(&node.id).and_then(|()| {
            let error = |error: RenderError| StepError { code: error.code, message: error.message };
            let rendered = duration.render(&self.facts()).map_err(error);
            watch.put_down();
            rendered
        });
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(error) => return self.fail_step(token, node, visit, error, None),
        };
        let Some(length) = length(&rendered) else {
            let rendered = excerpt(&rendered);
            let message = format!(
                "{rendered} is not a duration: write 30s, 15m, 1h, 7d or a number of seconds, at most {MAX_DAYS} days"
            );
            let error = StepError { code: StepCode::InvalidDuration.into(), message };
            return self.fail_step(token, node, visit, error, None);
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
