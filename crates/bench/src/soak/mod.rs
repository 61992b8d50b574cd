//! Half of what the engine takes, for as long as one likes: with autovacuum, retention, and a day that ends meanwhile.

mod days;
mod minute;

use crate::check::{Expected, check};
use crate::effort::Effort;
use crate::fleet::Fleet;
use crate::load::{Load, Pace, Packing, steady};
use crate::prepared::Prepared;
use crate::report::Machine;
use crate::scenarios;
use crate::workload::Workload;
use minute::{Minute, Observer};
use serde::Serialize;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Soak {
    machine: Machine,
    events_per_second: u32,
    minutes: Vec<Minute>,
    /// What the last third of the minutes has, as a multiple of the first third.
    last_to_first_third: minute::Change,
    /// Partitions of past days that retention dropped under load.
    dropped_partitions: i64,
    /// Runs whose rows went to the partitions of the day that began under load.
    runs_after_the_turn: i64,
    /// Events published, each of which was found again with its run.
    checked: u64,
}

/// Soaks for so many minutes.
pub(crate) async fn run(minutes: u32, effort: Effort) -> anyhow::Result<Soak> {
    let machine = Machine::read().await?;
    let prepared = Prepared::load(effort.contacts).await?;
    let most = scenarios::most(&prepared, effort).await?;
    let pace = Pace { per_second: (most / 2.0) as u32, duration: MINUTE * minutes };
    eprintln!("==> {} events/s for {minutes} minutes", pace.per_second);
    let mut fleet = Fleet::at_rest(&prepared, &Workload::Note).await?;
    let mut monitor = fleet.database.superuser().await?;
    let past = days::prepare(&fleet.database, pace.duration / 2).await?;
    fleet.start_roles()?;
    let load = Load::all_matching(&fleet, Packing::FIFTY, "shop");
    let observing = async {
        let mut observer = Observer::start(&fleet).await?;
        let mut seen = Vec::new();
        for number in 1..=minutes {
            let minute = observer.minute(&fleet, number).await?;
            eprintln!("    {}", minute.line());
            seen.push(minute);
        }
        anyhow::Ok(seen)
    };
    let (published, seen) = tokio::try_join!(steady(&fleet, &load, pace), observing)?;
    fleet.until_done(published, published).await?;
    days::until_dropped(&mut monitor).await?;
    check(&mut monitor, &Workload::Note, Expected { events: published, runs: published }).await?;
    let runs_after_the_turn = days::runs_after_the_turn(&mut monitor).await?;
    anyhow::ensure!(
        0 < runs_after_the_turn && runs_after_the_turn < i64::try_from(published)?,
        "the day did not end under load: {runs_after_the_turn} of {published} runs came after it"
    );
    fleet.stop().await?;
    prepared.remove().await?;
    Ok(Soak {
        machine,
        events_per_second: pace.per_second,
        last_to_first_third: minute::Change::of(&seen),
        minutes: seen,
        dropped_partitions: past,
        runs_after_the_turn,
        checked: published,
    })
}

impl Soak {
    /// For people.
    pub(crate) fn table(&self) -> String {
        let minutes: Vec<String> = self.minutes.iter().map(Minute::line).collect();
        format!(
            "{}\n{} events/s for {} minutes\n  {}\n\nLast third against the first: {}\n\
             {} partitions of past days were dropped under load; {} of {} runs came after the end of the day.\n\
             {} events published, and each was found once as event, run and effect.",
            self.machine.line(),
            self.events_per_second,
            self.minutes.len(),
            minutes.join("\n  "),
            self.last_to_first_third.line(),
            self.dropped_partitions,
            self.runs_after_the_turn,
            self.checked,
            self.checked
        )
    }
}
