//! `create_task`: makes a task for a person, about the run's contact if it has one.

use crate::config::{self, Max, TEXT_BYTES, TITLE_CHARS};
use automation_domain::action::{
    Action, ContactUse, Literals, NamedWays, Prepared, StepContext, as_answered, passes,
};
use automation_domain::catalogue::{ActionEntry, Effect};
use automation_domain::duration;
use automation_domain::interpreter::StepError;
use automation_domain::record::{RecordChange, Task};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::borrow::Cow;

pub(crate) static ACTION: Action = Action {
    entry: ActionEntry {
        key: "create_task",
        group: "crm",
        description: "Makes a task for a person.",
        effect: Effect::Record,
        emits: &["task.created"],
    },
    schema,
    contact: ContactUse::Optional,
    check,
    prepare,
    gate: passes,
    ways: NamedWays::NONE,
    receive: as_answered,
};

fn schema() -> Value {
    json!({
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
    })
}

fn check(literals: &Literals) -> Vec<(&'static str, String)> {
    let title = config::check(literals, "title", |config| title(config).map(drop));
    let description = config::check(literals, "description", |config| description(config).map(drop));
    let due = config::check(literals, "due", |config| due(config).map(drop));
    let assignee = config::check(literals, "assignee", |config| assignee(config).map(drop));
    [title, description, due, assignee].concat()
}

fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let task = Task {
        task_id: step.record_id,
        contact_id: step.facts.contact.map(|contact| contact.contact_id),
        subject: step.facts.contact.map(|contact| contact.subject.clone()),
        title: title(config)?.into_owned(),
        description: description(config)?.map(Cow::into_owned),
        due_at: due(config)?.map(|due| step.facts.now + due),
        assignee: assignee(config)?.map(Cow::into_owned),
    };
    let output = json!({ "task_id": task.task_id, "title": task.title, "due_at": task.due_at });
    Ok(Prepared::Changes { changes: vec![RecordChange::CreateTask(task)], output })
}

fn title(config: &Value) -> Result<Cow<'_, str>, StepError> {
    config::text(config, "title", Max::Chars(TITLE_CHARS))
}

fn description(config: &Value) -> Result<Option<Cow<'_, str>>, StepError> {
    config::optional_text(config, "description", Max::Bytes(TEXT_BYTES))
}

fn assignee(config: &Value) -> Result<Option<Cow<'_, str>>, StepError> {
    config::optional_text(config, "assignee", Max::Chars(TITLE_CHARS))
}

fn due(config: &Value) -> Result<Option<TimeDelta>, StepError> {
    let Some(due) = config::optional_text(config, "due", Max::Chars(64))? else { return Ok(None) };
    match duration::parse(&due) {
        Some(due) => Ok(Some(due)),
        None => Err(config::invalid(format!(
            "due is \"{due}\", which is not a duration such as 30m, 4h or 1d of at most {} days",
            duration::LONGEST.num_days()
        ))),
    }
}
