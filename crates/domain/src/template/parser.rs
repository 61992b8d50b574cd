//! From tokens to statements. Every name is resolved on the way, so that nothing a template reads stays unknown.

mod calls;
mod expressions;
mod primaries;
mod statements;

use super::ast::{Body, Expression, Statement, StatementKind};
use super::lexer::{self, Tag, Token, TokenKind};
use super::names::Names;
use crate::facts::FieldPath;
use crate::problem::Problem;
use std::collections::BTreeMap;

/// A template that was read.
pub(super) struct Parsed {
    pub(super) body: Body,
    /// What it reads, each path once.
    pub(super) paths: Vec<FieldPath>,
    /// How many variables it has.
    pub(super) slots: usize,
}

/// Deepest nesting of expressions and statements. What stands beside each other, as in `a + b + c`, is one level.
const MAX_NESTING: u32 = 48;

/// Most parts of one template: names, values, operators, tags.
const MAX_PARTS: usize = 10_000;

/// Words that mean something, and cannot be the name of a variable.
const WORDS: [&str; 17] = [
    "and", "elif", "else", "endfor", "endif", "endset", "endwith", "false", "for", "if", "in", "is", "loop",
    "none", "not", "or", "true",
];

/// Reads a template; `at` is where it stands in the definition.
pub(super) fn parse(source: &str, at: &str) -> Result<Parsed, Problem> {
    let tokens = lexer::tokens(source).map_err(|(message, line)| fault(at, &message, line))?;
    let parts = tokens.iter().filter(|token| !matches!(token.kind, TokenKind::Data(_))).count();
    if parts > MAX_PARTS {
        let message = format!("it has {parts} words, values and signs; at most {MAX_PARTS} are allowed");
        return Err(fault(at, &message, 1));
    }
    let mut parser = Parser {
        source,
        at,
        tokens,
        position: 0,
        depth: 0,
        names: Names::new(),
        loops: 0,
        paths: BTreeMap::new(),
    };
    let (body, _) = parser.body(&[])?;
    let mut paths: Vec<(FieldPath, usize)> = parser.paths.into_iter().collect();
    paths.sort_by_key(|(_, number)| *number);
    let paths = paths.into_iter().map(|(path, _)| path).collect();
    Ok(Parsed { body, paths, slots: parser.names.slots() })
}

struct Parser<'s> {
    source: &'s str,
    at: &'s str,
    tokens: Vec<Token<'s>>,
    position: usize,
    depth: u32,
    names: Names,
    /// Loops that the parser is in.
    loops: u32,
    /// What it reads, each with its number.
    paths: BTreeMap<FieldPath, usize>,
}

fn fault(at: &str, message: &str, line: u32) -> Problem {
    let place = if line > 1 { format!(" (line {line})") } else { String::new() };
    Problem::new("bad_template", at, format!("not a template: {message}{place}"))
}

impl<'s> Parser<'s> {
    /// Statements up to one of `ends`, or the end of the template; gives the word that ended them.
    fn body(&mut self, ends: &[&str]) -> Result<(Body, &'s str), Problem> {
        let mut statements = Vec::new();
        while let Some(token) = self.next() {
            let kind = if let TokenKind::Data(data) = token.kind {
                StatementKind::Data(data.into())
            } else if token.kind == TokenKind::Open(Tag::Expression) {
                let expression = self.expression()?;
                self.close(Tag::Expression)?;
                StatementKind::Write(expression)
            } else {
                let word = self.name("a statement")?;
                if ends.contains(&word) {
                    return Ok((statements.into(), word));
                }
                self.nested(|parser| parser.statement(word))?
            };
            statements.push(Statement { line: token.line, kind });
        }
        match ends.last() {
            None => Ok((statements.into(), "")),
            Some(end) => Err(self.fault(&format!("{{% {end} %}} is missing"))),
        }
    }

    /// Reads one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Problem>) -> Result<T, Problem> {
        if self.depth >= MAX_NESTING {
            return Err(self.fault(&format!("it is nested more than {MAX_NESTING} deep")));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn fault(&self, message: &str) -> Problem {
        let token = self.tokens.get(self.position.saturating_sub(1));
        fault(self.at, message, token.map_or(1, |token| token.line))
    }

    fn next(&mut self) -> Option<Token<'s>> {
        let token = self.tokens.get(self.position).cloned();
        self.position += usize::from(token.is_some());
        token
    }

    fn peek(&self) -> Option<&TokenKind<'s>> {
        self.tokens.get(self.position).map(|token| &token.kind)
    }

    fn name(&mut self, what: &str) -> Result<&'s str, Problem> {
        match self.peek() {
            Some(TokenKind::Name(name)) => {
                let name = *name;
                self.position += 1;
                Ok(name)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(TokenKind::Name(name)) if *name == word)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let takes = self.is_word(word);
        self.position += usize::from(takes);
        takes
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Problem> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    fn is_sign(&self, sign: &str) -> bool {
        self.is_sign_at(0, sign)
    }

    fn is_sign_at(&self, ahead: usize, sign: &str) -> bool {
        let token = self.tokens.get(self.position + ahead);
        matches!(token.map(|token| &token.kind), Some(TokenKind::Sign(found)) if *found == sign)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let takes = self.is_sign(sign);
        self.position += usize::from(takes);
        takes
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), Problem> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected(sign)) }
    }

    fn is_close(&self) -> bool {
        matches!(self.peek(), Some(TokenKind::Close(_)))
    }

    fn close(&mut self, tag: Tag) -> Result<(), Problem> {
        if self.peek() == Some(&TokenKind::Close(tag)) {
            self.position += 1;
            return Ok(());
        }
        Err(self.unexpected(tag.close()))
    }

    /// Something else comes than `expected`.
    fn unexpected(&mut self, expected: &str) -> Problem {
        let found = self.next().map(|token| match token.kind {
            TokenKind::Name(name) | TokenKind::Digits(name) => name.to_owned(),
            TokenKind::Text(text) => format!("{text:?}"),
            TokenKind::Number(number) => number.to_string(),
            TokenKind::Sign(sign) => sign.to_owned(),
            TokenKind::Open(tag) => tag.open().to_owned(),
            TokenKind::Close(tag) => tag.close().to_owned(),
            TokenKind::Data(_) => "text".to_owned(),
        });
        self.fault(&match found {
            Some(found) => format!("{expected} is expected, and {found} comes"),
            None => format!("{expected} is expected, and the end comes"),
        })
    }

    /// `first` and what follows it behind commas, up to `end`; without one, as far as the commas go.
    fn rest_of_list(&mut self, first: Expression, end: Option<&str>) -> Result<Expression, Problem> {
        let mut items = vec![first];
        while self.take_sign(",") {
            if self.is_close() || end.is_some_and(|end| self.is_sign(end)) {
                break;
            }
            items.push(self.expression()?);
        }
        if let Some(end) = end {
            self.expect_sign(end)?;
        }
        Ok(Expression::List(items.into()))
    }
}
