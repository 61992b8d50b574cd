//! Whatever a server makes of a secret that it says back, nothing of it remains.

use super::Mask;
use crate::Authorization;
use automation_domain::credential::Scheme;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

fn mask(secret: &str) -> Mask {
    let scheme = Scheme::Query { name: "key".to_owned() };
    Mask::new(Some(&Authorization::new(scheme, vec![], secret.as_bytes()).unwrap()))
}

/// One way to write a character, of many.
fn written(character: char, way: u8) -> String {
    let mut halves = [0; 2];
    let unicode = |halves: &mut [u16; 2]| {
        character.encode_utf16(halves).iter().map(|half| format!("\\u{half:04x}")).collect::<String>()
    };
    let percent = || {
        let mut bytes = [0; 4];
        character.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()
    };
    match way % 6 {
        0 => percent(),
        1 => unicode(&mut halves),
        2 => format!("&#{};", u32::from(character)),
        3 => format!("&#x{:X};", u32::from(character)),
        4 if matches!(character, '"' | '\\' | '/') => format!("\\{character}"),
        4 | 5 => character.to_string(),
        _ => unreachable!("six ways"),
    }
}

/// What a program does with a whole text on its way back.
fn wrapped(text: &str, way: u8) -> String {
    match way % 4 {
        0 => text.to_owned(),
        // A JSON text inside a JSON text.
        1 => Value::from(text).to_string(),
        2 => text.replace('%', "%25").replace('\\', "%5C"),
        3 => text.replace('&', "&amp;"),
        _ => unreachable!("four ways"),
    }
}

proptest! {
    #[test]
    fn nothing_remains_of_a_secret_that_is_said_back(
        secret in "[a-zA-Z0-9/+=\"\\\\&%<> \u{e4}\u{20ac}\u{1f600}]{8,24}",
        ways in prop::collection::vec(any::<u8>(), 24),
        around in any::<u8>(),
        before in "[ a-z,:{]{0,6}",
    ) {
        let echo: String = secret.chars().zip(&ways).map(|(character, way)| written(character, *way)).collect();
        let echo = wrapped(&echo, around);
        let masked = mask(&secret).text(&format!("{before}\u{1}{echo}\u{1}")).into_owned();
        let inner = masked.split('\u{1}').nth(1).unwrap_or_default();
        let rest = inner.trim_matches('"');
        prop_assert_eq!(rest, "***", "{} as {}", secret, echo);
    }

    #[test]
    fn nothing_remains_of_a_secret_in_json(
        secret in "[a-zA-Z0-9/+\"\\\\\u{e4}]{8,24}", depth in 0_usize..3,
    ) {
        let mut value = json!({ "a": [secret.clone(), 1], secret.clone(): { "b": format!("x{secret}y") } });
        for _ in 0..depth {
            value = json!({ "text": value.to_string(), "more": STANDARD.encode(format!("u:{secret}")) });
        }
        let mask = mask(&secret);
        prop_assert!(mask.json(&mut value));
        let text = value.to_string();
        let encoded = [secret.clone(), Value::from(secret.as_str()).to_string().trim_matches('"').to_owned()];
        for form in encoded {
            prop_assert!(!text.contains(&form), "{} in {}", form, text);
        }
        prop_assert!(!text.contains(&URL_SAFE_NO_PAD.encode(&secret)), "{}", text);
    }

    #[test]
    fn nothing_remains_of_a_secret_that_is_a_number(
        secret in "[0-9]{8,18}", way in 0_u8..4, before in "[a-z ]{0,4}",
    ) {
        prop_assume!(secret.bytes().any(|byte| byte != b'0'));
        let number: u64 = secret.parse().unwrap();
        let (mut value, text) = match way {
            0 => (json!({ "pin": number }), number.to_string()),
            1 => (json!([[number as f64]]), format!("{:e}", number as f64)),
            2 => (json!({ "text": format!("{{\"pin\": {number}}}") }), format!("{before}{number}")),
            _ => (json!({ "pin": -i64::try_from(number).unwrap() }), format!("{number}.0")),
        };
        let mask = mask(&secret);
        prop_assert!(mask.json(&mut value), "{}", value);
        prop_assert!(!value.to_string().contains(&number.to_string()), "{}", value);
        prop_assert!(mask.text(&text).contains("***"), "{}", text);
    }
}
