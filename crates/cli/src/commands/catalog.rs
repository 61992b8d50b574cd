//! `automation catalog`: everything by key, and what of it can be used.

use crate::exit;
use crate::output::{Output, exact};
use automation_domain::catalogue::{self, ActionEntry, Entry, payload};
use automation_domain::condition::Condition;
use automation_domain::limits::Limits;
use automation_domain::problem::nearest_hint;
use automation_domain::workflow::{NodeTypes, parse_value};
use automation_operations::Page;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

/// Arguments of `automation catalog`.
#[derive(Args, Debug)]
pub struct CatalogArgs {
    /// What to list
    #[arg(value_enum, default_value_t = Part::Actions)]
    part: Part,
    /// Print the JSON Schemas of all triggers' payloads, or of one, each with an example
    #[arg(long, value_name = "TYPE", num_args = 0..=1, default_missing_value = "", conflicts_with = "asyncapi")]
    schemas: Option<String>,
    /// Print the contract with publishers as an AsyncAPI document
    #[arg(long)]
    asyncapi: bool,
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
    if args.asyncapi {
        exact(asyncapi()?.trim_end());
        return Ok(());
    }
    if let Some(event_type) = &args.schemas {
        exact(&serde_json::to_string_pretty(&schemas(event_type)?)?);
        return Ok(());
    }
    let types = automation_actions::node_types();
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
            entries(types)
                .into_iter()
                .map(|entry| {
                    json!({
                        "key": entry.key, "group": entry.group, "effect": entry.effect.as_str(), "emits": entry.emits,
                        "available": types.get(entry.key).is_some(), "description": entry.description,
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
    output.page(columns, &Page::whole(rows));
    Ok(())
}

/// All actions, group by group.
fn entries(types: &NodeTypes) -> Vec<&ActionEntry> {
    let groups = catalogue::action_groups();
    let mut entries: Vec<&ActionEntry> = types.entries().collect();
    entries.sort_by_key(|entry| groups.iter().position(|group| group.key == entry.group));
    entries
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
    parse_value(&workflow, automation_actions::node_types(), &Limits::default()).is_ok()
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

fn schemas(event_type: &str) -> anyhow::Result<Value> {
    if event_type.is_empty() {
        return Ok(payload::schemas());
    }
    payload::schema(event_type).cloned().ok_or_else(|| {
        let hint = nearest_hint(event_type, catalogue::triggers().iter().map(|entry| entry.key));
        exit::not_found(
            format!("the catalogue has no event type \"{event_type}\"{hint}"),
            "automation catalog triggers; a custom event has no schema",
        )
    })
}

/// Part by part, because a map does not keep the order that people read in.
fn asyncapi() -> anyhow::Result<String> {
    let mut text =
        "# Written by `automation catalog --asyncapi`; a test compares. AUTOMATION_BLESS=1 writes it anew.\n"
            .to_owned();
    let handled = automation_actions::node_types().iter().map(|known| known.kind.entry());
    let published: Vec<&str> = handled.flat_map(|entry| entry.emits).copied().collect();
    for (name, part) in automation_broker::asyncapi::document(&published) {
        text.push_str(&yaml_serde::to_string(&Map::from_iter([(name.to_owned(), sorted(part))]))?);
    }
    Ok(text)
}

/// With the members of every object in order, whatever order the library keeps them in.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            members.into_iter().map(|(key, member)| (key, sorted(member))).collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
