//! Where the members of a batch begin and end, also when one of them is no JSON.
//!
//! Only structure counts. A member ends where its brackets are closed, each by one of its own kind, those within strings
//! aside; what begins with neither bracket nor quote ends before white space, a comma or a bracket. It is told apart when
//! a comma or the closing bracket of the array follows. Else nobody can say where it ends: from its beginning on, the rest
//! is one piece.

use crate::json::string_end;
use std::ops::Range;

/// A batch, taken apart. What stands between the pieces is white space, commas and the brackets of the array.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Pieces {
    /// Members that are told apart.
    pub(super) members: Vec<Range<usize>>,
    /// What comes after them and is not; never empty.
    pub(super) rest: Option<Range<usize>>,
}

/// Takes a batch apart, as far as `most` members; `None` when it is no array.
pub(super) fn split(body: &[u8], most: usize) -> Option<Pieces> {
    let mut at = after_space(body, 0);
    if body.get(at) != Some(&b'[') {
        return None;
    }
    let mut pieces = Pieces::default();
    at = after_space(body, at + 1);
    let mut is_open = body.get(at) != Some(&b']');
    if !is_open {
        at += 1;
    }
    while is_open && pieces.members.len() < most {
        let begin = after_space(body, at);
        let end = value_end(body, begin);
        let next = end.map(|end| after_space(body, end));
        match (end, next.and_then(|next| body.get(next))) {
            (Some(end), Some(b',' | b']')) if end > begin => pieces.members.push(begin..end),
            (_, _) => {
                // Of a batch that ends behind a comma, the comma is what is left.
                pieces.rest = Some(begin.min(body.len().saturating_sub(1))..body.len());
                return Some(pieces);
            }
        }
        let next = next.unwrap_or(body.len());
        is_open = body.get(next) == Some(&b',');
        at = next + 1;
    }
    let rest = after_space(body, at);
    pieces.rest = (rest < body.len()).then_some(rest..body.len());
    Some(pieces)
}

fn after_space(body: &[u8], at: usize) -> usize {
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + body[at.min(body.len())..].iter().take_while(is_space).count()
}

/// Where the value ends that begins at `begin`; `None` when a string or bracket is not closed, or by another kind.
fn value_end(body: &[u8], begin: usize) -> Option<usize> {
    let (mut at, mut closing) = (begin, Vec::new());
    loop {
        let byte = *body.get(at)?;
        match byte {
            b'"' => {
                at = string_end(body, at)?;
                if closing.is_empty() {
                    return Some(at);
                }
                continue;
            }
            b'{' => closing.push(b'}'),
            b'[' => closing.push(b']'),
            b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' if closing.is_empty() => return Some(at),
            b'}' | b']' => {
                if closing.pop() != Some(byte) {
                    return None;
                }
                if closing.is_empty() {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    fn told(text: &str) -> Option<(Vec<&str>, Option<&str>)> {
        let pieces = split(text.as_bytes(), usize::MAX)?;
        let members = pieces.members.into_iter().map(|range| &text[range]).collect();
        Some((members, pieces.rest.map(|range| &text[range])))
    }

    #[test]
    fn a_broken_member_stands_alone_where_its_end_is_known() {
        for bad in [
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{a:1}"#,
            r#"{"a":tru}"#,
            r#"{"a":01}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"raw\nline\"}",
            r#"{"a":"]},{["}"#,
            r#"{"a":"\"]},{["}"#,
            r#"{'a':1}"#,
            r#"{"a":[1 2]}"#,
            "nonsense",
            "1e400",
            r#""text""#,
            "[[]]",
        ] {
            let text = format!(" [ {{\"id\":1}} ,{bad}, {{\"id\":2}}\n] ");
            let expected = vec!["{\"id\":1}", bad, "{\"id\":2}"];
            assert_eq!(told(&text), Some((expected, None)), "{text}");
        }
    }

    #[test]
    fn from_a_member_without_an_end_on_the_rest_is_one_piece() {
        for (text, members, rest) in [
            (r#"[{},{"a":[1},{}]"#, 1, r#"{"a":[1},{}]"#),
            (r#"[{},{"a":"},{}]"#, 1, r#"{"a":"},{}]"#),
            (r#"[{},{"a":1},{}"#, 2, "{}"),
            (r#"[{},{} {}]"#, 1, "{} {}]"),
            (r#"[{},]"#, 1, "]"),
            (r#"[{},"#, 1, ","),
            (r#"[{}, "#, 1, " "),
            (r#"[{},,{}]"#, 1, ",{}]"),
            (r#"[{}}, {}]"#, 0, "{}}, {}]"),
            (r#"[{}] {}"#, 1, "{}"),
            (r#"[{}"#, 0, "{}"),
            (r#"["#, 0, "["),
            (r#"[{"a\"#, 0, r#"{"a\"#),
        ] {
            let found = told(text).unwrap();
            assert_eq!((found.0.len(), found.1), (members, Some(rest)), "{text}");
        }
        for none in ["", " ", "{}", "{\"a\":[]}", "x[]"] {
            assert_eq!(told(none), None, "{none}");
        }
        assert_eq!(told(" [ ] "), Some((vec![], None)));
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = r#"[a-z"\\{}\[\],: \n€]{0,8}"#;
        let leaf =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), text.prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text, inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn of_valid_json_the_members_are_those_that_a_parser_finds(
            members in prop::collection::vec((value(), "[ \t\r\n]{0,2}"), 0..6), pretty: bool,
        ) {
            let text = |value: &Value| if pretty { format!("{value:#}") } else { value.to_string() };
            let all: Vec<String> = members.iter().map(|(value, space)| format!("{space}{}{space}", text(value))).collect();
            let body = format!("[{}]", all.join(","));
            let parsed: Vec<&RawValue> = serde_json::from_str(&body).unwrap();
            let expected = parsed.into_iter().map(RawValue::get).collect::<Vec<_>>();
            prop_assert_eq!(told(&body), Some((expected, None)));
        }

        #[test]
        fn whatever_one_member_is_those_before_it_are_found_and_no_byte_is_lost(
            before in prop::collection::vec(value(), 0..4), bad in r#"[\[\]{}",:\\a1 €]{0,12}"#,
            after in prop::collection::vec(value(), 0..4),
        ) {
            let texts = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>();
            let all = [texts(&before), vec![bad], texts(&after)].concat();
            let body = format!("[{}]", all.join(","));
            let pieces = split(body.as_bytes(), usize::MAX).unwrap();
            let found: Vec<&str> = pieces.members.iter().map(|range| &body[range.clone()]).collect();
            prop_assert!(found.iter().zip(&texts(&before)).all(|(found, sent)| found == sent));
            prop_assert!(found.len() >= before.len());
            let mut at = 0;
            for piece in pieces.members.iter().chain(&pieces.rest) {
                prop_assert!(piece.start >= at && piece.end > piece.start);
                prop_assert!(body[at..piece.start].bytes().all(|byte| b" \t\r\n,[]".contains(&byte)), "{}", body);
                at = piece.end;
            }
            prop_assert!(body[at..].bytes().all(|byte| b" \t\r\n[]".contains(&byte)), "{}", body);
        }

        #[test]
        fn any_bytes_are_taken_apart_or_are_no_array(bytes in prop::collection::vec(any::<u8>(), 0..80), most in 0..4_usize) {
            let pieces = split(&bytes, most);
            prop_assert!(pieces.is_none_or(|pieces| pieces.members.len() <= most));
        }
    }
}
