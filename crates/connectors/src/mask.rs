//! Blanking a secret out of what comes back: some servers repeat what they were sent.

use crate::Authorization;
use serde_json::{Map, Value};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// What stands where a secret stood.
const BLANK: &str = "***";

/// Knows every form of a request's secret.
pub(crate) struct Mask {
    forms: Vec<Zeroizing<String>>,
}

impl Mask {
    pub(crate) fn new(authorization: Option<&Authorization>) -> Self {
        let mut forms = authorization.map(Authorization::forms).unwrap_or_default();
        // The longest first: one form may be part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// Length of the longest form, in bytes: where a text was cut, so much of its end may be part of a secret.
    pub(crate) fn longest(&self) -> usize {
        self.forms.first().map_or(0, |form| form.len())
    }

    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for form in &self.forms {
            if masked.contains(form.as_str()) {
                masked = Cow::Owned(masked.replace(form.as_str(), BLANK));
            }
        }
        masked
    }

    /// Blanks every string and key; says whether there was anything to blank.
    pub(crate) fn json(&self, value: &mut Value) -> bool {
        if self.forms.is_empty() {
            return false;
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
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
    use automation_domain::credential::Scheme;
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
        ] {
            let masked = mask().text(text).into_owned();
            assert!(masked.starts_with("x ***") && masked.ends_with(" y"), "{masked}");
        }
        assert!(matches!(mask().text("canary"), Cow::Borrowed("canary")));
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
