//! How far figures scatter, and what they say nevertheless.

use serde::Serialize;

/// The middle of some figures, and how far they scatter.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of one figure at least.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let sorted = sorted(figures);
        let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
        Self { median: median(&sorted), least, most }
    }
}

/// Bounds between which the median of what the figures are drawn from lies with a confidence of 90 % or more, whatever its
/// distribution; none for fewer than five figures, which cannot tell.
///
/// They are the k-th least and the k-th greatest figure. The median lies outside of them only if fewer than k figures fell on
/// one side of it, and each falls on either side like a coin.
pub(super) fn bounds_of_median(figures: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    const CONFIDENCE: f64 = 0.9;
    let sorted = sorted(figures);
    let count = sorted.len();
    let (mut bounds, mut outside, mut combinations) = (None, 0.0, 1.0);
    for k in 0..count / 2 {
        outside += 2.0 * combinations / 2_f64.powi(i32::try_from(count).ok()?);
        if 1.0 - outside < CONFIDENCE {
            break;
        }
        bounds = Some((sorted[k], sorted[count - 1 - k]));
        combinations *= (count - k) as f64 / (k + 1) as f64;
    }
    bounds
}

fn sorted(figures: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Spread { median: 2.5, least: 1.0, most: 4.0 });
        assert_eq!(Spread::of([5.0, 1.0, 3.0]).median, 3.0);
    }

    #[test]
    fn eight_figures_leave_out_one_at_each_end() {
        // 1 - 2 * (1 + 8) / 256 = 93 %; leaving out two would be 71 %.
        let figures = (1..=8).map(f64::from);
        assert_eq!(bounds_of_median(figures), Some((2.0, 7.0)));
    }

    #[test]
    fn one_figure_that_is_far_off_moves_no_bound() {
        let figures = [1.01, 1.0, 1.02, 0.99, 1.01, 1.0, 1.3, 1.01];
        assert_eq!(bounds_of_median(figures), Some((1.0, 1.02)));
    }

    #[test]
    fn four_figures_tell_nothing() {
        assert_eq!(bounds_of_median((1..=4).map(f64::from)), None);
        assert_eq!(bounds_of_median((1..=5).map(f64::from)), Some((1.0, 5.0)));
    }
}
