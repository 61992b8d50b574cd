//! `create_task`: makes a task for a person, about the run's contact if it has one.

use crate::config::{self, Max, TEXT_BYTES, TITLE_CHARS};
use crate::{Prepared, StepContext};
use automation_domain::duration;
use automation_domain::interpreter::StepError;
use automation_domain::record::{RecordChange, Task};
use automation_domain::workflow::ActionContract;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::borrow::Cow;

pub(crate) const KEY: &str = "create_task";

/// Latest due time: what is later is a mistake in a template.
const MAX_DUE_DAYS: i64 = 3_660;

pub(crate) fn contract() -> ActionContract {
    ActionContract {
        key: KEY,
        config_schema: json!({
            "type": "object",
            "description": "Makes a task for a person, about the contact if the run has one.",
            "properties": {
                "title": {
                    "type": "string",
                    "minLength": 1,
                    "description": "What to do, at most 512 characters once rendered.",
                },
                "description": {
                    "type": "string",
                    "description": "More words, at most 64 KiB once rendered.",
                },
                "due": {
                    "type": "string",
                    "description": "How long from now it may take: 30m, 4h, 1d. Without it the task is never due.",
                },
                "assignee": {
                    "type": "string",
                    "description": "Who is to do it, at most 512 characters once rendered.",
                },
            },
            "required": ["title"],
            "additionalProperties": false,
        }),
        needs_contact: false,
    }
}

pub(crate) fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let task = Task {
        task_id: step.record_id,
        contact_id: step.facts.contact.map(|contact| contact.contact_id),
        title: config::text(config, "title", Max::Chars(TITLE_CHARS))?.into_owned(),
        description: config::optional_text(config, "description", Max::Bytes(TEXT_BYTES))?
            .map(Cow::into_owned),
        due_at: due_at(config, step.facts.now)?,
        assignee: config::optional_text(config, "assignee", Max::Chars(TITLE_CHARS))?.map(Cow::into_owned),
    };
    let output = json!({ "task_id": task.task_id, "title": task.title, "due_at": task.due_at });
    Ok(Prepared::Changes { changes: vec![RecordChange::CreateTask(task)], output })
}

fn due_at(config: &Value, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StepError> {
    let Some(due) = config::optional_text(config, "due", Max::Chars(64))? else { return Ok(None) };
    match duration::parse(&due).filter(|due| *due <= TimeDelta::days(MAX_DUE_DAYS)) {
        Some(due) => Ok(Some(now + due)),
        None => Err(config::invalid(format!(
            "due is \"{due}\", which is not a duration such as 30m, 4h or 1d of at most {MAX_DUE_DAYS} days"
        ))),
    }
}
