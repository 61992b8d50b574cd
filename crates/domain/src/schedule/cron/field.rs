//! What the fields of an expression may be, so that a refusal names the one at fault.

use croner::parser::CronParser;
use std::fmt;

/// Why an expression cannot be used, as a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadCron {
    message: String,
    never: bool,
}

/// A field: its name, what it may be, and the letters that may stand in it.
struct Field {
    name: &'static str,
    values: &'static str,
    /// Signs beside digits, `*`, `,`, `-` and `/`.
    signs: &'static str,
    words: &'static [&'static str],
}

const FIELDS: [Field; 6] = [
    Field { name: "second", values: "0-59", signs: "", words: &[] },
    Field { name: "minute", values: "0-59", signs: "", words: &[] },
    Field { name: "hour", values: "0-23", signs: "", words: &[] },
    Field {
        name: "day of month",
        values: "1-31, L for the last day, 15W for the nearest weekday",
        signs: "?LW",
        words: &[],
    },
    Field { name: "month", values: "1-12 or JAN-DEC", signs: "", words: &MONTHS },
    Field {
        name: "day of week",
        values: "0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 5#2 for the second",
        signs: "?L#+",
        words: &WEEKDAYS,
    },
];
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const NICKNAMES: [(&str, &str); 6] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl BadCron {
    pub(super) fn new(message: String) -> Self {
        Self { message, never: false }
    }

    pub(super) fn never(text: &str) -> Self {
        Self { message: format!("\"{text}\" names no date that exists, so it would never fire"), never: true }
    }

    /// Whether the expression is well formed, but names no date that exists.
    pub fn is_never(&self) -> bool {
        self.never
    }
}

impl fmt::Display for BadCron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadCron {}

/// The fields of an expression, five or six, each of which is good by itself.
pub(super) fn check(text: &str) -> Result<Vec<&str>, BadCron> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let [nickname] = fields.as_slice()
        && let Some((_, written)) = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(nickname))
    {
        return Err(BadCron::new(format!("write {nickname} as \"{written}\"")));
    }
    let definitions = match fields.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        count => {
            return Err(BadCron::new(format!(
                "\"{text}\" has {count} {}; an expression has five: minute, hour, day of month, month, day of week; \
                 or six, with the second in front",
                if count == 1 { "field" } else { "fields" },
            )));
        }
    };
    for (position, (field, definition)) in fields.iter().zip(definitions).enumerate() {
        if !definition.takes(field) || !is_read(position + FIELDS.len() - fields.len(), field) {
            return Err(BadCron::new(format!(
                "the {} \"{field}\" is not valid: write {}, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)",
                definition.name, definition.values,
            )));
        }
    }
    Ok(fields)
}

impl Field {
    /// Whether the signs and words are those of this field; the library takes names of months anywhere.
    fn takes(&self, field: &str) -> bool {
        let mut rest = field.to_ascii_uppercase();
        for word in self.words {
            rest = rest.replace(word, "1");
        }
        !rest.split(',').any(str::is_empty)
            && rest.chars().all(|c| c.is_ascii_digit() || "*,-/".contains(c) || self.signs.contains(c))
    }
}

/// Whether the library reads the field among others that are `*`.
fn is_read(position: usize, field: &str) -> bool {
    let mut alone = ["*"; FIELDS.len()];
    alone[position] = field;
    CronParser::new().parse(&alone.join(" ")).is_ok()
}
