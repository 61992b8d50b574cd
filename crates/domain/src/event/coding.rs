//! Bodies that are coded in a way that is not read: each is refused by the name of its coding.

use super::envelope::Rejection;
use crate::encoding::{self, Foreign};

/// Refuses a body of which the transport says that it is compressed, in what it calls `property`.
///
/// # Errors
///
/// `unsupported_content_encoding`, with the coding's name.
pub fn check(content_encoding: Option<&str>, property: &str) -> Result<(), Rejection> {
    match content_encoding.and_then(encoding::content_coding) {
        Some(coding) => {
            Err(compressed(&format!("the body is coded as {coding}"), &format!(", without {property}")))
        }
        None => Ok(()),
    }
}

/// Refuses a body that is not UTF-8 where its content type names another charset.
///
/// A charset means nothing for JSON, which is UTF-8 always (RFC 8259); here it says why the body is not.
///
/// # Errors
///
/// `unsupported_charset`, with its name.
pub fn check_charset(content_type: Option<&str>, body: &[u8]) -> Result<(), Rejection> {
    let named = content_type.and_then(encoding::charset).filter(|charset| !encoding::is_utf8(charset));
    match named {
        Some(charset) if std::str::from_utf8(body).is_err() => {
            Err(charset_refused(&format!("the body is in {charset}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a body that is not UTF-8 but something that is known.
pub fn foreign_body(foreign: Foreign) -> Rejection {
    match foreign {
        Foreign::Charset(name) => charset_refused(&format!("the body is in {name}")),
        Foreign::Compressed(coding) => compressed(&format!("the body is compressed with {coding}"), ""),
    }
}

/// Refuses a charset; `what` says of what.
pub fn charset_refused(what: &str) -> Rejection {
    Rejection::new("unsupported_charset", format!("{what}, and UTF-8 is read; send it as UTF-8"))
}

fn compressed(what: &str, without: &str) -> Rejection {
    let detail = format!("{what}, and nothing compressed is read; send it as it is{without}");
    Rejection::new("unsupported_content_encoding", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_body_is_refused_by_the_name_of_its_coding() {
        for coding in ["gzip", "deflate", "br", "zstd", "compress", "identity, gzip"] {
            let refusal = check(Some(coding), "content_encoding").unwrap_err();
            assert_eq!(refusal.code, "unsupported_content_encoding");
            assert!(refusal.detail.contains(coding.rsplit(' ').next().unwrap()), "{refusal:?}");
            assert!(refusal.detail.ends_with("as it is, without content_encoding"), "{refusal:?}");
        }
        for none in [None, Some(""), Some("identity"), Some("utf-8")] {
            assert_eq!(check(none, "content_encoding"), Ok(()));
        }
    }

    #[test]
    fn a_charset_matters_where_the_bytes_are_not_utf8() {
        let latin1 = Some("application/json; charset=ISO-8859-1");
        assert_eq!(check_charset(latin1, b"{\"a\":1}"), Ok(()));
        assert_eq!(check_charset(latin1, "{\"a\":\"\u{fc}\"}".as_bytes()), Ok(()));
        let refusal = check_charset(latin1, b"{\"a\":\"\xfc\"}").unwrap_err();
        assert_eq!(refusal.code, "unsupported_charset");
        assert!(refusal.detail.contains("iso-8859-1"), "{refusal:?}");
        assert_eq!(check_charset(Some("application/json; charset=utf-8"), b"\xfc"), Ok(()));
        assert_eq!(check_charset(None, b"\xfc"), Ok(()));
    }
}
