//! What the bytes of a body say: text in the charset they name, and JSON where they say so.

use super::answer::{Answer, Ended};
use automation_domain::json::{self, JsonError};
use encoding_rs::{DecoderResult, Encoding, UTF_8};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::Value;

/// A body as far as it can be read.
#[derive(PartialEq, Debug)]
pub(super) enum Body {
    /// There is none.
    Empty,
    /// It is JSON, by its type or, without one, by its looks.
    Json {
        /// As it came.
        text: String,
        /// What it says.
        value: Value,
    },
    /// It is text.
    Text(String),
    /// It is not what its headers say.
    Unreadable {
        /// Why not.
        why: Unreadable,
        /// What can be read of it nevertheless.
        text: Option<String>,
    },
}

/// Why a body cannot be read as what its headers say it is.
#[derive(PartialEq, Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is coded as {0}, which was not asked for")]
    Coding(String),
    #[error("its charset {0} is not known")]
    Charset(String),
    #[error("its bytes are not {0}")]
    Bytes(&'static str),
    #[error("its type says JSON, but {0}")]
    Json(JsonError),
}

/// Reads a body; JSON no deeper than `json_depth`. What was cut is text: its rest may say anything.
pub(super) fn read(answer: &Answer, json_depth: usize) -> Body {
    let cut = answer.ended != Ended::Complete;
    let text = match text(answer, cut) {
        Ok(text) if text.is_empty() => return Body::Empty,
        Ok(text) => text,
        Err(why) => return Body::Unreadable { why, text: None },
    };
    let says = media_type(answer);
    let (is_json, is_guess) = match &says {
        Some(says) => (says == "application/json" || says == "text/json" || says.ends_with("+json"), false),
        None => (text.trim_start().starts_with(['{', '[']), true),
    };
    if !is_json || cut {
        return Body::Text(text);
    }
    match json::parse(text.as_bytes(), json_depth) {
        Ok(value) => Body::Json { text, value },
        Err(_) if is_guess => Body::Text(text),
        Err(error) => Body::Unreadable { why: Unreadable::Json(error), text: Some(text) },
    }
}

/// The body in the charset that its byte order mark or its type names; UTF-8 where neither does.
fn text(answer: &Answer, cut: bool) -> Result<String, Unreadable> {
    if answer.body.is_empty() {
        return Ok(String::new());
    }
    if let Some(coding) = coding(answer) {
        return Err(Unreadable::Coding(coding));
    }
    let (encoding, mark) = match Encoding::for_bom(&answer.body) {
        Some(found) => found,
        None => (charset(answer)?, 0),
    };
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let bytes = &answer.body[mark..];
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or_default();
    let mut text = String::with_capacity(room);
    // The last character of what was cut may be cut in two.
    match decoder.decode_to_string_without_replacement(bytes, &mut text, !cut).0 {
        DecoderResult::InputEmpty => Ok(text),
        DecoderResult::OutputFull | DecoderResult::Malformed(..) => Err(Unreadable::Bytes(encoding.name())),
    }
}

/// How the body is coded, when it is: `gzip`.
fn coding(answer: &Answer) -> Option<String> {
    let value = answer.headers.get_all(CONTENT_ENCODING).iter();
    let codings = value.map(|coding| String::from_utf8_lossy(coding.as_bytes()).trim().to_ascii_lowercase());
    let codings: Vec<String> = codings.filter(|coding| !coding.is_empty() && coding != "identity").collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

fn charset(answer: &Answer) -> Result<&'static Encoding, Unreadable> {
    let Some(value) = content_type(answer) else { return Ok(UTF_8) };
    let named = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match named {
        None | Some("") => Ok(UTF_8),
        Some(name) => {
            Encoding::for_label(name.as_bytes()).ok_or_else(|| Unreadable::Charset(name.to_owned()))
        }
    }
}

