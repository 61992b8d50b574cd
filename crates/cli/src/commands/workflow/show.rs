//! How a definition is printed.

use crate::output::{Output, exact, say};
use crate::terminal::Lines;
use automation_domain::workflow::Readable;
use clap::ValueEnum;
use serde_json::Value;

/// As what a definition is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people and files.
    Yaml,
    /// For programs.
    Json,
}

/// Prints a definition as a file that can be applied.
pub fn definition(definition: &Value, format: Format, output: &Output) -> anyhow::Result<()> {
    match (output.is_json(), format) {
        (true, _) => exact(&definition.to_string()),
        (false, Format::Json) => say(as_json(definition)?),
        (false, Format::Yaml) => say(as_yaml(definition)?),
    }
    Ok(())
}

/// JSON is YAML too, and can say what is not shown.
fn as_yaml(definition: &Value) -> anyhow::Result<Lines> {
    let yaml = Readable(definition).to_yaml();
    let shown = Lines::of_block(&yaml);
    if shown.text() == yaml.trim_end() { Ok(shown) } else { as_json(definition) }
}

fn as_json(definition: &Value) -> anyhow::Result<Lines> {
    Ok(Lines::of_block(&serde_json::to_string_pretty(&Readable(definition))?))
}
