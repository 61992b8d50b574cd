//! One form of a secret, and the search for it whatever escapes its characters are written with.

use zeroize::Zeroizing;

/// Most backslashes before an escaped byte: each time that a text is escaped once more doubles them.
const MOST_BACKSLASHES: usize = 8;

/// Longest way to write one byte: `\u002f` with all the backslashes.
const LONGEST_ESCAPE: usize = MOST_BACKSLASHES + 5;

/// Most bytes of a line's end between two bytes.
const MOST_BREAKS: usize = 2;

/// Most steps of a search for each byte of a text. Only a text that was made for it needs more, and is blanked as a whole:
/// whoever answers cannot hold up the process.
const STEPS_PER_BYTE: usize = 8;

/// Named characters of HTML that escaping makes.
const NAMED: [(&[u8], u8); 5] =
    [(b"amp;", b'&'), (b"lt;", b'<'), (b"gt;", b'>'), (b"quot;", b'"'), (b"apos;", b'\'')];

/// A form of a secret.
pub(crate) struct Form {
    bytes: Zeroizing<Vec<u8>>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its characters, each as it is or escaped for a URL, JSON or HTML.
    Text,
    /// Its characters in base64, of either alphabet, escaped or not, over several lines or not.
    Base64,
    /// Two digits for each byte.
    Hex,
}

impl Form {
    pub(crate) fn text(secret: &str) -> Self {
        Self { bytes: Zeroizing::new(secret.as_bytes().to_vec()), kind: Kind::Text }
    }

    /// Of what was encoded already.
    pub(crate) fn base64(encoded: &str) -> Self {
        Self { bytes: Zeroizing::new(encoded.as_bytes().to_vec()), kind: Kind::Base64 }
    }

    pub(crate) fn hex(secret: &[u8]) -> Self {
        Self { bytes: Zeroizing::new(secret.to_vec()), kind: Kind::Hex }
    }

    /// Most bytes that it takes in a text.
    pub(crate) fn longest(&self) -> usize {
        match self.kind {
            Kind::Text => self.bytes.len() * LONGEST_ESCAPE,
            // Only what the alphabets have beside letters and digits is ever escaped.
            Kind::Base64 => {
                let letters = self.bytes.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
                let others = self.bytes.len() - letters;
                letters * (MOST_BREAKS + 1) + others * (MOST_BREAKS + LONGEST_ESCAPE)
            }
            Kind::Hex => self.bytes.len() * (MOST_BREAKS + 2),
        }
    }

    /// The text with something else in its place; `None` where it is not in it.
    pub(crate) fn replace(&self, text: &str, blank: &str) -> Option<String> {
        let (all, mut replaced, mut copied, mut at) = (text.as_bytes(), String::new(), 0, 0);
        let mut steps_left = all.len() * STEPS_PER_BYTE;
        while at < all.len() {
            let end = self.end_of_match(all, at, &mut steps_left);
            if steps_left == 0 {
                return Some(blank.to_owned());
            }
            match end {
                // A match begins and ends with whole characters: what it is made of is whole, or ASCII.
                Some(end) if text.is_char_boundary(at) && text.is_char_boundary(end) => {
                    replaced.push_str(&text[copied..at]);
                    replaced.push_str(blank);
                    (copied, at) = (end, end);
                }
                Some(_) | None => at += 1,
            }
        }
        if copied == 0 {
            return None;
        }
        replaced.push_str(&text[copied..]);
        Some(replaced)
    }

    /// Where a match that begins here ends. What is written may be read in several ways (`%25` is a percent sign, or
    /// three characters), so all places that it could go on at are followed, as long as there are steps left.
    fn end_of_match(&self, text: &[u8], at: usize, steps_left: &mut usize) -> Option<usize> {
        let first = self.bytes.first()?;
        if !self.may_begin(*first, *text.get(at)?) {
            return None;
        }
        let (mut places, mut next) = (vec![at], Vec::new());
        for byte in self.bytes.iter() {
            for place in places.drain(..) {
                self.step(*byte, text, place, &mut next);
                *steps_left = steps_left.saturating_sub(1);
            }
            if next.is_empty() || *steps_left == 0 {
                return None;
            }
            next.sort_unstable();
            next.dedup();
            std::mem::swap(&mut places, &mut next);
        }
        places.last().copied()
    }

