//! Filters that give texts. What is no text is taken by its text.

use super::text_argument;
use crate::budget::Budget;
use crate::template::Failure;
use crate::template::number::Number;
use crate::template::output::{Output, text};
use crate::template::value::{Items, Text, Val};

type Outcome<'a> = Result<Val<'a>, Failure>;

/// What a change of case may come to, in bytes for each byte: `ΐ` becomes three characters.
const CASE_GROWTH: usize = 3;

pub(super) fn upper<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    changed(budget, value, CASE_GROWTH, str::to_uppercase)
}

pub(super) fn lower<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    changed(budget, value, CASE_GROWTH, str::to_lowercase)
}

pub(super) fn capitalize<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    changed(budget, value, CASE_GROWTH, |text| {
        let mut characters = text.chars();
        let first = characters.next().into_iter().flat_map(char::to_uppercase);
        first.collect::<String>() + &characters.as_str().to_lowercase()
    })
}

/// The first letter of each word large, the others small.
pub(super) fn title<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    changed(budget, value, CASE_GROWTH, |text| {
        let (mut titled, mut begins) = (String::with_capacity(text.len()), true);
        for character in text.chars() {
            let is_between = character.is_whitespace() || matches!(character, '-' | '(' | '{' | '[' | '<');
            if begins && !is_between {
                titled.extend(character.to_uppercase());
            } else {
                titled.extend(character.to_lowercase());
            }
            begins = is_between;
        }
        titled
    })
}

pub(super) fn string<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    if value.is_nothing() { Ok(value) } else { Ok(Val::Text(text(&value, budget)?)) }
}

/// For HTML and XML.
pub(super) fn escape<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    changed(budget, value, "&quot;".len(), |text| {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                other => escaped.push(other),
            }
        }
        escaped
    })
}

pub(super) fn trim<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let characters: Option<Vec<char>> =
        text_argument(budget, arguments, 0)?.map(|characters| characters.chars().collect());
    if let Some(characters) = &characters {
        // Each character at an end is looked for among them.
        budget.spend(text(&value, budget)?.len().saturating_mul(characters.len()) as u64)?;
    }
    changed(budget, value, 1, |text| match &characters {
        Some(characters) => text.trim_matches(characters.as_slice()).to_owned(),
        None => text.trim().to_owned(),
    })
}

pub(super) fn replace<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    if value.is_nothing() {
        return Ok(value);
    }
    let whole = text(&value, budget)?;
    let old = text_argument(budget, arguments, 0)?.unwrap_or(Text::Borrowed(""));
    let new = text_argument(budget, arguments, 1)?.unwrap_or(Text::Borrowed(""));
    if old.is_empty() {
        return Err(Failure::Failed("replace needs a text to look for".to_owned()));
    }
    budget.look_at(whole.len())?;
    let mut output = Output::new(budget);
    for (index, part) in whole.split(&*old).enumerate() {
        budget.spend(1)?;
        if index > 0 {
            output.push(&new)?;
        }
        output.push(part)?;
    }
    Ok(Val::charged(output.finish()))
}

pub(super) fn tojson<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    let mut output = Output::new(budget);
    output.json(&value)?;
    Ok(Val::charged(output.finish()))
}

pub(super) fn lines<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    let whole = text(&value, budget)?;
    parts(budget, whole.lines())
}

/// At white space, or at a separator; at most as often as the second argument says.
pub(super) fn split<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    if value.is_nothing() {
        return Ok(Items::new(budget).finish());
    }
    let whole = text(&value, budget)?;
    let most = match arguments.get(1).and_then(Option::as_ref) {
        None | Some(Val::Nothing) => usize::MAX,
        Some(Val::Number(Number::Whole(most))) if *most >= 0 => usize::try_from(*most).unwrap_or(usize::MAX),
        Some(_) => return Err(Failure::Failed("maxsplit is a whole number from 0".to_owned())),
    };
    let separator = text_argument(budget, arguments, 0)?.filter(|separator| !separator.is_empty());
    match separator {
        Some(separator) => parts(budget, whole.splitn(most.saturating_add(1), &*separator)),
        None if most == usize::MAX => parts(budget, whole.split_whitespace()),
        None => parts(
            budget,
            whole.trim().splitn(most.saturating_add(1), char::is_whitespace).map(str::trim_start),
        ),
    }
}

