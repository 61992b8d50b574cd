//! Paths into JSON: one notation for the fields of conditions and templates and for `save`.
//!
//! - `event.data.items[0].sku`: names after dots, members of lists by number from 0. `items.0` is the same.
//! - `event.data["a.b"]`: a name that holds anything but letters, digits, `_` and `-` stands in quotes, double or single,
//!   with the escapes of JSON.
//!
//! What cannot be meant is refused with what to write: blanks at the ends, `items.*`, `items[]`, `items[-1]`.

use crate::quoted;
use serde_json::Value;
use std::fmt;

/// A parsed path; its text is the canonical one, the same for all ways to write the path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Path {
    segments: Vec<String>,
}

/// Why a text is no path, as the end of a sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PathError(String);

/// Most names and numbers of a path: JSON is not nested deeper.
const MAX_SEGMENTS: usize = 128;

/// Characters that mean something in a path, or were meant to.
const MARKS: [char; 9] = ['.', '[', ']', '"', '\'', '*', '{', '}', '|'];

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// What is wrong, with what to write.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut path = Self::default();
        if text.trim() != text {
            return Err(PathError("it has blanks at its ends".to_owned()));
        }
        let mut rest = text;
        loop {
            // At the beginning and behind each dot.
            let name = rest.split(is_end).next().unwrap_or_default();
            rest = &rest[name.len()..];
            path.segments.push(checked_name(name, rest)?.to_owned());
            while let Some(inside) = rest.strip_prefix('[').filter(|_| path.segments.len() <= MAX_SEGMENTS) {
                let (segment, behind) = bracketed(inside)?;
                path.segments.push(segment);
                rest = behind;
            }
            if path.segments.len() > MAX_SEGMENTS {
                return Err(PathError(format!("it has more than {MAX_SEGMENTS} names")));
            }
            match rest.strip_prefix('.') {
                Some(behind) => rest = behind,
                None if rest.is_empty() => return Ok(path),
                None => {
                    return Err(PathError(format!(
                        "after ] comes . or [ or nothing, and not {}",
                        first(rest)
                    )));
                }
            }
        }
    }

    /// The path of these names and numbers.
    pub(crate) fn of(segments: Vec<String>) -> Self {
        Self { segments }
    }

    /// Its names and numbers.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// What it leads to in `value`.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.segments.iter().try_fold(value, |value, segment| member(value, segment))
    }
}

/// Canonical: `a.b[0]["c.d"]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            match kind(segment) {
                Kind::Number if index > 0 => write!(f, "[{segment}]")?,
                Kind::Name if index > 0 => write!(f, ".{segment}")?,
                Kind::Other if index > 0 => write!(f, "[{}]", Value::from(segment.as_str()))?,
                Kind::Number | Kind::Name | Kind::Other => f.write_str(segment)?,
            }
        }
        Ok(())
    }
}

/// The member of an object by its name, or of a list by its number.
pub fn member<'v>(value: &'v Value, segment: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(segment),
        Value::Array(items) => items.get(number(segment)?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The number that a segment is, written as numbers are: `0`, not `00` or `+1`.
pub(crate) fn number(segment: &str) -> Option<usize> {
    let is_number =
        (segment == "0" || !segment.starts_with('0')) && segment.bytes().all(|b| b.is_ascii_digit());
    if is_number { segment.parse().ok() } else { None }
}

enum Kind {
    Number,
    /// Can stand without quotes, in templates too.
    Name,
    Other,
}

fn kind(segment: &str) -> Kind {
    if number(segment).is_some() {
        return Kind::Number;
    }
    if is_name(segment) { Kind::Name } else { Kind::Other }
}

/// Whether a name stands without quotes, in templates too.
pub(crate) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(starts_name) && characters.all(continues_name)
}

/// Whether a name without quotes may begin with this, in templates too.
pub(crate) fn starts_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

/// Whether a name without quotes may go on with this, in templates too.
pub(crate) fn continues_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_end(character: char) -> bool {
    MARKS.contains(&character) || character.is_whitespace() || character.is_control()
}

/// A name without quotes, which `rest` follows.
fn checked_name<'n>(name: &'n str, rest: &str) -> Result<&'n str, PathError> {
    let fault = match rest.chars().next() {
        Some('*') => {
            "* stands for nothing: there are no paths to several members; name one, as in items[0]".to_owned()
        }
        Some('[') if name.is_empty() => "a name is missing before [".to_owned(),
        None | Some('.' | '[') if !name.is_empty() => return Ok(name),
        None | Some('.') => "a name is missing before or after a dot".to_owned(),
        Some(_) => format!(
            "{} cannot stand in a name without quotes: write [\"…\"] around the name, as in data[\"a b\"]",
            first(rest)
        ),
    };
    Err(PathError(fault))
}

/// What stands in brackets, and what follows them; `inside` begins behind the opening one.
fn bracketed(inside: &str) -> Result<(String, &str), PathError> {
    if inside.starts_with(['"', '\'']) {
        let (name, length) = quoted::read(inside).map_err(|fault| PathError(fault.to_owned()))?;
        let rest = inside[length..].strip_prefix(']');
        return rest
            .map(|rest| (name, rest))
            .ok_or_else(|| PathError("] is missing after the quotes".to_owned()));
    }
    let (content, rest) =
        inside.split_once(']').ok_or_else(|| PathError("] is missing after [".to_owned()))?;
    if number(content).is_some() {
        return Ok((content.to_owned(), rest));
    }
    let fault = if content.starts_with('-') {
        format!("[{content}] is not a number: lists are counted from 0")
    } else {
        format!("[{content}] is neither a number nor a name in quotes: write [0] or [\"…\"]")
    };
    Err(PathError(fault))
}

