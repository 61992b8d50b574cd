//! Blanking a secret out of what comes back: some servers repeat what they were sent.

mod form;
mod number;
#[cfg(test)]
mod properties;

pub(crate) use form::Form;
pub(crate) use number::Number;

use crate::Authorization;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What stands where a secret stood.
const BLANK: &str = "***";

/// Knows every form of a request's secret.
pub(crate) struct Mask {
    forms: Vec<Form>,
    number: Option<Number>,
}

impl Mask {
    pub(crate) fn new(authorization: Option<&Authorization>) -> Self {
        let mut forms = authorization.map(Authorization::forms).unwrap_or_default();
        // The longest first: one form may be part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.longest()));
        Self { forms, number: authorization.and_then(Authorization::number) }
    }

    /// Length of the longest form, in bytes: where a text was cut, so much of its end may be part of a secret.
    pub(crate) fn longest(&self) -> usize {
        self.forms.first().map_or(0, Form::longest)
    }

    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for form in &self.forms {
            if let Some(blanked) = form.replace(&masked, BLANK) {
                masked = Cow::Owned(blanked);
            }
        }
        if let Some(number) = &self.number
            && let Cow::Owned(blanked) = number.replace(&masked, BLANK)
        {
            masked = Cow::Owned(blanked);
        }
        masked
    }

    /// Blanks every string, number and key; says whether there was anything to blank.
    pub(crate) fn json(&self, value: &mut Value) -> bool {
        if self.forms.is_empty() {
            return false;
        }
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => {
                let Cow::Owned(masked) = self.text(&number.to_string()) else { return false };
                *value = masked.into();
                true
            }
            Value::String(text) => {
                let Cow::Owned(masked) = self.text(text) else { return false };
                *text = masked;
                true
            }
            Value::Array(items) => self.all(items.iter_mut()),
            Value::Object(members) => {
                let mut found = self.all(members.values_mut());
                if members.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
                    let all = std::mem::take(members).into_iter();
                    *members =
                        all.map(|(key, value)| (self.text(&key).into_owned(), value)).collect::<Map<_, _>>();
                    found = true;
                }
                found
            }
        }
    }
}

impl Mask {
    /// Blanks every one of them, also after the first that had something to blank.
    fn all<'v>(&self, values: impl Iterator<Item = &'v mut Value>) -> bool {
        values.map(|value| self.json(value)).filter(|masked| *masked).count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use automation_domain::credential::Scheme;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE;
    use serde_json::json;

    fn mask() -> Mask {
        let scheme = Scheme::Basic { username: "shop".to_owned() };
        Mask::new(Some(&Authorization::new(scheme, vec![], b"canary/secret").unwrap()))
    }

    #[test]
    fn every_form_is_blanked() {
        for text in [
            "x canary/secret y",
            "x Y2FuYXJ5L3NlY3JldA== y",
            "x c2hvcDpjYW5hcnkvc2VjcmV0 y",
            "x canary%2Fsecret y",
            "x canary%2fsecret y",
            "x %63anary/%73ecret y",
            "x canary\\/secret y",
            "x \\u0063anary\\x2fsecret y",
            "x canary\\\\\\/secret y",
            "x canary&#47;secret y",
            "x canary&#x2F;secret y",
            "x 63616e6172792f736563726574 y",
            "x 63616E6172792F736563726574 y",
            "x Y2FuYXJ5\r\nL3NlY3JldA== y",
        ] {
            let masked = mask().text(text).into_owned();
            assert!(masked.starts_with("x ***") && masked.ends_with(" y"), "{masked}");
        }
        assert!(matches!(mask().text("canary"), Cow::Borrowed("canary")));
    }

    #[test]
    fn what_escapes_are_made_of_may_be_in_a_secret() {
        for secret in
            ["50%25off&amp;\\n++", "%%%%%%%%%%%%", "a b+c d-_/x", "\"<'quoted'>\"", "p\u{e4}ss w\u{f6}rter"]
        {
            let scheme = Scheme::Query { name: "key".to_owned() };
            let mask = Mask::new(Some(&Authorization::new(scheme, vec![], secret.as_bytes()).unwrap()));
            let html =
                secret.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
            let mut url = reqwest::Url::parse("http://x/").unwrap();
            url.query_pairs_mut().append_key_only(secret);
            let safe = URL_SAFE.encode(format!(">>{secret}"));
            for echo in [secret, &html, url.query().unwrap(), &safe] {
                let masked = mask.text(&format!("x {echo} y")).into_owned();
                assert!(masked.contains("***") && !masked.contains(&echo[4..]), "{secret}: {echo}: {masked}");
            }
        }
    }

    fn mask_of(secret: &str) -> Mask {
        let scheme = Scheme::Query { name: "key".to_owned() };
        Mask::new(Some(&Authorization::new(scheme, vec![], secret.as_bytes()).unwrap()))
    }

    /// What would take time with the square of the length would take hours here.
    #[test]
    fn a_large_text_of_what_may_be_skipped_takes_no_time() {
        const SIZE: usize = 1024 * 1024;
        let begun = clock::now();
        for text in ["\n", "\\", "&#", "63\n\n\n"] {
            let text = text.repeat(SIZE / text.len());
            assert!(matches!(mask().text(&text), Cow::Borrowed(_)), "{}", &text[..8]);
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_text_full_of_beginnings_is_searched_in_few_steps_or_blanked_as_a_whole() {
        assert!(matches!(mask_of(&"%25".repeat(400)).text(&"%2".repeat(20_000)), Cow::Borrowed(_)));
        for beginning in ["a", "\\", "%25", "ab"] {
            let secret = format!("{}!", beginning.repeat(1_000));
            assert_eq!(mask_of(&secret).text(&beginning.repeat(20_000)), "***", "{beginning}");
        }
    }

    #[test]
    fn nothing_that_is_blanked_is_longer_than_the_longest() {
        let mask = mask();
        for written in [
            format!("{}u002f", "\\".repeat(8)),
            format!("{}/", "\\".repeat(8)),
            "&#x0002F;".to_owned(),
            "&#00047;".to_owned(),
        ] {
            let echo = format!("canary{written}secret");
            assert_eq!(mask.text(&echo), "***", "{echo}");
            let all = "canary/secret".len() * written.len();
            assert!(all <= mask.longest(), "{written}: {all}");
        }
        // More than that is not read as an escape, however long it is.
        assert!(matches!(mask.text(&format!("canary{}/secret", "\\".repeat(9))), Cow::Borrowed(_)));
        for form in &mask.forms {
            let text = |bytes: &[u8], between: &str| {
                bytes.iter().map(|byte| char::from(*byte).to_string()).collect::<Vec<_>>().join(between)
            };
            for echo in [
                text(b"63616e6172792f736563726574", "\r\n"),
                text(b"Y2FuYXJ5L3NlY3JldA", "\r\n"),
                text(b"c2hvcDpjYW5hcnkvc2VjcmV0", "\r\n"),
            ] {
                let Some(masked) = form.replace(&echo, "") else { continue };
                assert!(echo.len() - masked.len() <= form.longest(), "{echo}");
            }
        }
    }

    #[test]
    fn json_is_blanked_in_strings_and_keys() {
        let mut value = json!({"a": ["canary/secret", 1, null], "canary/secret": {"b": "is canary/secret"}});
        assert!(mask().json(&mut value));
        assert_eq!(value, json!({"a": ["***", 1, null], "***": {"b": "is ***"}}));
        assert!(!mask().json(&mut json!({"a": "fine"})));
        assert!(!Mask::new(None).json(&mut json!("canary/secret")));
    }
}
