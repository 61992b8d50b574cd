//! Where in a JSON text something stands, as a path: `data.items[3].name`.

use crate::path::is_name;

/// Most bytes of a path: keys are as long as their publisher likes.
const MOST_BYTES: usize = 200;

/// What is open at some place of a text.
enum Open {
    /// An object, and where the key of the current member stands, quotes included.
    Object { key: Option<(usize, usize)> },
    /// An array, and the index of the current item.
    Array { index: usize },
}

/// The path to the value that begins at `offset`, or within which `offset` lies; empty for the whole text.
///
/// `text` is valid JSON as far as `offset`.
pub(super) fn path_at(text: &[u8], offset: usize) -> String {
    let (mut open, mut at) = (Vec::new(), 0);
    let offset = offset.min(text.len());
    while at < offset {
        match text[at] {
            b'"' => {
                let Some(end) = string_end(text, at).filter(|end| *end <= offset) else { break };
                if let Some(Open::Object { key: key @ None }) = open.last_mut() {
                    *key = Some((at, end));
                }
                at = end;
                continue;
            }
            b'{' => open.push(Open::Object { key: None }),
            b'[' => open.push(Open::Array { index: 0 }),
            b'}' | b']' => drop(open.pop()),
            b',' => match open.last_mut() {
                Some(Open::Object { key }) => *key = None,
                Some(Open::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    written(text, &open)
}

/// Where a string ends that begins at `begin` with its quote: behind its last quote; `None` when it is not closed.
pub(crate) fn string_end(text: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn written(text: &[u8], open: &[Open]) -> String {
    let mut path = String::new();
    for open in open {
        match open {
            Open::Array { index } => path.push_str(&format!("[{index}]")),
            Open::Object { key: Some((begin, end)) } => push_key(&mut path, &text[*begin..*end]),
            Open::Object { key: None } => {}
        }
        if path.len() > MOST_BYTES {
            path.truncate(path.floor_char_boundary(MOST_BYTES));
            path.push('…');
            break;
        }
    }
    path
}

/// Appends a key as paths write it; one that is no name stays in quotes.
fn push_key(path: &mut String, quoted: &[u8]) {
    let quoted = String::from_utf8_lossy(quoted);
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    match (is_name(inner), path.is_empty()) {
        (true, true) => path.push_str(inner),
        (true, false) => path.push_str(&format!(".{inner}")),
        (false, _) => path.push_str(&format!("[{quoted}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path_to(text: &str, part: &str) -> String {
        path_at(text.as_bytes(), text.find(part).unwrap())
    }

    #[test]
    fn a_place_is_named_by_keys_and_indexes() {
        let text = r#"{ "a": [1, {"b c": "x,{\"", "d\"e": {"f": 2}}], "": 3, "g": 4 }"#;
        for (part, path) in [
            ("{", ""),
            ("[1", "a"),
            ("1", "a[0]"),
            ("{\"b", "a[1]"),
            ("2}", r#"a[1]["d\"e"].f"#),
            ("3", r#"[""]"#),
            ("4", "g"),
        ] {
            assert_eq!(path_to(text, part), path, "{part}");
        }
        assert_eq!(path_at(b"[[],[[", 6), "[1][0][0]");
    }

    #[test]
    fn a_long_path_is_cut() {
        let text = format!("{{\"{}\":1}}", "ü".repeat(1_000));
        let path = path_to(&text, "1");
        assert!(path.ends_with('…') && path.len() < MOST_BYTES + 8, "{path}");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_place(bytes in prop::collection::vec(any::<u8>(), 0..60), offset in 0..80_usize) {
            let _ = path_at(&bytes, offset);
        }
    }
}
