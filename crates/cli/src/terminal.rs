//! Lines for people. What others wrote (names, messages, ids) is shown, and never told to the terminal.

use automation_service_kit::terminal::visible;

/// Lines of text, none of which holds a character that a terminal obeys or a person cannot see: those are written as
/// JSON writes them (`\u001b`). So a line stays one line, whatever stands in what it quotes, and JSON stays JSON.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lines(Vec<String>);

impl Lines {
    /// Adds a line.
    pub fn push(&mut self, line: impl AsRef<str>) {
        self.0.push(visible(line.as_ref()).into_owned());
    }

    /// One line for each of `text`, for text whose line breaks are the program's own: YAML, indented JSON, tables.
    pub fn of_block(text: &str) -> Self {
        text.trim_end().lines().collect()
    }

    /// The lines, without a break behind the last.
    pub fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// A single line.
impl From<String> for Lines {
    fn from(line: String) -> Self {
        [line].into_iter().collect()
    }
}

impl From<Vec<String>> for Lines {
    fn from(lines: Vec<String>) -> Self {
        lines.into_iter().collect()
    }
}

/// A single line.
impl From<&str> for Lines {
    fn from(line: &str) -> Self {
        [line].into_iter().collect()
    }
}

impl<L: AsRef<str>> FromIterator<L> for Lines {
    fn from_iter<I: IntoIterator<Item = L>>(lines: I) -> Self {
        let mut made = Self::default();
        made.extend(lines);
        made
    }
}

impl<L: AsRef<str>> Extend<L> for Lines {
    fn extend<I: IntoIterator<Item = L>>(&mut self, lines: I) {
        lines.into_iter().for_each(|line| self.push(line));
    }
}

impl IntoIterator for Lines {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        let lines: Lines = ["name: x\nerror: y", "z"].into_iter().collect();
        assert_eq!(lines.text(), "name: x\\nerror: y\nz");
        assert_eq!(Lines::of_block("a\n  b\u{1b}\n").text(), "a\n  b\\u001b");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({ "a\u{202e}": "b\u{e0041}\u{7f}\u{1b}" });
        let shown = Lines::of_block(&serde_json::to_string_pretty(&value).unwrap()).text();
        assert!(shown.is_ascii() && !shown.contains('\u{1b}'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
