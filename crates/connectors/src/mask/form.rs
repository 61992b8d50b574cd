//! One form of a secret, and the search for it whatever escapes its characters are written with.

use zeroize::Zeroizing;

/// Most backslashes before an escaped byte: each time that a text is escaped once more doubles them.
const MOST_BACKSLASHES: usize = 8;

/// Longest way to write one byte: `&amp;amp;#x0002F;`, or `\u005c\u005cu002f`.
const LONGEST_ESCAPE: usize = 18;

/// Longest character in UTF-8, in bytes.
const LONGEST_CHARACTER: usize = 4;

/// How often what begins an escape may be escaped itself.
const MOST_NESTED: usize = 2;

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
        // Places behind the next bytes of the secret: an escape may stand for as many as a character has.
        let mut ahead: [Vec<usize>; LONGEST_CHARACTER + 1] = Default::default();
        let mut places = vec![at];
        for index in 0..self.bytes.len() {
            for place in places.drain(..) {
                self.step(index, text, place, &mut ahead);
                *steps_left = steps_left.saturating_sub(1);
            }
            ahead.rotate_left(1);
            if ahead.iter().all(Vec::is_empty) || *steps_left == 0 {
                return None;
            }
            std::mem::swap(&mut places, &mut ahead[0]);
            places.sort_unstable();
            places.dedup();
        }
        places.last().copied()
    }

    /// The character of several bytes that begins here.
    fn character(&self, index: usize) -> Option<char> {
        if self.bytes[index] < 0xc0 {
            return None;
        }
        let end = self.bytes.len().min(index + LONGEST_CHARACTER);
        self.bytes[index..end].utf8_chunks().next()?.valid().chars().next()
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

    /// Adds every place behind one byte of the secret, or behind the character that it begins, to those so many bytes ahead.
    fn step(&self, index: usize, text: &[u8], at: usize, ahead: &mut [Vec<usize>; LONGEST_CHARACTER + 1]) {
        let byte = self.bytes[index];
        if self.kind == Kind::Text
            && let Some(character) = self.character(index)
        {
            numbered(character.into(), text, at, &mut ahead[character.len_utf8()]);
        }
        let next = &mut ahead[1];
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

/// Adds the places behind escapes of this byte.
fn escaped(byte: u8, text: &[u8], at: usize, next: &mut Vec<usize>) {
    // Most of a text begins no escape.
    let Some(b'%' | b'\\' | b'&') = text.get(at) else { return };
    for behind in behind_introducer(b'%', text, at, MOST_NESTED) {
        if number(text, behind, 2, 16) == Some(byte.into()) {
            next.push(behind + 2);
        }
    }
    for behind in behind_backslashes(text, at) {
        match text.get(behind) {
            _ if byte == b'\\' => next.push(behind),
            Some(read) if *read == byte && !byte.is_ascii_alphanumeric() => next.push(behind + 1),
            Some(_) | None => {}
        }
    }
    for behind in behind_introducer(b'&', text, at, MOST_NESTED) {
        let rest = text.get(behind..).unwrap_or_default();
        let named = NAMED.iter().find(|(name, named)| *named == byte && rest.starts_with(name));
        next.extend(named.map(|(name, _)| behind + name.len()));
    }
    numbered(byte.into(), text, at, next);
}

/// Adds the places behind escapes of this character by its number: for JSON, for programs, or for HTML.
fn numbered(character: u32, text: &[u8], at: usize, next: &mut Vec<usize>) {
    let Some(b'%' | b'\\' | b'&') = text.get(at) else { return };
    for behind in behind_backslashes(text, at) {
        match text.get(behind) {
            Some(b'u') => next.extend(behind_unicode(character, text, behind)),
            Some(b'x') if number(text, behind + 1, 2, 16) == Some(character) => next.push(behind + 3),
            Some(_) | None => {}
        }
    }
    for behind in behind_introducer(b'&', text, at, MOST_NESTED) {
        let rest = text.get(behind..).unwrap_or_default();
        let digits = rest.iter().take(10).position(|read| *read == b';').unwrap_or_default();
        let found = match rest {
            [b'#', b'x' | b'X', ..] if digits > 2 => number(rest, 2, digits - 2, 16),
            [b'#', ..] if digits > 1 => number(rest, 1, digits - 1, 10),
            _ => None,
        };
        if found == Some(character) {
            next.push(behind + digits + 1);
        }
    }
}

/// The place behind `u002f`, or behind both halves of a character beyond 16 bits, the second with its own backslashes.
fn behind_unicode(character: u32, text: &[u8], at: usize) -> Option<usize> {
    let mut halves = [0; 2];
    let encoded = char::from_u32(character)?.encode_utf16(&mut halves);
    let (first, rest) = encoded.split_first()?;
    if number(text, at + 1, 4, 16) != Some((*first).into()) {
        return None;
    }
    let Some(second) = rest.first() else { return Some(at + 5) };
    let is_second = |behind: &usize| {
        text.get(*behind) == Some(&b'u') && number(text, *behind + 1, 4, 16) == Some((*second).into())
    };
    behind_backslashes(text, at + 5).into_iter().find(is_second).map(|behind| behind + 5)
}

/// Places behind backslashes: what is escaped may be escaped once more, and each time doubles them.
fn behind_backslashes(text: &[u8], at: usize) -> Vec<usize> {
    let run = text.get(at..).unwrap_or_default().iter().take(MOST_BACKSLASHES);
    let run = run.take_while(|read| **read == b'\\').count();
    let mut places: Vec<usize> = (at + 1..=at + run).collect();
    // Or they are escaped in another way, alone or doubled.
    if run == 0 || text.get(at + 1) == Some(&b'u') {
        let once = behind_introducer(b'\\', text, at, MOST_NESTED);
        let twice = once.iter().flat_map(|behind| behind_introducer(b'\\', text, *behind, MOST_NESTED));
        places.extend(once.iter().copied().chain(twice.collect::<Vec<_>>()));
    }
    places
}

/// Places behind what begins an escape, as it is or escaped up to `nested` times itself.
fn behind_introducer(introducer: u8, text: &[u8], at: usize, nested: usize) -> Vec<usize> {
    let mut places = Vec::new();
    match text.get(at) {
        Some(read) if *read == introducer => places.push(at + 1),
        Some(b'%' | b'\\' | b'&') => {}
        Some(_) | None => return places,
    }
    if nested == 0 {
        return places;
    }
    for behind in behind_introducer(b'%', text, at, nested - 1) {
        if number(text, behind, 2, 16) == Some(introducer.into()) {
            places.push(behind + 2);
        }
    }
    if text.get(at) == Some(&b'\\')
        && text.get(at + 1) == Some(&b'u')
        && number(text, at + 2, 4, 16) == Some(introducer.into())
    {
        places.push(at + 6);
    }
    if introducer == b'&' {
        for behind in behind_introducer(b'&', text, at, nested - 1) {
            if text.get(behind..).is_some_and(|rest| rest.starts_with(b"amp;")) {
                places.push(behind + 4);
            }
        }
    }
    places
}

/// The number that so many digits make.
fn number(text: &[u8], at: usize, digits: usize, base: u32) -> Option<u32> {
    let digits = text.get(at..at + digits)?;
    digits.iter().try_fold(0_u32, |number, digit| Some(number * base + char::from(*digit).to_digit(base)?))
}