/// The first character, as it can be shown.
fn first(text: &str) -> String {
    match text.chars().next() {
        Some(' ') => "a blank".to_owned(),
        Some(character) if character.is_whitespace() || character.is_control() => {
            format!("the character U+{:04X}", u32::from(character))
        }
        Some(character) => character.to_string(),
        None => "the end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn all_ways_to_write_a_path_come_to_the_same() {
        for (text, segments, canonical) in [
            ("a", &["a"][..], "a"),
            ("a.b_1.ä", &["a", "b_1", "ä"], "a.b_1.ä"),
            ("a.items[0].sku", &["a", "items", "0", "sku"], "a.items[0].sku"),
            ("a.items.0.sku", &["a", "items", "0", "sku"], "a.items[0].sku"),
            (r#"a["b.c"]"#, &["a", "b.c"], r#"a["b.c"]"#),
            ("a['b c'][10]['d']", &["a", "b c", "10", "d"], r#"a["b c"][10].d"#),
            ("a.b-c", &["a", "b-c"], r#"a["b-c"]"#),
            (r#"a["it's \"so\""]"#, &["a", "it's \"so\""], r#"a["it's \"so\""]"#),
            ("a.00.@type.$x", &["a", "00", "@type", "$x"], r#"a["00"]["@type"]["$x"]"#),
        ] {
            let path = Path::parse(text).unwrap();
            assert_eq!(
                (path.segments(), path.to_string().as_str()),
                (&*segments.iter().map(ToString::to_string).collect::<Vec<_>>(), canonical),
                "{text}"
            );
            assert_eq!(Path::parse(canonical).as_ref(), Ok(&path), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        let texts = [
            "", " a", "a.b ", "a..b", "a.", ".a", "a.*", "a[*]", "a[]", "a[-1]", "a[x]", "a[01]", "a[0",
            "a[0]b", "a[\"b]", "a[\"b\"", "[0]", "a.b c", "a.b\tc", "a.\"b\"", "a]", "a.{b}", "a | b",
            "a.[0]",
        ];
        let errors: Vec<String> =
            texts.iter().map(|text| format!("{text:?}: {}", Path::parse(text).unwrap_err())).collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        "": a name is missing before or after a dot
        " a": it has blanks at its ends
        "a.b ": it has blanks at its ends
        "a..b": a name is missing before or after a dot
        "a.": a name is missing before or after a dot
        ".a": a name is missing before or after a dot
        "a.*": * stands for nothing: there are no paths to several members; name one, as in items[0]
        "a[*]": [*] is neither a number nor a name in quotes: write [0] or ["…"]
        "a[]": [] is neither a number nor a name in quotes: write [0] or ["…"]
        "a[-1]": [-1] is not a number: lists are counted from 0
        "a[x]": [x] is neither a number nor a name in quotes: write [0] or ["…"]
        "a[01]": [01] is neither a number nor a name in quotes: write [0] or ["…"]
        "a[0": ] is missing after [
        "a[0]b": after ] comes . or [ or nothing, and not b
        "a[\"b]": the closing quote is missing
        "a[\"b\"": ] is missing after the quotes
        "[0]": a name is missing before [
        "a.b c": a blank cannot stand in a name without quotes: write ["…"] around the name, as in data["a b"]
        "a.b\tc": the character U+0009 cannot stand in a name without quotes: write ["…"] around the name, as in data["a b"]
        "a.\"b\"": " cannot stand in a name without quotes: write ["…"] around the name, as in data["a b"]
        "a]": ] cannot stand in a name without quotes: write ["…"] around the name, as in data["a b"]
        "a.{b}": { cannot stand in a name without quotes: write ["…"] around the name, as in data["a b"]
        "a | b": a blank cannot stand in a name without quotes: write ["…"] around the name, as in data["a b"]
        "a.[0]": a name is missing before [
        "#);
    }

    #[test]
    fn members_are_found_by_name_and_number() {
        let value = json!({ "a.b": { "items": [{ "sku": "x" }] }, "7": 1, "null": null });
        let find = |text| Path::parse(text).unwrap().find(&value);
        assert_eq!(find("x"), None);
        let value = json!({ "v": value });
        let find = |text| Path::parse(text).unwrap().find(&value).cloned();
        assert_eq!(find(r#"v["a.b"].items[0].sku"#), Some(json!("x")));
        assert_eq!(find("v[7]"), Some(json!(1)));
        assert_eq!(find("v.null"), Some(json!(null)));
        for missing in
            ["v.a.b", "v[\"a.b\"].items[1]", "v[\"a.b\"].items.sku", "v[\"a.b\"].items[\"00\"]", "v.null.x"]
        {
            assert_eq!(find(missing), None, "{missing}");
        }
    }

    #[test]
    fn a_path_is_no_longer_than_json_is_deep() {
        for segment in [".a", ".0", "[0]", "[\"a\"]"] {
            assert!(Path::parse(&format!("a{}", segment.repeat(127))).is_ok(), "{segment}");
            assert!(Path::parse(&format!("a{}", segment.repeat(100_000))).is_err(), "{segment}");
        }
    }

    proptest! {
        #[test]
        fn any_key_of_json_can_be_reached(keys in prop::collection::vec("\\PC{1,8}|[.\\[\\]\"' \\\\]{1,3}", 1..4)) {
            let mut segments = vec!["root".to_owned()];
            segments.extend(keys.iter().cloned());
            let path = Path::of(segments);
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path.clone()));
            let value = path.segments().iter().rev().fold(json!(1), |value, key| json!({ (key): value }));
            prop_assert_eq!(path.find(&value), Some(&json!(1)));
        }

        #[test]
        fn any_text_gives_an_answer(text in "[a.\\[\\]\"'*0 \\\\-]{0,12}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
