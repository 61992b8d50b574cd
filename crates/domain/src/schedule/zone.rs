//! What to say of a time zone that does not exist.

use chrono_tz::{TZ_VARIANTS, Tz};

/// Why `name` is no zone, and what to write.
///
/// Another place is proposed for a slip of the pen alone: whoever means Bern is not helped with Berlin.
pub(crate) fn unknown(name: &str) -> String {
    if let Some(offset) = Offset::read(name) {
        return format!(
            "\"{name}\" is not a time zone but an offset, which says nothing of summer time: write the IANA name of a \
             place, such as \"Europe/Berlin\"{}",
            offset.fixed(),
        );
    }
    if is_abbreviation(name) {
        return format!(
            "\"{name}\" is not a time zone; abbreviations are ambiguous: write the IANA name of a place, such as \
             \"Europe/Berlin\""
        );
    }
    let hint = meant(name).map(|zone| format!(" (did you mean \"{}\"?)", zone.name())).unwrap_or_default();
    format!("\"{name}\" is not a time zone{hint}; write an IANA name")
}

/// A distance from UTC.
struct Offset {
    hours: i8,
    minutes: u8,
}

impl Offset {
    /// `+02:00`, `GMT+2`, `UTC-0330`.
    fn read(name: &str) -> Option<Self> {
        let upper = name.trim().to_ascii_uppercase();
        let rest = ["UTC", "GMT"]
            .iter()
            .find_map(|prefix| upper.strip_prefix(prefix))
            .unwrap_or(&upper)
            .trim_start();
        let (sign, digits) = match rest.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let (hours, minutes) = match digits.split_once(':') {
            Some(parts) => parts,
            None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
            None => (digits, "0"),
        };
        let number = |text: &str| text.parse::<u8>().ok().filter(|_| text.len() <= 2);
        Some(Self { hours: sign * i8::try_from(number(hours)?).ok()?, minutes: number(minutes)? })
    }

    /// The zone that has this offset all year, whose sign is the other way round.
    fn fixed(&self) -> String {
        let sign = if self.hours > 0 { '-' } else { '+' };
        let name = format!("Etc/GMT{sign}{}", self.hours.unsigned_abs());
        match name.parse::<Tz>() {
            Ok(_) if self.minutes == 0 && self.hours != 0 => {
                format!(", or \"{name}\" for this offset all year")
            }
            Ok(_) | Err(_) if self.hours == 0 && self.minutes == 0 => ", or \"UTC\"".to_owned(),
            Ok(_) | Err(_) => String::new(),
        }
    }
}

fn is_abbreviation(name: &str) -> bool {
    (2..=5).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The zone that was meant: a city without its continent, other letters, blanks, a slip in the city's name.
fn meant(name: &str) -> Option<Tz> {
    let written = name.trim().replace(' ', "_").to_lowercase();
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let zones = || TZ_VARIANTS.iter().copied();
    zones()
        .find(|zone| zone.name().to_lowercase() == written)
        .or_else(|| zones().find(|zone| city(zone.name()) == city(&written)))
        .or_else(|| {
            let slips = |zone: &Tz| strsim::damerau_levenshtein(&city(zone.name()), &city(&written));
            let most = (city(&written).chars().count() / 4).min(2);
            let near =
                zones().filter(|zone| !zone.name().starts_with("Etc/")).filter(|zone| slips(zone) <= most);
            near.min_by_key(slips)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_place_is_proposed_for_a_slip_alone() {
        let said: Vec<String> = [
            "GMT+2",
            "UTC-03:30",
            "+0530",
            "utc+0",
            "GMT-15",
            "CEST",
            "IST",
            "Berlin",
            "europe/berlin",
            "Europe/Brelin",
            "America/New York",
            "Europe/Bern",
            "Europe/Tokyo",
            "Mars/Olympus",
            "",
        ]
        .iter()
        .map(|name| unknown(name))
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        "GMT+2" is not a time zone but an offset, which says nothing of summer time: write the IANA name of a place, such as "Europe/Berlin", or "Etc/GMT-2" for this offset all year
        "UTC-03:30" is not a time zone but an offset, which says nothing of summer time: write the IANA name of a place, such as "Europe/Berlin"
        "+0530" is not a time zone but an offset, which says nothing of summer time: write the IANA name of a place, such as "Europe/Berlin"
        "utc+0" is not a time zone but an offset, which says nothing of summer time: write the IANA name of a place, such as "Europe/Berlin", or "UTC"
        "GMT-15" is not a time zone but an offset, which says nothing of summer time: write the IANA name of a place, such as "Europe/Berlin"
        "CEST" is not a time zone; abbreviations are ambiguous: write the IANA name of a place, such as "Europe/Berlin"
        "IST" is not a time zone; abbreviations are ambiguous: write the IANA name of a place, such as "Europe/Berlin"
        "Berlin" is not a time zone (did you mean "Europe/Berlin"?); write an IANA name
        "europe/berlin" is not a time zone (did you mean "Europe/Berlin"?); write an IANA name
        "Europe/Brelin" is not a time zone (did you mean "Europe/Berlin"?); write an IANA name
        "America/New York" is not a time zone (did you mean "America/New_York"?); write an IANA name
        "Europe/Bern" is not a time zone; write an IANA name
        "Europe/Tokyo" is not a time zone (did you mean "Asia/Tokyo"?); write an IANA name
        "Mars/Olympus" is not a time zone; write an IANA name
        "" is not a time zone; write an IANA name
        "#);
    }
}
