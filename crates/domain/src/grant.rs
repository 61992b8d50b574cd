//! Who may publish which event types, and names of publishers that are no users of the broker.

/// The name under which an API key is granted its types. No user of the broker has a name like it.
pub fn api_key_publisher(name: &str) -> String {
    format!("apikey:{name}")
}

/// The name under which a webhook is granted its one type.
pub fn hook_publisher(name: &str) -> String {
    format!("hook:{name}")
}

/// Whether a publisher is an API key or a webhook, whose grants come and go with it.
pub fn is_engine_made(publisher: &str) -> bool {
    publisher.starts_with("apikey:") || publisher.starts_with("hook:")
}

/// Whether the name of an API key or webhook is one: a letter or digit, then also `-` and `_`, at most 64 characters.
pub fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&name.len())
        && name.bytes().next().is_some_and(is_word)
        && name.bytes().all(|byte| is_word(byte) || byte == b'-' || byte == b'_')
}

/// Whether one of the patterns, each an event type or its beginning and a `*`, covers this type.
pub fn allows(patterns: &[String], event_type: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => event_type.starts_with(beginning),
        None => pattern == event_type,
    })
}

/// The patterns as one regular expression over whole types, as brokers take it.
pub fn regular_expression(patterns: &[String]) -> String {
    let one = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => format!("{}.*", escaped(beginning)),
        None => escaped(pattern),
    };
    match patterns {
        [] => "^$".to_owned(),
        all if all.iter().any(|pattern| pattern == "*") => ".*".to_owned(),
        all => format!("^({})$", all.iter().map(one).collect::<Vec<_>>().join("|")),
    }
}

/// Of the characters that a pattern may have, only the dot means something in a regular expression.
fn escaped(text: &str) -> String {
    text.replace('.', r"\.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn patterns(all: &[&str]) -> Vec<String> {
        all.iter().map(|pattern| (*pattern).to_owned()).collect()
    }

    #[test]
    fn a_pattern_is_a_type_or_its_beginning() {
        let grant = patterns(&["form.*", "order.created"]);
        for (event_type, expected) in [
            ("form.submitted", true),
            ("order.created", true),
            ("order.created.twice", false),
            ("order", false),
            ("forms.submitted", false),
        ] {
            assert_eq!(allows(&grant, event_type), expected, "{event_type}");
        }
        assert!(allows(&patterns(&["*"]), "anything") && !allows(&[], "anything"));
    }

    #[test]
    fn names_are_told_from_users_of_the_broker() {
        assert!(is_engine_made(&api_key_publisher("shop")) && is_engine_made(&hook_publisher("stripe")));
        assert!(!is_engine_made("shop"));
        assert!(
            is_name("shop-2")
                && !is_name("")
                && !is_name("-a")
                && !is_name("a:b")
                && !is_name(&"a".repeat(65))
        );
    }

    proptest! {
        #[test]
        fn the_expression_covers_what_the_patterns_cover(
            all in prop::collection::vec("[ab]{1,2}(\\.[ab]{1,2})?\\*?", 0..4), event_type in "[ab]{1,2}(\\.[ab]{1,2}){0,2}"
        ) {
            let expression = regex::Regex::new(&regular_expression(&all)).unwrap();
            prop_assert_eq!(expression.is_match(&event_type), allows(&all, &event_type));
        }
    }
}
