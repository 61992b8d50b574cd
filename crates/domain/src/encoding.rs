//! Which bytes are text: UTF-8, with or without a mark in front. What is not says what it is instead.

/// The UTF-8 byte order mark, which some systems put in front of a text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What bytes are that are not UTF-8 text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreign {
    /// Text in another encoding, by its name.
    Charset(&'static str),
    /// Compressed, by the name of the coding.
    Compressed(&'static str),
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Charset(name) => write!(f, "it is {name}, and UTF-8 is read"),
            Self::Compressed(coding) => write!(f, "it is compressed with {coding}, and text is read"),
        }
    }
}

/// The text behind a UTF-8 byte order mark; all of it where there is none.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// [`without_mark`] for what is known to be UTF-8.
pub fn text_without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The text of a file, without a mark.
///
/// # Errors
///
/// What it is instead of UTF-8, as the end of a sentence.
pub fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    let begins = foreign(&bytes);
    match (begins, String::from_utf8(bytes)) {
        (Some(foreign @ Foreign::Charset(_)), _) => Err(format!("{foreign}; save it as UTF-8")),
        (Some(foreign @ Foreign::Compressed(_)), _) => Err(format!("{foreign}; unpack it")),
        (None, Ok(text)) => Ok(text_without_mark(&text).to_owned()),
        (None, Err(error)) => {
            Err(format!("byte {} is not UTF-8; save it as UTF-8", error.utf8_error().valid_up_to()))
        }
    }
}

/// What `bytes` are, by how they begin, when that cannot be UTF-8 text such as JSON or YAML.
pub fn foreign(bytes: &[u8]) -> Option<Foreign> {
    use Foreign::{Charset, Compressed};
    // The longer marks first: UTF-32's begins with UTF-16's. Without a mark, the first character is ASCII.
    Some(match bytes {
        [0xff, 0xfe, 0, 0, ..] | [_, 0, 0, 0, ..] => Charset("UTF-32LE"),
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, _, ..] => Charset("UTF-32BE"),
        [0xff, 0xfe, ..] | [1..=255, 0, ..] => Charset("UTF-16LE"),
        [0xfe, 0xff, ..] | [0, 1..=255, ..] => Charset("UTF-16BE"),
        [0x1f, 0x8b, ..] => Compressed("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compressed("zstd"),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Compressed("deflate"),
        _ => return None,
    })
}

/// The coding that a `Content-Encoding` names, in lower case, cut to a readable length; `None` for none at all.
///
/// Some clients for AMQP write the charset there, so that UTF-8 and ASCII are none too.
pub fn content_coding(value: &str) -> Option<String> {
    const NONE: [&str; 7] = ["", "identity", "utf-8", "utf8", "us-ascii", "ascii", "binary"];
    let coded = |coding: &&str| !NONE.iter().any(|none| coding.eq_ignore_ascii_case(none));
    let codings: Vec<&str> = value.split(',').map(str::trim).filter(coded).collect();
    let named: String = codings.join(", ").chars().take(64).collect();
    (!named.is_empty()).then(|| named.to_ascii_lowercase())
}

/// The charset that a content type names, in lower case, cut to a readable length.
pub fn charset(content_type: &str) -> Option<String> {
    let named = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })?;
    (!named.is_empty()).then(|| named.chars().take(64).collect::<String>().to_ascii_lowercase())
}

/// Whether every text in `charset` is UTF-8.
pub fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_taken_off_once() {
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(without_mark(b"{}"), b"{}");
        assert_eq!(without_mark(b"\xef\xbb\xbf\xef\xbb\xbf"), b"\xef\xbb\xbf");
        assert_eq!((text_without_mark("\u{feff}a"), text_without_mark("a")), ("a", "a"));
    }

    #[test]
    fn a_file_is_utf8_with_or_without_a_mark() {
        assert_eq!(text_of(b"\xef\xbb\xbfkey: a".to_vec()).as_deref(), Ok("key: a"));
        let refused = |bytes: &[u8]| text_of(bytes.to_vec()).unwrap_err();
        assert_eq!(refused(b"\xff\xfek\0"), "it is UTF-16LE, and UTF-8 is read; save it as UTF-8");
        assert_eq!(refused(b"\x1f\x8b\x08"), "it is compressed with gzip, and text is read; unpack it");
        assert!(text_of(b"key: \xfc".to_vec()).unwrap_err().contains("byte 5 is not UTF-8"));
    }

    #[test]
    fn what_is_no_utf8_text_is_named() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let utf16_be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        let utf32 = |text: &str| text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect::<Vec<u8>>();
        let utf32_be = |text: &str| text.chars().flat_map(|c| (c as u32).to_be_bytes()).collect::<Vec<u8>>();
        for text in ["{\"a\":1}", "\u{feff}{\"a\":1}"] {
            assert_eq!(foreign(&utf16(text)), Some(Foreign::Charset("UTF-16LE")));
            assert_eq!(foreign(&utf16_be(text)), Some(Foreign::Charset("UTF-16BE")));
            assert_eq!(foreign(&utf32(text)), Some(Foreign::Charset("UTF-32LE")));
            assert_eq!(foreign(&utf32_be(text)), Some(Foreign::Charset("UTF-32BE")));
            assert_eq!(foreign(text.as_bytes()), None);
        }
        assert_eq!(foreign(b"\x1f\x8b\x08\0\0"), Some(Foreign::Compressed("gzip")));
        assert_eq!(foreign(b"\x28\xb5\x2f\xfd\x04"), Some(Foreign::Compressed("zstd")));
        assert_eq!(foreign(b"x\x9c\xabV"), Some(Foreign::Compressed("deflate")));
        for text in [&b""[..], b"{", b"1", b"\xff", b"\0", b"xylophone", b"\xe4\xf6"] {
            assert_eq!(foreign(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_charset_is_a_parameter_of_the_content_type() {
        for (content_type, expected) in [
            ("text/plain; charset=ISO-8859-1", Some("iso-8859-1")),
            ("text/plain;a=b; Charset=\"Shift_JIS\"", Some("shift_jis")),
            ("text/plain", None),
            ("text/plain; charset=", None),
            ("text/plain; x-charset=a", None),
        ] {
            assert_eq!(charset(content_type).as_deref(), expected, "{content_type}");
        }
        assert!(is_utf8("UTF-8") && is_utf8("us-ascii") && !is_utf8("iso-8859-1"));
    }

    #[test]
    fn codings_are_named_and_what_is_none_is_none() {
        for none in ["", " ", "identity", "Identity", "utf-8", "UTF-8", "binary", "identity, utf-8"] {
            assert_eq!(content_coding(none), None, "{none}");
        }
        assert_eq!(content_coding("GZip"), Some("gzip".to_owned()));
        assert_eq!(content_coding("identity, br,gzip"), Some("br, gzip".to_owned()));
        assert_eq!(content_coding(&"z".repeat(1_000)).map(|named| named.len()), Some(64));
    }
}
