//! Text in quotes, as paths and templates write it: `"a.b"`, `'it\'s'`.

/// What stands in quotes, and the bytes that it takes with them; `text` begins with the opening quote.
///
/// # Errors
///
/// What is wrong: no closing quote, or an escape that there is not.
pub(crate) fn read(text: &str) -> Result<(String, usize), &'static str> {
    let mut characters = text.char_indices();
    let quote = characters.next().map(|(_, quote)| quote);
    let mut content = String::new();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if Some(character) == quote => return Ok((content, at + character.len_utf8())),
            '\\' => {
                let escape = characters.next().map(|(_, escape)| escape);
                content.push(match escape {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(character @ ('\\' | '/' | '"' | '\'')) => character,
                    Some('u') => unicode(&mut characters)?,
                    Some(_) => return Err("a \\ in quotes is followed by one of \\ / \" ' n r t u"),
                    None => break,
                });
            }
            _ => content.push(character),
        }
    }
    Err("the closing quote is missing")
}

/// `\u00e4`, or two of them for one character beyond U+FFFF; `\u` has been read.
fn unicode(characters: &mut std::str::CharIndices<'_>) -> Result<char, &'static str> {
    const WRONG: &str = "\\u in quotes needs the four hexadecimal digits of a character other than U+0000";
    let four = |characters: &mut std::str::CharIndices<'_>| {
        (0..4).try_fold(0_u32, |code, _| Some(code * 16 + characters.next()?.1.to_digit(16)?))
    };
    let first = four(characters).ok_or(WRONG)?;
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).filter(|character| *character != '\0').ok_or(WRONG);
    }
    let follows = characters.next().zip(characters.next()).map(|((_, first), (_, second))| (first, second));
    let second = if follows == Some(('\\', 'u')) { four(characters) } else { None };
    second
        .filter(|second| (0xDC00..0xE000).contains(second))
        .and_then(|second| char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)))
        .ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_any_text() {
        for (text, content, rest) in [
            (r#""a.b" x"#, "a.b", " x"),
            (r"'it\'s'", "it's", ""),
            (r#""\"\\\/\n\t\r""#, "\"\\/\n\t\r", ""),
            (r#""\u00e4\ud83d\ude00""#, "ä😀", ""),
            ("'ä\"'", "ä\"", ""),
            ("''", "", ""),
        ] {
            let (found, length) = read(text).unwrap();
            assert_eq!((found.as_str(), &text[length..]), (content, rest), "{text}");
        }
    }

    #[test]
    fn what_is_no_text_in_quotes_is_refused() {
        for text in [
            "\"a",
            "'a\\",
            r#""\x41""#,
            r#""\u12""#,
            r#""\ud83d""#,
            r#""\ud83d\u0041""#,
            r#""\u0000""#,
            "\"a'",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
