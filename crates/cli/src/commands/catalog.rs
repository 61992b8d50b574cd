//! `automation catalog`: everything by key, and what of it can be used.

use crate::output::Output;
use automation_domain::catalogue;
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
                        "available": available(!entry.key.starts_with("schedule.")), "description": entry.description,
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
                        "available": available(contracts.contains_key(entry.key)), "description": entry.description,
                    })
                })
                .collect(),
        ),
        Part::Conditions => (
            &["key", "kind", "description"],
            catalogue::operators()
                .iter()
                .chain(catalogue::logical_operators())
                .map(|word| json!({ "key": word.key, "kind": "operator", "description": word.description }))
                .chain(
                    catalogue::condition_types()
                        .iter()
                        .map(|word| json!({ "key": word.key, "kind": "type", "description": word.description })),
                )
                .collect(),
        ),
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

fn available(is: bool) -> &'static str {
    if is { "yes" } else { "not yet" }
}
