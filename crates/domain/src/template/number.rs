//! Numbers of templates: exact, or refused.

use crate::text;
use std::cmp::Ordering;

/// A number in its one form: equal numbers are the same variant with the same content.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Number {
    /// A whole number that `i64` or `u64` holds.
    Whole(i128),
    /// Any other: finite, with a fraction or outside of the range of whole numbers.
    Decimal(f64),
}
use Number::{Decimal, Whole};

/// Largest whole number below which a decimal holds every other one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An operator between two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideDown,
    Remainder,
    Power,
}

impl Operator {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::DivideDown => "//",
            Self::Remainder => "%",
            Self::Power => "**",
        }
    }
}

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NumberError {
    #[error("the result is larger than numbers can be")]
    TooLarge,
    #[error("a decimal cannot keep the digits of a whole number beyond 9007199254740992")]
    Inexact,
    #[error("nothing can be divided by zero")]
    ByZero,
    #[error("there is no such power")]
    NoPower,
}

impl Number {
    /// The whole number, if 64 bits hold it.
    pub(super) fn whole(number: i128) -> Option<Self> {
        (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(Whole(number))
    }

    /// The number, if it is one.
    pub(super) fn decimal(number: f64) -> Option<Self> {
        number.is_finite().then(|| text::whole(number).map_or(Decimal(number), Whole))
    }

    pub(super) fn read(number: &serde_json::Number) -> Option<Self> {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map(Whole).or_else(|| number.as_f64().and_then(Self::decimal))
    }

    pub(super) fn to_json(self) -> serde_json::Number {
        match self {
            Whole(number) => i64::try_from(number).map_or_else(|_| (number as u64).into(), Into::into),
            // Both other variants hold: a decimal is finite, and what is finite is a number of JSON.
            Decimal(number) => serde_json::Number::from_f64(number).unwrap_or_else(|| 0.into()),
        }
    }

    pub(super) fn negative(self) -> Result<Self, NumberError> {
        match self {
            Whole(number) => Self::whole(-number).ok_or(NumberError::TooLarge),
            Decimal(number) => Ok(Decimal(-number)),
        }
    }

    /// A decimal that holds exactly this number.
    pub(super) fn exact(self) -> Result<f64, NumberError> {
        match self {
            Whole(number) if number.unsigned_abs() <= EXACT as u128 => Ok(number as f64),
            Whole(_) => Err(NumberError::Inexact),
            Decimal(number) => Ok(number),
        }
    }

    pub(super) fn apply(self, operator: Operator, other: Self) -> Result<Self, NumberError> {
        match (self, other) {
            (Whole(left), Whole(right)) => of_whole(left, operator, right),
            _ => of_decimals(self.exact()?, operator, other.exact()?),
        }
    }

    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Whole(left), Whole(right)) => left.cmp(&right),
            (Decimal(left), Decimal(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
            (Whole(left), Decimal(right)) => whole_to_decimal(left, right),
            (Decimal(left), Whole(right)) => whole_to_decimal(right, left).reverse(),
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self == Whole(0)
    }
}

/// The decimal is no whole number in the range of whole ones, so the two are never equal.
fn whole_to_decimal(whole: i128, decimal: f64) -> Ordering {
    // What is too large for the conversion becomes the largest, which is beyond all whole numbers too.
    if whole <= decimal.floor() as i128 { Ordering::Less } else { Ordering::Greater }
}

fn of_whole(left: i128, operator: Operator, right: i128) -> Result<Number, NumberError> {
    // No product of two numbers of 64 bits leaves 128.
    let result = match operator {
        Operator::Add => Some(left + right),
        Operator::Subtract => Some(left - right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide | Operator::DivideDown | Operator::Remainder if right == 0 => {
            return Err(NumberError::ByZero);
        }
        Operator::Divide if left % right == 0 => Some(left / right),
        Operator::Divide => return of_decimals(Whole(left).exact()?, operator, Whole(right).exact()?),
        Operator::DivideDown => Some(floor_div(left, right)),
        Operator::Remainder => Some(left - right * floor_div(left, right)),
        Operator::Power if right >= 0 => {
            u32::try_from(right).ok().and_then(|exponent| left.checked_pow(exponent))
        }
        Operator::Power => return of_decimals(Whole(left).exact()?, operator, Whole(right).exact()?),
    };
    result.and_then(Number::whole).ok_or(NumberError::TooLarge)
}

fn floor_div(left: i128, right: i128) -> i128 {
    let quotient = left / right;
    if left % right != 0 && (left < 0) != (right < 0) { quotient - 1 } else { quotient }
}

fn of_decimals(left: f64, operator: Operator, right: f64) -> Result<Number, NumberError> {
    let divides = matches!(operator, Operator::Divide | Operator::DivideDown | Operator::Remainder);
    if divides && right == 0.0 {
        return Err(NumberError::ByZero);
    }
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::DivideDown => (left / right).floor(),
        Operator::Remainder => {
            let remainder = left % right;
            if remainder != 0.0 && (remainder < 0.0) != (right < 0.0) { remainder + right } else { remainder }
        }
        Operator::Power => left.powf(right),
    };
    if result.is_nan() {
        return Err(NumberError::NoPower);
    }
    // Beyond, not even whole numbers are exact.
    if result.abs() > EXACT {
        return Err(NumberError::TooLarge);
    }
    Number::decimal(result).ok_or(NumberError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        Number::read(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn arithmetic_is_exact_or_refused() {
        use Operator::{Add, Divide, DivideDown, Multiply, Power, Remainder, Subtract};
        for (left, operator, right, result) in [
            ("2", Add, "3", Ok("5")),
            ("2.5", Add, "0.5", Ok("3")),
            ("9223372036854775807", Add, "1", Ok("9223372036854775808")),
            ("18446744073709551615", Add, "1", Err(NumberError::TooLarge)),
            ("-9223372036854775808", Subtract, "1", Err(NumberError::TooLarge)),
            ("4294967296", Multiply, "4294967296", Err(NumberError::TooLarge)),
            ("9007199254740993", Add, "0.5", Err(NumberError::Inexact)),
            ("9007199254740992", Multiply, "1.5", Err(NumberError::TooLarge)),
            ("10", Divide, "4", Ok("2.5")),
            ("10", Divide, "5", Ok("2")),
            ("18446744073709551614", Divide, "2", Ok("9223372036854775807")),
            ("18446744073709551615", Divide, "2", Err(NumberError::Inexact)),
            ("1", Divide, "0", Err(NumberError::ByZero)),
            ("1.5", Remainder, "0", Err(NumberError::ByZero)),
            ("-7", DivideDown, "2", Ok("-4")),
            ("-7", Remainder, "2", Ok("1")),
            ("7", Remainder, "-2", Ok("-1")),
            ("7.5", Remainder, "2", Ok("1.5")),
            ("7.5", DivideDown, "2", Ok("3")),
            ("2", Power, "10", Ok("1024")),
            ("2", Power, "-1", Ok("0.5")),
            ("2", Power, "64", Err(NumberError::TooLarge)),
            ("1", Power, "18446744073709551615", Err(NumberError::TooLarge)),
            ("-2", Power, "0.5", Err(NumberError::NoPower)),
            ("0", Power, "-1", Err(NumberError::TooLarge)),
            ("1e308", Multiply, "10", Err(NumberError::TooLarge)),
        ] {
            let found =
                number(left).apply(operator, number(right)).map(|number| number.to_json().to_string());
            assert_eq!(found.as_deref(), result.as_ref().copied(), "{left} {} {right}", operator.sign());
        }
    }

    #[test]
    fn numbers_are_ordered_by_their_exact_value() {
        let ascending = [
            "-1e300",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "0",
            "0.5",
            "1",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "1e300",
        ];
        for (left, first) in ascending.iter().enumerate() {
            for (right, second) in ascending.iter().enumerate() {
                assert_eq!(number(first).order(number(second)), left.cmp(&right), "{first} {second}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_two_numbers_give_what_is_no_number(
            left in prop_oneof![any::<i64>().prop_map(serde_json::Number::from), any::<u64>().prop_map(serde_json::Number::from), any::<f64>().prop_filter_map("finite", serde_json::Number::from_f64)],
            right in prop_oneof![(-3..70_i64).prop_map(serde_json::Number::from), any::<u64>().prop_map(serde_json::Number::from), any::<f64>().prop_filter_map("finite", serde_json::Number::from_f64)],
        ) {
            use Operator::{Add, Divide, DivideDown, Multiply, Power, Remainder, Subtract};
            let (left, right) = (Number::read(&left).unwrap(), Number::read(&right).unwrap());
            for operator in [Add, Subtract, Multiply, Divide, DivideDown, Remainder, Power] {
                if let Ok(result) = left.apply(operator, right) {
                    prop_assert_eq!(Number::read(&result.to_json()), Some(result));
                }
            }
        }
    }
}
