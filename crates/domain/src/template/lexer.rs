//! From the text of a template to its tokens: what is written as it is, and what stands in tags.

use super::number::Number;
use crate::{path, quoted};

/// A token and the line that it begins on.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token<'s> {
    pub(super) kind: TokenKind<'s>,
    pub(super) line: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum TokenKind<'s> {
    /// What is written as it is.
    Data(&'s str),
    /// `{{` or `{%`
    Open(Tag),
    /// `}}` or `%}`
    Close(Tag),
    Name(&'s str),
    Text(String),
    Number(serde_json::Number),
    /// Digits behind a dot: the number of a member, or a name that looks like one.
    Digits(&'s str),
    Sign(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tag {
    /// `{{ … }}`
    Expression,
    /// `{% … %}`
    Statement,
}

impl Tag {
    pub(super) fn open(self) -> &'static str {
        match self {
            Self::Expression => "{{",
            Self::Statement => "{%",
        }
    }

    pub(super) fn close(self) -> &'static str {
        match self {
            Self::Expression => "}}",
            Self::Statement => "%}",
        }
    }
}

/// What is wrong, and on which line.
pub(super) type Fault = (String, u32);

/// Longest first, so that `**` is not two `*`.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "**", "//", "<", ">", "=", "+", "-", "*", "/", "%", "~", "|", ".", ",", ":", "(",
    ")", "[", "]", "{",
];

/// Cuts a template into tokens.
///
/// # Errors
///
/// A tag, comment, text or `raw` without its end, a number that is too large, a character that means nothing.
pub(super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut lexer = Lexer { rest: source, line: 1, tokens: Vec::new(), trims: false };
    lexer.template()?;
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    rest: &'s str,
    line: u32,
    tokens: Vec<Token<'s>>,
    /// Whether the tag before ended with a `-`, which takes away the white space behind it.
    trims: bool,
}

/// The tag `{% raw %}` or another of one word: the word, its length in bytes, and whether its ends are trimmed.
struct Word<'s> {
    word: &'s str,
    length: usize,
    trims_before: bool,
    trims_behind: bool,
}

impl<'s> Lexer<'s> {
    fn template(&mut self) -> Result<(), Fault> {
        loop {
            let begin = tag_begin(self.rest).unwrap_or(self.rest.len());
            let data = self.advance(begin);
            self.data(data);
            if self.rest.is_empty() {
                return Ok(());
            }
            let trims = self.rest[2..].starts_with('-');
            if trims {
                self.trim_last();
            }
            match &self.rest[..2] {
                "{#" => self.comment()?,
                "{%" if tag_of_one_word(self.rest).is_some_and(|tag| tag.word == "raw") => self.raw()?,
                "{%" => self.tag(Tag::Statement)?,
                _ => self.tag(Tag::Expression)?,
            }
        }
    }

    fn data(&mut self, data: &'s str) {
        let data = if std::mem::take(&mut self.trims) { data.trim_start() } else { data };
        if !data.is_empty() {
            self.push(TokenKind::Data(data));
        }
    }

    fn trim_last(&mut self) {
        if let Some(Token { kind: TokenKind::Data(data), .. }) = self.tokens.last_mut() {
            *data = data.trim_end();
        }
    }

    fn comment(&mut self) -> Result<(), Fault> {
        let line = self.line;
        let end = self.rest.find("#}").ok_or_else(|| ("the comment has no #}".to_owned(), line))?;
        let comment = self.advance(end + 2);
        self.trims = comment.len() > 4 && comment.ends_with("-#}");
        Ok(())
    }

    fn raw(&mut self) -> Result<(), Fault> {
        let line = self.line;
        let missing = || ("{% raw %} has no {% endraw %}".to_owned(), line);
        let open = tag_of_one_word(self.rest).ok_or_else(missing)?;
        self.advance(open.length);
        self.trims = open.trims_behind;
        let (mut length, mut rest) = (0, self.rest);
        let close = loop {
            let begin = rest.find("{%").ok_or_else(missing)?;
            length += begin;
            match tag_of_one_word(&rest[begin..]) {
                Some(tag) if tag.word == "endraw" => break tag,
                Some(_) | None => {
                    length += 2;
                    rest = &rest[begin + 2..];
                }
            }
        };
        let data = self.advance(length);
        self.data(if close.trims_before { data.trim_end() } else { data });
        self.advance(close.length);
        self.trims = close.trims_behind;
        Ok(())
    }

