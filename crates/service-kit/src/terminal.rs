//! Text of others on a terminal: shown, and never obeyed.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// The text with what a terminal obeys, and what a person cannot see, written as JSON writes it (`\\u001b`). Line breaks are
/// written out too: whoever has several lines shows one after the other.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            hidden if is_hidden(hidden) => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Controls (C0, DEL, C1), what turns the direction of writing around, ends lines, or takes no room and means nothing.
/// Joiners and variation selectors stay: words of several languages and many emoji are written with them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// A stream of lines for people; each write is one line, as those of logs are.
#[derive(Debug)]
pub(crate) struct Visible<W>(pub(crate) W);

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        match text.strip_suffix('\n') {
            Some(line) => writeln!(self.0, "{}", visible(line))?,
            None => self.0.write_all(visible(&text).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        for (text, shown) in [
            ("Größe 日本 👩\u{200d}👧 می\u{200c}خواهم", "Größe 日本 👩\u{200d}👧 می\u{200c}خواهم"),
            ("a\u{1b}[2Jb\u{7}", "a\\u001b[2Jb\\u0007"),
            ("a\r\n\tb", "a\\r\\n\\tb"),
            ("\u{7f}\u{9b}31m", "\\u007f\\u009b31m"),
            ("abc\u{202e}fdp.exe\u{2066}", "abc\\u202efdp.exe\\u2066"),
            ("in\u{200b}visible\u{feff}\u{e0041}", "in\\u200bvisible\\ufeff\\udb40\\udc41"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn a_line_of_a_log_stays_one_line() {
        let mut written = Vec::new();
        Visible(&mut written).write_all(b"WARN: x\nERROR: \x1b[2Jy\n").unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "WARN: x\\nERROR: \\u001b[2Jy\n");
    }
}