    /// Whether the first byte of the secret may be written beginning with this one. Few are, so most of a text is passed
    /// over at once; a line's end never is, so a match does not begin with one.
    fn may_begin(&self, first: u8, read: u8) -> bool {
        let escapes = matches!(read, b'%' | b'\\' | b'&');
        match self.kind {
            Kind::Text => read == first || escapes || (read == b'+' && first == b' '),
            Kind::Base64 => {
                read == first || twins(first).contains(&read) || (escapes && !first.is_ascii_alphanumeric())
            }
            Kind::Hex => char::from(read).to_digit(16) == Some(u32::from(first >> 4)),
        }
    }

    /// Adds every place behind one byte of the secret.
    fn step(&self, byte: u8, text: &[u8], at: usize, next: &mut Vec<usize>) {
        match self.kind {
            Kind::Text => {
                if text.get(at).is_some_and(|read| *read == byte || (*read == b'+' && byte == b' ')) {
                    next.push(at + 1);
                }
                escaped(byte, text, at, next);
            }
            Kind::Base64 => {
                let at = after_breaks(text, at);
                if text.get(at).is_some_and(|read| *read == byte || twins(byte).contains(read)) {
                    next.push(at + 1);
                }
                if !byte.is_ascii_alphanumeric() {
                    escaped(byte, text, at, next);
                }
            }
            Kind::Hex => {
                let at = after_breaks(text, at);
                if number(text, at, 2, 16) == Some(byte.into()) {
                    next.push(at + 2);
                }
            }
        }
    }
}

/// What else may stand for a character of base64: the same of the other alphabet, or what became of it in a URL.
fn twins(byte: u8) -> &'static [u8] {
    match byte {
        b'+' => b"- ",
        b'/' => b"_",
        _ => b"",
    }
}

fn after_breaks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take(MOST_BREAKS).take_while(|read| matches!(read, b'\r' | b'\n')).count()
}

/// Adds the place behind an escape of this byte.
fn escaped(byte: u8, text: &[u8], at: usize, next: &mut Vec<usize>) {
    let value = Some(u32::from(byte));
    match text.get(at) {
        Some(b'%') if number(text, at + 1, 2, 16) == value => next.push(at + 3),
        // What is escaped may be escaped once more.
        Some(b'\\') => {
            let run = text[at..].iter().take(MOST_BACKSLASHES).take_while(|read| **read == b'\\').count();
            let behind = at + run;
            match text.get(behind) {
                _ if byte == b'\\' => next.extend(at + 1..=behind),
                Some(b'u') if number(text, behind + 1, 4, 16) == value => next.push(behind + 5),
                Some(b'x') if number(text, behind + 1, 2, 16) == value => next.push(behind + 3),
                Some(read) if *read == byte && !byte.is_ascii_alphanumeric() => next.push(behind + 1),
                Some(_) | None => {}
            }
        }
        Some(b'&') => {
            let rest = text.get(at + 1..).unwrap_or_default();
            let named = NAMED.iter().find(|(name, named)| *named == byte && rest.starts_with(name));
            next.extend(named.map(|(name, _)| at + 1 + name.len()));
            let digits = rest.iter().take(8).position(|read| *read == b';').unwrap_or_default();
            let numbered = match rest {
                [b'#', b'x' | b'X', ..] if digits > 2 => number(rest, 2, digits - 2, 16),
                [b'#', ..] if digits > 1 => number(rest, 1, digits - 1, 10),
                _ => None,
            };
            if numbered == value {
                next.push(at + 1 + digits + 1);
            }
        }
        Some(_) | None => {}
    }
}

/// The number that so many digits make.
fn number(text: &[u8], at: usize, digits: usize, base: u32) -> Option<u32> {
    let digits = text.get(at..at + digits)?;
    digits.iter().try_fold(0_u32, |number, digit| Some(number * base + char::from(*digit).to_digit(base)?))
}
