//! Two binaries of the engine in turns, because a shared machine drifts: what one costs more than the other.

mod comparison;
mod contender;
mod spread;

pub(crate) use comparison::{Comparison, Judgement};

use crate::effort::Effort;
use crate::publishing_user::PublishingUser;
use crate::scenarios::{Figures, Scenario, measure_fleet, rates};
use contender::Contender;
use std::path::Path;

/// Folders, each with `automation` and `roles.sql`; what is compared is the second with the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folders<'a> {
    pub(crate) before: &'a Path,
    pub(crate) after: &'a Path,
}

/// The comparisons for people, one below the other.
pub(crate) fn tables(comparisons: &[Comparison]) -> String {
    comparisons.iter().map(Comparison::table).collect::<Vec<_>>().join("\n\n")
}

/// Whether every comparison is known to be within what a change may cost.
pub(crate) fn all_within(comparisons: &[Comparison]) -> bool {
    comparisons.iter().all(|comparison| comparison.judgement() == Judgement::Within)
}

/// Measures each load that `only` names on both, `packed` when it names nothing.
///
/// # Errors
///
/// When a binary cannot be used, or loses something; when `only` names what is no load.
pub(crate) async fn measure(
    folders: Folders<'_>,
    effort: Effort,
    only: &[Scenario],
) -> anyhow::Result<Vec<Comparison>> {
    let only = if only.is_empty() { &[Scenario::Packed] } else { only };
    let user = PublishingUser::create().await?;
    let mut comparisons = Vec::new();
    for setup in rates(only)? {
        let before = Contender::prepare(folders.before, &user, &setup.workload).await?;
        let after = Contender::prepare(folders.after, &user, &setup.workload).await?;
        let (mut of_before, mut of_after) = (Vec::new(), Vec::new());
        for turn in 0..effort.turns {
            // Whoever is measured second may find the machine warmer, or busier: that falls on both alike.
            let mut pair = [(&before, &mut of_before), (&after, &mut of_after)];
            if turn % 2 == 1 {
                pair.reverse();
            }
            for (contender, figures) in pair {
                eprintln!("==> Turn {} of {}: {}, {}", turn + 1, effort.turns, contender.name, setup.name);
                let fleet = contender.start(&user).await?;
                let measured: Figures = measure_fleet(fleet, &setup, effort.of_turn()).await?;
                eprintln!("    {}", measured.line());
                figures.push(measured);
            }
        }
        comparisons.push(Comparison::new([&before.name, &after.name], of_before, of_after));
    }
    user.remove().await?;
    Ok(comparisons)
}
