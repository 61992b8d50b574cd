//! How bodies are coded: compressed ones are refused, and texts are read in the charset that they name.

use crate::problem::Problem;
use automation_domain::encoding::{charset, is_utf8};
use automation_domain::event::coding::{self, charset_refused, foreign_body};
use automation_domain::event::envelope::Rejection;
use axum::http::{HeaderMap, HeaderValue, header};
use encoding_rs::{Encoding, UTF_8};
use std::borrow::Cow;

/// Refuses a compressed body, by what its headers say.
///
/// # Errors
///
/// The problem that names the coding.
pub fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let codings = headers.get_all(header::CONTENT_ENCODING).iter().map(text);
    // The server takes chunks apart by itself, and nothing else.
    let on_the_way = headers.get_all(header::TRANSFER_ENCODING).iter().map(text);
    let on_the_way = on_the_way.map(|codings| codings.to_ascii_lowercase().replace("chunked", ""));
    let all: Vec<String> = codings.chain(on_the_way).collect();
    coding::check(Some(&all.join(",")), "Content-Encoding").map_err(Problem::unsupported)
}

/// The charset in which a text is read.
#[derive(Clone, Debug)]
pub struct Charset {
    encoding: &'static Encoding,
    /// As it was named, in lower case.
    name: String,
}

impl Charset {
    /// The one that a content type names; UTF-8 without any.
    ///
    /// # Errors
    ///
    /// A refusal when it is not known.
    pub fn of(content_type: Option<&str>) -> Result<Self, Rejection> {
        match content_type.and_then(charset).filter(|name| !is_utf8(name)) {
            None => Ok(Self { encoding: UTF_8, name: "utf-8".to_owned() }),
            Some(name) => match Encoding::for_label(name.as_bytes()) {
                Some(encoding) => Ok(Self { encoding, name }),
                None => Err(charset_refused(&format!("the charset of the body, {name}, is not known"))),
            },
        }
    }

    /// A whole text; a byte order mark in front of it says more than its name.
    ///
    /// # Errors
    ///
    /// As [`Self::part`].
    pub fn text(&self, bytes: &[u8], what: &str) -> Result<String, Rejection> {
        match Encoding::for_bom(bytes) {
            Some((encoding, mark)) => {
                let name = encoding.name().to_ascii_lowercase();
                Self { encoding, name }.part(&bytes[mark..], what)
            }
            None => self.part(bytes, what),
        }
    }

    /// The text that bytes are in it.
    ///
    /// # Errors
    ///
    /// A refusal that names `what` they are, when they are no such text.
    pub fn part(&self, bytes: &[u8], what: &str) -> Result<String, Rejection> {
        let text = self.encoding.decode_without_bom_handling_and_without_replacement(bytes);
        text.map(Cow::into_owned)
            .ok_or_else(|| charset_refused(&format!("{what} is not what its charset {} says", self.name)))
    }
}

/// A JSON text, which is UTF-8 whatever its content type says (RFC 8259); only if it is not, in the charset it names.
///
/// # Errors
///
/// A refusal that says what it is instead.
pub fn json_text(bytes: &[u8], content_type: Option<&str>) -> Result<String, Rejection> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(automation_domain::encoding::text_without_mark(text).to_owned()),
        Err(_) => Charset::of(content_type)?
            .text(bytes, "the body")
            .map_err(|refusal| automation_domain::encoding::foreign(bytes).map_or(refusal, foreign_body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_compressed_body_is_refused_by_the_name_of_its_coding() {
        for (pairs, named) in [
            (&[("content-encoding", "gzip")][..], "gzip"),
            (&[("content-encoding", "identity"), ("content-encoding", "br")], "br"),
            (&[("transfer-encoding", "deflate, chunked")], "deflate"),
        ] {
            let problem = serde_json::to_value(check(&headers(pairs)).unwrap_err()).unwrap();
            assert_eq!(
                (&problem["status"], &problem["code"]),
                (&415.into(), &"unsupported_content_encoding".into())
            );
            assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
        }
        for none in [&[][..], &[("content-encoding", "identity")], &[("transfer-encoding", "chunked")]] {
            assert!(check(&headers(none)).is_ok(), "{none:?}");
        }
    }

    #[test]
    fn a_text_is_read_in_its_charset_or_refused() {
        let read = |content_type, bytes| {
            Charset::of(Some(content_type)).and_then(|charset| charset.text(bytes, "the body"))
        };
        assert_eq!(read("text/plain", "ü".as_bytes()).as_deref(), Ok("ü"));
        assert_eq!(read("text/plain", b"\xef\xbb\xbfa").as_deref(), Ok("a"));
        assert_eq!(read("text/plain; charset=iso-8859-1", b"\xfc").as_deref(), Ok("ü"));
        assert_eq!(read("text/plain; charset=Shift_JIS", b"\x93\xfa").as_deref(), Ok("日"));
        assert_eq!(read("text/plain", b"\xff\xfea\0").as_deref(), Ok("a"));
        for (content_type, bytes) in [
            ("text/plain", &b"\xfc"[..]),
            ("text/plain; charset=utf-7", b"a"),
            ("text/plain; charset=gbk", b"\xff"),
        ] {
            assert_eq!(read(content_type, bytes).unwrap_err().code, "unsupported_charset", "{content_type}");
        }
        assert_eq!(json_text("\u{feff}{\"a\":\"ü\"}".as_bytes(), None).as_deref(), Ok("{\"a\":\"ü\"}"));
        let latin1 = Some("application/json; charset=latin1");
        assert_eq!(json_text("\"ü\"".as_bytes(), latin1).as_deref(), Ok("\"ü\""));
        assert_eq!(json_text(b"\"\xfc\"", latin1).as_deref(), Ok("\"ü\""));
        let gzip = json_text(b"\x1f\x8b\x08\xff", None).unwrap_err();
        assert_eq!(gzip.code, "unsupported_content_encoding");
    }
}