fn media_type(answer: &Answer) -> Option<String> {
    Some(content_type(answer)?.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn content_type(answer: &Answer) -> Option<String> {
    answer.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    fn answer(headers: &[(&'static str, &str)], body: &[u8]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Answer { status: StatusCode::OK, headers: map, body: body.to_vec(), ended: Ended::Complete }
    }

    fn of_type(content_type: &str, body: &[u8]) -> Body {
        read(&answer(&[("content-type", content_type)], body), 8)
    }

    fn json_of(body: Body) -> Value {
        match body {
            Body::Json { value, .. } => value,
            other @ (Body::Empty | Body::Text(_) | Body::Unreadable { .. }) => panic!("{other:?}"),
        }
    }

    fn reason(body: &Body) -> (String, Option<&str>) {
        match body {
            Body::Unreadable { why, text } => (why.to_string(), text.as_deref()),
            other @ (Body::Empty | Body::Text(_) | Body::Json { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_can_be_decoded_is_decoded() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let utf16_be: Vec<u8> = "\u{feff}{\"a\":\"ü\"}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (content_type, body) in [
            ("application/json", "{\"a\":\"ü\"}".as_bytes()),
            ("application/json", "\u{feff}{\"a\":\"ü\"}".as_bytes()),
            ("application/json; charset=\"UTF-8\"", "{\"a\":\"ü\"}".as_bytes()),
            ("application/problem+json;charset=us-ascii", br#"{"a":"\u00fc"}"#),
            ("text/json; x=y; Charset=ISO-8859-1", b"{\"a\":\"\xfc\"}"),
            ("application/json; charset=windows-1252", b"{\"a\":\"\xfc\"}"),
            ("application/json; charset=utf-16le", &utf16("{\"a\":\"ü\"}")),
            ("application/json", &utf16("\u{feff}{\"a\":\"ü\"}")),
            ("application/json; charset=utf-16", &utf16_be),
        ] {
            assert_eq!(json_of(of_type(content_type, body)), json!({"a": "ü"}), "{content_type}");
        }
        assert_eq!(of_type("text/plain; charset=shift_jis", b"\x93\xfa"), Body::Text("日".to_owned()));
        assert_eq!(json_of(read(&answer(&[], b"\xef\xbb\xbf [1]"), 8)), json!([1]));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (headers, body, why, text) in [
            (
                &[("content-encoding", "gzip")][..],
                &b"\x1f\x8b"[..],
                "it is coded as gzip, which was not asked for",
                None,
            ),
            (
                &[("content-encoding", "identity"), ("content-encoding", "Br")],
                b"x",
                "it is coded as br, which",
                None,
            ),
            (&[("content-type", "text/plain; charset=utf-7")], b"x", "its charset utf-7 is not known", None),
            (&[("content-type", "text/plain")], b"\xff", "its bytes are not UTF-8", None),
            (&[("content-type", "text/plain; charset=utf-16le")], b"a", "its bytes are not UTF-16LE", None),
            (
                &[("content-type", "text/json")],
                b"{broken",
                "its type says JSON, but not valid JSON",
                Some("{broken"),
            ),
            (
                &[("content-type", "text/json")],
                br#"{"a":1,"a":2}"#,
                "the key \"a\" stands twice",
                Some(r#"{"a":1,"a":2}"#),
            ),
            (&[("content-type", "text/json")], br#"["\u0000"]"#, "U+0000", Some(r#"["\u0000"]"#)),
            (
                &[("content-type", "text/json")],
                b"[[[[[[[[[1]]]]]]]]]",
                "nested deeper than 8",
                Some("[[[[[[[[[1]]]]]]]]]"),
            ),
            (&[("content-type", "text/json")], b"[1e400]", "number", Some("[1e400]")),
        ] {
            let body = read(&answer(headers, body), 8);
            let (said, kept) = reason(&body);
            assert!(said.contains(why), "{said}");
            assert_eq!(kept, text, "{said}");
        }
    }

    #[test]
    fn what_does_not_say_json_is_text() {
        for (headers, body) in [
            (&[("content-type", "text/plain")][..], r#"{"a":1}"#),
            (&[], "1"),
            // It only looked like JSON.
            (&[], "[INFO] done"),
            (&[("content-encoding", "identity")], "plain"),
        ] {
            assert_eq!(read(&answer(headers, body.as_bytes()), 8), Body::Text(body.to_owned()));
        }
        assert_eq!(of_type("application/json", b""), Body::Empty);
        assert_eq!(read(&answer(&[("content-encoding", "gzip")], b""), 8), Body::Empty);
    }

    #[test]
    fn what_was_cut_is_text_up_to_its_last_whole_character() {
        for (content_type, body, expected) in [
            ("application/json", "{\"a\":\"ü".as_bytes(), "{\"a\":\""),
            ("text/plain; charset=utf-16le", b"a\0b", "a"),
        ] {
            let mut answer = answer(&[("content-type", content_type)], body);
            answer.body.truncate(body.len() - usize::from(content_type == "application/json"));
            answer.ended = Ended::TimedOut;
            assert_eq!(read(&answer, 8), Body::Text(expected.to_owned()));
        }
    }
}
