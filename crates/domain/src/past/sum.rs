//! Adding numbers by their decimal digits: 0.1 and 0.2 are 0.3, in whatever order they come.

use crate::json::number::of_double;
use serde_json::Number;

/// A sum of numbers as they are written. It is exact as long as all their digits, one below the other, take no more than 38
/// places; beyond that it is that of the numbers as doubles, from the smallest to the largest.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sum(Vec<Number>);

impl Sum {
    /// Adds a number.
    pub fn add(&mut self, number: &Number) {
        self.0.push(number.clone());
    }

    /// The sum; 0 of nothing, `None` beyond the range of doubles. Where it has more digits than a number keeps it is rounded,
    /// once.
    pub fn total(&self) -> Option<Number> {
        match self.exact() {
            Some((digits, exponent)) => number(digits, exponent),
            None => of_double(self.as_doubles()),
        }
    }

    /// The sum by the count of numbers; `None` of nothing, and beyond the range of doubles.
    pub fn mean(&self) -> Option<Number> {
        let count = self.0.len() as i128;
        match self.exact() {
            _ if count == 0 => None,
            Some((digits, exponent)) if digits % count == 0 => number(digits / count, exponent),
            Some(_) | None => of_double(self.total()?.as_f64()? / count as f64),
        }
    }

    /// The digits of the sum, and the power of ten of the last of them. Whether there is room for them does not depend on the
    /// order of the numbers.
    fn exact(&self) -> Option<(i128, i32)> {
        let all: Vec<(i128, i32)> = self.0.iter().map(digits).collect::<Option<_>>()?;
        let all = all.into_iter().filter(|(digits, _)| *digits != 0);
        let exponent = all.clone().map(|(_, exponent)| exponent).min().unwrap_or_default();
        let (mut sum, mut room) = (0_i128, i128::MAX);
        for (digits, of) in all {
            let places = u32::try_from(of - exponent).ok()?;
            let aligned = digits.checked_mul(10_i128.checked_pow(places)?)?;
            room = room.checked_sub(aligned.checked_abs()?).filter(|room| *room >= 0)?;
            sum += aligned;
        }
        Some((sum, exponent))
    }

    fn as_doubles(&self) -> f64 {
        let mut numbers: Vec<f64> = self.0.iter().filter_map(Number::as_f64).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.iter().sum()
    }
}

/// The digits of a number as it is written, and the power of ten of the last of them.
fn digits(number: &Number) -> Option<(i128, i32)> {
    if let Some(whole) = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)) {
        return Some((whole, 0));
    }
    // The shortest text that reads back as this double: `-1.999e1`.
    let text = format!("{:e}", number.as_f64()?);
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, exponent - i32::try_from(fraction.len()).ok()?))
}

fn number(mut digits: i128, mut exponent: i32) -> Option<Number> {
    if digits == 0 {
        return Some(Number::from(0));
    }
    while digits % 10 == 0 && exponent < 0 {
        (digits, exponent) = (digits / 10, exponent + 1);
    }
    let whole =
        u32::try_from(exponent).ok().and_then(|places| digits.checked_mul(10_i128.checked_pow(places)?));
    if let Some(whole) = whole {
        let small = i64::try_from(whole).map(Number::from).ok();
        if let Some(whole) = small.or_else(|| u64::try_from(whole).map(Number::from).ok()) {
            return Some(whole);
        }
    }
    let double: f64 = format!("{digits}e{exponent}").parse().ok()?;
    Number::from_f64(double)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn of(values: &[Value]) -> Sum {
        let mut sum = Sum::default();
        values.iter().for_each(|value| sum.add(value.as_number().unwrap()));
        sum
    }

    #[test]
    fn decimals_are_added_by_their_digits() {
        for (values, total, mean) in [
            (json!([]), json!(0), None),
            (json!([0.1, 0.2]), json!(0.3), Some(json!(0.15))),
            (json!([19.99, 0.01]), json!(20), Some(json!(10))),
            (json!([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]), json!(1), Some(json!(0.1))),
            (json!([1, 2, 4]), json!(7), Some(json!(7.0 / 3.0))),
            (json!([-5, 5.5]), json!(0.5), Some(json!(0.25))),
            (json!([9_007_199_254_740_993_u64, 2]), json!(9_007_199_254_740_995_u64), None),
            (json!([u64::MAX, 1]), json!(18_446_744_073_709_551_616.0), None),
            (json!([i64::MIN, -1]), json!(-9_223_372_036_854_775_809.0), None),
            (json!([0, 0.0, -0.0]), json!(0), Some(json!(0))),
            (json!([33.300000000000004, 12.1]), json!(45.400000000000004), None),
            (json!([1e300, 1e-300]), json!(1e300), None),
            (json!([1e300, 1e-300, -1e300]), json!(0), None),
        ] {
            let sum = of(values.as_array().unwrap());
            assert_eq!(sum.total().map(Value::Number), Some(total), "{values}");
            if let Some(mean) = mean {
                assert_eq!(sum.mean().map(Value::Number), Some(mean), "{values}");
            }
        }
        assert_eq!(of(&[]).mean(), None);
        assert_eq!(of(&[json!(1.7e308), json!(1.7e308)]).total(), None, "beyond the range of doubles");
    }

    proptest! {
        #[test]
        fn a_sum_of_cents_is_exact_and_the_same_in_every_order(
            cents in prop::collection::vec(-10_000_000_i64..10_000_000, 0..50),
        ) {
            let values: Vec<Value> = cents.iter().map(|cents| json!(*cents as f64 / 100.0)).collect();
            let mut reversed = values.clone();
            reversed.reverse();
            let total = of(&values).total().unwrap();
            let expected = cents.iter().sum::<i64>();
            prop_assert_eq!(total.as_f64().unwrap(), expected as f64 / 100.0);
            prop_assert_eq!(of(&reversed).total().unwrap(), total);
        }

        #[test]
        fn any_numbers_come_to_one_sum_in_every_order(values in prop::collection::vec(any::<f64>(), 0..20), seed in 0..20_usize) {
            let values: Vec<Value> = values.into_iter().filter(|value| value.is_finite()).map(Value::from).collect();
            let mut turned = values.clone();
            turned.rotate_left(seed.min(values.len()));
            let (one, other) = (of(&values).total(), of(&turned).total());
            prop_assert_eq!(one, other);
        }
    }
}