    fn tag(&mut self, tag: Tag) -> Result<(), Fault> {
        self.push(TokenKind::Open(tag));
        self.advance(tag.open().len());
        if self.rest.starts_with(['-', '+']) {
            self.advance(1);
        }
        let (line, mut brackets) = (self.line, 0_usize);
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if self.rest.is_empty() {
                return Err((format!("{} has no {}", tag.open(), tag.close()), line));
            }
            // Within brackets the end of an expression is the end of two objects.
            if brackets == 0 {
                let trimmed = self.rest.strip_prefix('-').filter(|rest| rest.starts_with(tag.close()));
                if trimmed.is_some() || self.rest.starts_with(tag.close()) {
                    self.push(TokenKind::Close(tag));
                    self.trims = trimmed.is_some();
                    self.advance(tag.close().len() + usize::from(self.trims));
                    return Ok(());
                }
            }
            if let TokenKind::Sign(sign) = self.token()? {
                brackets += usize::from(matches!(sign, "(" | "[" | "{"));
                brackets = brackets.saturating_sub(usize::from(matches!(sign, ")" | "]" | "}")));
            }
        }
    }

    /// One token within a tag.
    fn token(&mut self) -> Result<TokenKind<'s>, Fault> {
        let line = self.line;
        let fault = |message: &str| (message.to_owned(), line);
        let first = self.rest.chars().next().ok_or_else(|| fault("there is nothing here"))?;
        let kind = if path::starts_name(first) {
            let length = self.rest.find(|character| !path::continues_name(character));
            TokenKind::Name(self.advance(length.unwrap_or(self.rest.len())))
        } else if first.is_ascii_digit() {
            self.number()?
        } else if matches!(first, '"' | '\'') {
            let (text, length) = quoted::read(self.rest).map_err(fault)?;
            self.advance(length);
            TokenKind::Text(text)
        } else if first == '}' {
            self.advance(1);
            TokenKind::Sign("}")
        } else {
            let sign = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign));
            let sign = sign.ok_or_else(|| (format!("{} means nothing here", first.escape_debug()), line))?;
            self.advance(sign.len());
            TokenKind::Sign(sign)
        };
        self.tokens.push(Token { kind: kind.clone(), line });
        Ok(kind)
    }

    fn number(&mut self) -> Result<TokenKind<'s>, Fault> {
        let line = self.line;
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = digits(self.rest);
        if matches!(self.tokens.last(), Some(Token { kind: TokenKind::Sign("."), .. })) {
            return Ok(TokenKind::Digits(self.advance(length)));
        }
        let mut is_whole = true;
        if self.rest[length..].starts_with('.') && digits(&self.rest[length + 1..]) > 0 {
            length += 1 + digits(&self.rest[length + 1..]);
            is_whole = false;
        }
        if self.rest[length..].starts_with(['e', 'E']) {
            let exponent = &self.rest[length + 1..];
            let sign = usize::from(exponent.starts_with(['+', '-']));
            if digits(&exponent[sign..]) > 0 {
                length += 1 + sign + digits(&exponent[sign..]);
                is_whole = false;
            }
        }
        let text = self.advance(length);
        let number = if is_whole {
            text.parse().ok().and_then(Number::whole)
        } else {
            text.parse().ok().and_then(Number::decimal)
        };
        number
            .map(|number| TokenKind::Number(number.to_json()))
            .ok_or_else(|| (format!("the number {text} is too large"), line))
    }

    fn push(&mut self, kind: TokenKind<'s>) {
        self.tokens.push(Token { kind, line: self.line });
    }

    /// Goes on by this many bytes, and gives them.
    fn advance(&mut self, bytes: usize) -> &'s str {
        let (passed, rest) = self.rest.split_at(bytes);
        let lines = passed.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        passed
    }
}

/// Where the next tag begins.
fn tag_begin(text: &str) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| matches!(pair, b"{{" | b"{%" | b"{#"))
}

/// `{% word %}` at the beginning of `text`.
fn tag_of_one_word(text: &str) -> Option<Word<'_>> {
    let inner = text.strip_prefix("{%")?;
    let trims_before = inner.starts_with('-');
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start();
    let word = inner.split(|character| !path::continues_name(character)).next()?;
    let behind = inner[word.len()..].trim_start();
    let trims_behind = behind.starts_with('-');
    let behind = behind.strip_prefix(['-', '+']).unwrap_or(behind).strip_prefix("%}")?;
    Some(Word { word, length: text.len() - behind.len(), trims_before, trims_behind })
}
