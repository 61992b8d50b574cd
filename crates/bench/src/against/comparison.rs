//! What turns of two binaries say about the difference between them.

use super::spread::{Spread, bounds_of_median};
use crate::scenarios::Figures;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use std::collections::BTreeSet;

/// How much more CPU per run a change may cost.
const ALLOWED: f64 = 0.03;

/// Both binaries under one load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    load: &'static str,
    /// What figures are divided by: `run`, or `event` where few events make one.
    each: &'static str,
    before: Side,
    after: Side,
    /// CPU of the second as a multiple of the first: of each turn, by neighbours in time.
    ratios: Vec<f64>,
    ratio: Spread,
    /// Where the median of such ratios lies, with a confidence of 90 % or more.
    ratio_bounds: Option<(f64, f64)>,
    judgement: Judgement,
}

/// One binary, over all turns.
#[derive(Clone, Debug, Serialize)]
struct Side {
    name: String,
    cpu_us: Spread,
    per_second: Spread,
    turns: Vec<Figures>,
}

/// Whether the change costs more than it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Judgement {
    Within,
    Above,
    /// The figures scatter too much to tell, or are too few.
    Undecided,
}

impl Judgement {
    fn of(bounds: Option<(f64, f64)>) -> Self {
        match bounds {
            Some((_, most)) if most <= 1.0 + ALLOWED => Self::Within,
            Some((least, _)) if least > 1.0 + ALLOWED => Self::Above,
            Some(_) | None => Self::Undecided,
        }
    }
}

impl Side {
    fn new(name: &str, turns: Vec<Figures>) -> Self {
        Self {
            name: name.to_owned(),
            cpu_us: Spread::of(turns.iter().map(|figures| figures.cpu_us_total)),
            per_second: Spread::of(turns.iter().map(per_second)),
            turns,
        }
    }

    /// The median of what one part used.
    fn part(&self, part: &str) -> f64 {
        Spread::of(self.turns.iter().map(|figures| figures.cpu_us.get(part).copied().unwrap_or_default()))
            .median
    }
}

fn per_second(figures: &Figures) -> f64 {
    match figures.each {
        "run" => figures.runs_per_second,
        _ => figures.events_per_second,
    }
}

impl Comparison {
    /// Of turns in the order in which they were measured: as many of both, at least one.
    pub(super) fn new(names: [&str; 2], before: Vec<Figures>, after: Vec<Figures>) -> Self {
        let ratios: Vec<f64> = before
            .iter()
            .zip(&after)
            .map(|(before, after)| after.cpu_us_total / before.cpu_us_total)
            .collect();
        let ratio_bounds = bounds_of_median(ratios.iter().copied());
        let (load, each) = (before[0].load, before[0].each);
        Self {
            load,
            each,
            before: Side::new(names[0], before),
            after: Side::new(names[1], after),
            ratio: Spread::of(ratios.iter().copied()),
            ratio_bounds,
            judgement: Judgement::of(ratio_bounds),
            ratios,
        }
    }

    /// Whether it costs more than it may.
    pub(super) fn judgement(&self) -> Judgement {
        self.judgement
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        let parts: BTreeSet<&str> =
            self.before.turns.iter().flat_map(|figures| figures.cpu_us.keys().copied()).collect();
        let mut header =
            vec![self.load.to_owned(), format!("{}s/s", self.each), format!("CPU µs/{}", self.each)];
        header.extend(parts.iter().map(|part| (*part).to_owned()));
        table.set_header(header);
        for side in [&self.before, &self.after] {
            let mut row = vec![side.name.clone(), spread(side.per_second, 0), spread(side.cpu_us, 1)];
            row.extend(parts.iter().map(|part| format!("{:.1}", side.part(part))));
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{table}\n{}", self.sentence())
    }

    fn sentence(&self) -> String {
        let change = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
        let ratios: Vec<String> = self.ratios.iter().map(|ratio| change(*ratio)).collect();
        let bounds = match self.ratio_bounds {
            Some((least, most)) => {
                format!("between {} and {} by a confidence of 90 %", change(least), change(most))
            }
            None => "too few turns for bounds".to_owned(),
        };
        let allowed = ALLOWED * 100.0;
        let judgement = match self.judgement {
            Judgement::Within => format!("within {allowed:.0} %"),
            Judgement::Above => format!("ABOVE {allowed:.0} %"),
            Judgement::Undecided => {
                format!("undecided whether within {allowed:.0} %: measure on a quieter machine")
            }
        };
        format!(
            "CPU per {}: {} (median of {}); {bounds}.\nVerdict: {judgement}.",
            self.each,
            change(self.ratio.median),
            ratios.join(", ")
        )
    }
}

fn spread(spread: Spread, digits: usize) -> String {
    let Spread { median, least, most } = spread;
    format!("{median:.digits$} ({least:.digits$} – {most:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_its_bounds_on_one_side() {
        assert_eq!(Judgement::of(Some((0.98, 1.03))), Judgement::Within);
        assert_eq!(Judgement::of(Some((1.031, 1.2))), Judgement::Above);
        assert_eq!(Judgement::of(Some((0.98, 1.031))), Judgement::Undecided);
        assert_eq!(Judgement::of(None), Judgement::Undecided);
    }
}
