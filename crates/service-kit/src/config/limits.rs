//! The engine's limits as flags.

use super::{flattened, rule};
use automation_domain::json::MAX_DEPTH;
use automation_domain::limits::Limits;
use clap::Args;
use std::str::FromStr;

/// The limits a process works with; flatten it into a command's arguments.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// The limits, all of them at least 1.
    pub limits: Limits,
}

#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct LimitsArgs {
    /// Largest single event, in bytes as received
    #[arg(long, env = "AUTOMATION_MAX_EVENT_BYTES", value_name = "BYTES", default_value = "262144", value_parser = rule(positive::<usize>))]
    max_event_bytes: usize,
    /// Largest batch message, in bytes
    #[arg(long, env = "AUTOMATION_MAX_BATCH_BYTES", value_name = "BYTES", default_value = "4194304", value_parser = rule(positive::<usize>))]
    max_batch_bytes: usize,
    /// Most events in a batch message
    #[arg(long, env = "AUTOMATION_MAX_BATCH_EVENTS", value_name = "EVENTS", default_value = "500", value_parser = rule(positive::<usize>))]
    max_batch_events: usize,
    /// Deepest nesting of JSON, in levels
    #[arg(long, env = "AUTOMATION_MAX_JSON_DEPTH", value_name = "LEVELS", default_value = "64", value_parser = rule(depth))]
    max_json_depth: usize,
    /// Largest workflow definition, in bytes
    #[arg(long, env = "AUTOMATION_MAX_DEFINITION_BYTES", value_name = "BYTES", default_value = "1048576", value_parser = rule(positive::<usize>))]
    max_definition_bytes: usize,
    /// Most nodes in a workflow
    #[arg(long, env = "AUTOMATION_MAX_NODES", value_name = "NODES", default_value = "1000", value_parser = rule(positive::<usize>))]
    max_nodes: usize,
    /// Most edges in a workflow
    #[arg(long, env = "AUTOMATION_MAX_EDGES", value_name = "EDGES", default_value = "10000", value_parser = rule(positive::<usize>))]
    max_edges: usize,
    /// Most triggers in a workflow
    #[arg(long, env = "AUTOMATION_MAX_TRIGGERS", value_name = "TRIGGERS", default_value = "100", value_parser = rule(positive::<usize>))]
    max_triggers: usize,
    /// Most templates in a workflow
    #[arg(long, env = "AUTOMATION_MAX_TEMPLATES", value_name = "TEMPLATES", default_value = "4000", value_parser = rule(positive::<usize>))]
    max_templates: usize,
    /// Most comparisons in a workflow's conditions
    #[arg(long, env = "AUTOMATION_MAX_COMPARISONS", value_name = "COMPARISONS", default_value = "4000", value_parser = rule(positive::<usize>))]
    max_comparisons: usize,
    /// Most regular expressions in a workflow
    #[arg(long, env = "AUTOMATION_MAX_REGEXES", value_name = "EXPRESSIONS", default_value = "100", value_parser = rule(positive::<usize>))]
    max_regexes: usize,
    /// Bytes that a workflow's templates, conditions and values may take together once compiled
    #[arg(long, env = "AUTOMATION_MAX_EXPRESSION_BYTES", value_name = "BYTES", default_value = "4194304", value_parser = rule(positive::<usize>))]
    max_expression_bytes: usize,
    /// Largest template, in bytes
    #[arg(long, env = "AUTOMATION_MAX_TEMPLATE_BYTES", value_name = "BYTES", default_value = "65536", value_parser = rule(positive::<usize>))]
    max_template_bytes: usize,
    /// Steps that evaluating an event for one workflow, or one step of a run, may take
    #[arg(long, env = "AUTOMATION_MAX_EVALUATION_STEPS", value_name = "STEPS", default_value = "500000", value_parser = rule(positive::<u64>))]
    max_evaluation_steps: u64,
    /// Bytes that evaluating an event for one workflow, or one step of a run, may make
    #[arg(long, env = "AUTOMATION_MAX_EVALUATION_BYTES", value_name = "BYTES", default_value = "4194304", value_parser = rule(positive::<u64>))]
    max_evaluation_bytes: u64,
    /// Largest compiled regular expression, in bytes
    #[arg(long, env = "AUTOMATION_MAX_REGEX_BYTES", value_name = "BYTES", default_value = "262144", value_parser = rule(positive::<usize>))]
    max_regex_bytes: usize,
    /// Bytes of compiled workflows that a process keeps in each of its caches, about
    #[arg(long, env = "AUTOMATION_CACHE_BYTES", value_name = "BYTES", default_value = "100663296", value_parser = rule(positive::<usize>))]
    cache_bytes: usize,
    /// Largest variables of a run, in bytes of JSON
    #[arg(long, env = "AUTOMATION_MAX_VARIABLES_BYTES", value_name = "BYTES", default_value = "1048576", value_parser = rule(positive::<usize>))]
    max_variables_bytes: usize,
    /// Largest output of a step, in bytes of JSON
    #[arg(long, env = "AUTOMATION_MAX_OUTPUT_BYTES", value_name = "BYTES", default_value = "262144", value_parser = rule(positive::<usize>))]
    max_output_bytes: usize,
    /// Most steps of a run
    #[arg(long, env = "AUTOMATION_MAX_STEPS", value_name = "STEPS", default_value = "10000", value_parser = rule(positive::<u32>))]
    max_steps: u32,
    /// Longest chain of events that cause each other, in links
    #[arg(long, env = "AUTOMATION_MAX_CAUSATION_DEPTH", value_name = "LINKS", default_value = "5", value_parser = rule(positive::<u16>))]
    max_causation_depth: u16,
    /// Shortest time between two slots of a schedule, in seconds
    #[arg(long, env = "AUTOMATION_MIN_SCHEDULE_SECONDS", value_name = "SECONDS", default_value = "1", value_parser = rule(positive::<u32>))]
    min_schedule_seconds: u32,
}

impl From<LimitsArgs> for LimitsConfig {
    fn from(args: LimitsArgs) -> Self {
        let limits = Limits {
            event_bytes: args.max_event_bytes,
            batch_bytes: args.max_batch_bytes,
            batch_events: args.max_batch_events,
            json_depth: args.max_json_depth,
            definition_bytes: args.max_definition_bytes,
            nodes: args.max_nodes,
            edges: args.max_edges,
            triggers: args.max_triggers,
            templates: args.max_templates,
            comparisons: args.max_comparisons,
            regexes: args.max_regexes,
            expression_bytes: args.max_expression_bytes,
            template_bytes: args.max_template_bytes,
            evaluation_steps: args.max_evaluation_steps,
            evaluation_bytes: args.max_evaluation_bytes,
            regex_bytes: args.max_regex_bytes,
            cache_bytes: args.cache_bytes,
            variables_bytes: args.max_variables_bytes,
            output_bytes: args.max_output_bytes,
            steps: args.max_steps,
            causation_depth: args.max_causation_depth,
            schedule_seconds: args.min_schedule_seconds,
        };
        Self { limits }
    }
}

flattened!(LimitsConfig, LimitsArgs);

/// Beyond [`MAX_DEPTH`] the parser's own guard would decide.
fn depth(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(levels) if (1..=MAX_DEPTH).contains(&levels) => Ok(levels),
        Ok(_) | Err(_) => Err(format!("must be a whole number from 1 to {MAX_DEPTH}")),
    }
}

fn positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    match text.parse() {
        Ok(number) if number >= T::from(1) => Ok(number),
        Ok(_) | Err(_) => Err("must be a whole number, at least 1".to_owned()),
    }
}
