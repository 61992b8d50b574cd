//! Which traces are recorded, by `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.

use anyhow::{Context, bail};

/// A sampler; it allocates nothing, as it is asked for every event.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sampler {
    /// Whether a trace that has begun elsewhere is recorded if and only if it is there.
    follows_parent: bool,
    /// The part of the other traces that is recorded: 0.0 to 1.0.
    ratio: f64,
}

impl Sampler {
    /// By the names of the specification. Default: `parentbased_always_on`.
    pub(super) fn parse(name: Option<&str>, argument: Option<&str>) -> anyhow::Result<Self> {
        let name = name.unwrap_or("parentbased_always_on");
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio(argument)?,
            _ => bail!(
                "OTEL_TRACES_SAMPLER={name} is none of always_on, always_off, traceidratio, and these with parentbased_"
            ),
        };
        Ok(Self { follows_parent, ratio })
    }

    /// Whether a trace is recorded; `parent` says whether its first part is.
    pub(super) fn samples(self, trace_id: u128, parent: Option<bool>) -> bool {
        match parent {
            Some(is_sampled) if self.follows_parent => is_sampled,
            Some(_) | None => self.ratio >= 1.0 || is_in(self.ratio, trace_id),
        }
    }
}

fn ratio(argument: Option<&str>) -> anyhow::Result<f64> {
    let Some(text) = argument else { return Ok(1.0) };
    let ratio: f64 =
        text.parse().with_context(|| format!("OTEL_TRACES_SAMPLER_ARG={text} is not a number"))?;
    anyhow::ensure!((0.0..=1.0).contains(&ratio), "OTEL_TRACES_SAMPLER_ARG={text} is not between 0 and 1");
    Ok(ratio)
}

/// By the trace id alone, so that all who ask decide alike; the same rule as in other SDKs.
fn is_in(ratio: f64, trace_id: u128) -> bool {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the ratio is from 0 to 1")]
    let bound = (ratio * (1_u64 << 63) as f64) as u64;
    let low = u64::try_from(trace_id & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    low >> 1 < bound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(name: &str, argument: &str) -> Sampler {
        Sampler::parse(Some(name), Some(argument)).unwrap()
    }

    #[test]
    fn samplers_decide_by_parent_or_ratio() {
        for (name, argument, fresh, sampled, not_sampled) in [
            ("always_on", "", true, true, true),
            ("always_off", "", false, false, false),
            ("parentbased_always_on", "", true, true, false),
            ("parentbased_always_off", "", false, true, false),
            ("parentbased_traceidratio", "0", false, true, false),
            ("traceidratio", "1", true, true, true),
        ] {
            let sampler = sampler(name, argument);
            let decided = [None, Some(true), Some(false)].map(|parent| sampler.samples(7, parent));
            assert_eq!(decided, [fresh, sampled, not_sampled], "{name}");
        }
        assert!(Sampler::parse(None, None).unwrap().samples(7, None));
    }

    #[test]
    fn a_ratio_takes_its_part_of_the_traces() {
        let quarter = sampler("traceidratio", "0.25");
        // Ids in the middle of a thousand equal parts of the lower half.
        let part = u128::from(u64::MAX) / 1_000;
        let ids = (0..1_000).map(|number| number * part + part / 2);
        assert_eq!(ids.filter(|id| quarter.samples(*id, None)).count(), 250);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, argument) in [("xray", ""), ("traceidratio", "2"), ("traceidratio", "half")] {
            assert!(Sampler::parse(Some(name), Some(argument)).is_err(), "{name} {argument}");
        }
    }
}
