//! `automation catalog`: everything by key, and what of it can be used.

use crate::output::Output;
use automation_domain::catalogue::{self, Entry};
use automation_domain::condition::Condition;
use automation_domain::limits::Limits;
use automation_domain::workflow::parse_value;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

/// Arguments of `automation catalog`.
#[derive(Args, Debug)]
pub struct CatalogArgs {
    /// What to list
    #[arg(value_enum, default_value_t = Part::Actions)]
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    Triggers,
    Actions,
    Conditions,
    Permissions,
}

/// Lists a part of the catalogue.
pub fn run(args: &CatalogArgs, output: &Output) -> anyhow::Result<()> {
    let contracts = automation_actions::contracts();
    let (columns, rows): (&[&str], Vec<Value>) = match args.part {
        Part::Triggers => (
            &["key", "priority", "available", "description"],
            catalogue::triggers()
                .iter()
                .map(|entry| {
                    json!({
                        "key": entry.key, "group": entry.group, "priority": entry.priority, "data": entry.data,
                        "available": is_trigger(entry.key), "description": entry.description,
                    })
                })
                .collect(),
        ),
        Part::Actions => (
            &["key", "effect", "available", "description"],
            catalogue::actions()
                .iter()
                .map(|entry| {
                    json!({
                        "key": entry.key, "group": entry.group, "effect": entry.effect.as_str(), "emits": entry.emits,
                        "available": contracts.contains_key(entry.key), "description": entry.description,
                    })
                })
                .collect(),
        ),
        Part::Conditions => (&["key", "kind", "available", "description"], conditions()),
        Part::Permissions => (
            &["key", "description"],
            catalogue::permissions()
                .iter()
                .map(|word| json!({ "key": word.key, "description": word.description }))
                .collect(),
        ),
    };
    output.list(columns, rows, None);
    Ok(())
}

fn conditions() -> Vec<Value> {
    let row = |kind: &str, entry: &Entry, example: Value| {
        let available = Condition::parse(&example, "", &Limits::default()).is_ok();
        json!({ "key": entry.key, "kind": kind, "available": available, "description": entry.description })
    };
    let operators = catalogue::operators().iter().map(|entry| row("operator", entry, compared(entry.key)));
    let joins = catalogue::logical_operators().iter().map(|entry| row("operator", entry, joined(entry.key)));
    let types = catalogue::condition_types().iter().map(|entry| row("type", entry, about(entry.key)));
    operators.chain(joins).chain(types).collect()
}

/// Whether the compiler takes a workflow with this trigger.
fn is_trigger(key: &str) -> bool {
    let trigger = match key {
        "schedule.cron" => json!({ "id": "t", "schedule": { "cron": "0 9 * * *" } }),
        "schedule.interval" => json!({ "id": "t", "schedule": { "every": "1h" } }),
        _ => json!({ "id": "t", "event": key }),
    };
    let workflow = json!({
        "apiVersion": "automation/v1", "key": "example", "triggers": [trigger],
        "nodes": [{ "id": "n", "action": "stop_workflow" }], "edges": [["t", "n"]],
    });
    parse_value(&workflow, automation_actions::contracts(), &Limits::default()).is_ok()
}

/// A condition with this operator.
fn compared(operator: &str) -> Value {
    match operator {
        "is_empty" | "is_not_empty" => json!({ "field": "event.id", "op": operator }),
        _ => json!({ "field": "event.id", "op": operator, "value": "1" }),
    }
}

/// A condition with this join.
fn joined(join: &str) -> Value {
    match join {
        "AND" => json!({ "all": [compared("is_empty")] }),
        "OR" => json!({ "any": [compared("is_empty")] }),
        _ => json!({ "not": compared("is_empty") }),
    }
}

/// A condition of this type.
fn about(kind: &str) -> Value {
    let field = |path: &str| json!({ "field": path, "op": "is_empty" });
    match kind {
        "contact" => field("contact.email"),
        "crm" => field("deal.amount"),
        "subscription" => field("subscription.status"),
        "temporal" => field("now.weekday"),
        _ => json!({
            "count": { "event": "page.visited", "within": "7d" }, "op": "greater_than", "value": 3,
        }),
    }
}