fn parts<'a, 't>(budget: &Budget, parts: impl Iterator<Item = &'t str>) -> Outcome<'a> {
    let mut items = Items::new(budget);
    for part in parts {
        budget.make(part.len())?;
        items.push(Val::charged(part.to_owned()))?;
    }
    Ok(items.finish())
}

/// A text of `value`, changed; it comes to no more than `growth` times its bytes.
fn changed<'a>(
    budget: &Budget,
    value: Val<'a>,
    growth: usize,
    change: impl FnOnce(&str) -> String,
) -> Outcome<'a> {
    if value.is_nothing() {
        return Ok(value);
    }
    let text = text(&value, budget)?;
    budget.make(text.len().saturating_mul(growth))?;
    Ok(Val::charged(change(&text)))
}

/// `"%s costs %.2f" | format(name, price)`: `%s` for texts, `%d` for whole numbers, `%f` for numbers, `%%` for a percent
/// sign; with a width, filled up at the left (at the right with `-`, with zeros with `0`).
pub(super) fn format<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let pattern = text(&value, budget)?;
    let mut given = arguments.iter().flatten();
    let mut output = Output::new(budget);
    let mut rest = &*pattern;
    while let Some((before, behind)) = rest.split_once('%') {
        output.push(before)?;
        let (place, behind) = Place::read(behind)?;
        rest = behind;
        if place.kind == '%' {
            output.push("%")?;
        } else {
            let value = given
                .next()
                .ok_or_else(|| Failure::Failed("format has fewer values than places".to_owned()))?;
            place.write(value, budget, &mut output)?;
        }
    }
    output.push(rest)?;
    if given.next().is_some() {
        return Err(Failure::Failed("format has more values than places".to_owned()));
    }
    Ok(Val::charged(output.finish()))
}

/// One place of a pattern: `%-10s`.
struct Place {
    kind: char,
    at_left: bool,
    with_zeros: bool,
    width: usize,
    decimals: usize,
}

impl Place {
    /// Largest width, and most decimals.
    const LARGEST: usize = 64;

    /// What stands behind the percent sign, and the rest.
    fn read(text: &str) -> Result<(Self, &str), Failure> {
        let wrong = || {
            Failure::Failed("format knows %s, %d, %f and %%, with a width and decimals up to 64".to_owned())
        };
        let flags = text.len() - text.trim_start_matches(['-', '0']).len();
        let (flags, text) = text.split_at(flags);
        let (width, text) = number(text);
        let (decimals, text) = match text.strip_prefix('.') {
            Some(text) => number(text),
            None => (Some(6), text),
        };
        let kind =
            text.chars().next().filter(|kind| matches!(kind, 's' | 'd' | 'f' | '%')).ok_or_else(wrong)?;
        let (width, decimals) = (width.unwrap_or(0), decimals.unwrap_or(0));
        if width > Self::LARGEST || decimals > Self::LARGEST {
            return Err(wrong());
        }
        let place =
            Self { kind, at_left: flags.contains('-'), with_zeros: flags.contains('0'), width, decimals };
        Ok((place, &text[kind.len_utf8()..]))
    }

    fn write(&self, value: &Val<'_>, budget: &Budget, output: &mut Output<'_>) -> Result<(), Failure> {
        let written = match (self.kind, value) {
            ('s', _) => text(value, budget)?.to_string(),
            ('d', Val::Number(number @ Number::Whole(_))) => number.to_json().to_string(),
            ('f', Val::Number(number)) => {
                format!("{:.*}", self.decimals, number.exact().map_err(Failure::failed)?)
            }
            (kind, _) => {
                let needed = if kind == 'd' { "a whole number" } else { "a number" };
                return Err(Failure::Failed(format!("%{kind} needs {needed}, not {}", value.kind())));
            }
        };
        let missing = self.width.saturating_sub(written.chars().count());
        let (sign, digits) = match written.strip_prefix('-') {
            Some(digits) if self.with_zeros => ("-", digits),
            Some(_) | None => ("", written.as_str()),
        };
        let fill = if self.with_zeros && self.kind != 's' { "0" } else { " " };
        if self.at_left {
            output.push(&written)?;
            return output.push(&" ".repeat(missing));
        }
        output.push(sign)?;
        output.push(&fill.repeat(missing))?;
        output.push(digits)
    }
}

/// The number at the beginning of a text, if there is one that is not too large to mean anything.
fn number(text: &str) -> (Option<usize>, &str) {
    let rest = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    if digits.is_empty() { (None, rest) } else { (Some(digits.parse().unwrap_or(usize::MAX)), rest) }
}
