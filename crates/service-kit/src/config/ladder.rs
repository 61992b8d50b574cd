//! The retry ladder as a flag.

use super::rule;
use automation_domain::rungs::Rungs;
use clap::Args;

/// The ladder that failed steps climb; flatten it into a command's arguments.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Retries")]
pub struct LadderConfig {
    /// How long a step waits after its first failed attempt, its second, and so on
    ///
    /// Every process of a fleet and the topology need the same: each delay is a queue of its own.
    #[arg(long, env = "AUTOMATION_RETRY_RUNGS", value_name = "DELAYS", default_value_t = Rungs::default())]
    #[arg(value_parser = rule(rungs))]
    pub retry_rungs: Rungs,
}

fn rungs(text: &str) -> Result<Rungs, String> {
    text.parse().map_err(|error: automation_domain::rungs::InvalidRungs| {
        format!("must be delays separated by commas, such as 1m,5m,15m,1h,6h ({error})")
    })
}
