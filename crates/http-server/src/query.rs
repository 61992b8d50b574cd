//! The query of an address: what it does not take is refused, since a parameter with a typo would else ask for nothing.

use crate::problem::Problem;
use automation_domain::problem::nearest_hint;

/// Characters of a parameter's name that an answer repeats.
const NAMED_CHARACTERS: usize = 40;

/// Refuses parameters other than `known`.
///
/// # Errors
///
/// The problem `invalid_query`, which names the parameter and the nearest known one.
pub fn check(query: Option<&str>, known: &[&str]) -> Result<(), Problem> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut names = pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let Some(name) = names.find(|name| !known.contains(name)) else { return Ok(()) };
    let (hint, shown) = (nearest_hint(name, known.iter().copied()), known.join(", "));
    let name: String = name.chars().take(NAMED_CHARACTERS).collect();
    let detail = format!("there is no parameter \"{name}\"{hint}; this address takes {shown}");
    Err(Problem::bad_request("invalid_query", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_there_is_none_of_is_named_with_the_nearest() {
        for good in [None, Some(""), Some("validate"), Some("validate=true&"), Some("validate=a=b")] {
            assert!(check(good, &["validate"]).is_ok(), "{good:?}");
        }
        let long = "x".repeat(5_000);
        for (query, named) in [
            ("validte=true", "\"validte\" (did you mean \"validate\"?); this address takes validate"),
            ("validate=true&Validate", "\"Validate\" (did you mean"),
            ("a=b", "\"a\"; this"),
            ("=b", "\"\"; this"),
            (long.as_str(), &format!("\"{}\"; this", "x".repeat(40))),
        ] {
            let problem = check(Some(query), &["validate"]).unwrap_err();
            assert_eq!((problem.code(), problem.status().as_u16()), ("invalid_query", 400));
            let told = serde_json::to_value(&problem).unwrap()["detail"].to_string().replace("\\\"", "\"");
            assert!(told.contains(named), "{told}");
        }
    }
}
