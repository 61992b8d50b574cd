//! From tokens to statements. Every name is resolved on the way, so that nothing a template reads stays unknown.

mod calls;
mod expressions;
mod primaries;

use super::ast::{Body, Capture, Expression, FilterCall, For, Link, Statement, StatementKind, Target};
use super::lexer::{self, Tag, Token, TokenKind};
use super::names::{Holds, Names};
use crate::facts::{FieldPath, ROOTS};
use crate::problem::{Problem, nearest_hint};

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

/// Statements of Jinja that there are not, with what to do instead.
const REFUSED: [(&str, &str); 15] = [
    ("autoescape", "what a template writes is plain text; use the filter escape"),
    ("block", "there is nothing to extend"),
    ("break", "choose with {% for x in list if … %}"),
    ("call", "there are no macros"),
    ("continue", "choose with {% for x in list if … %}"),
    ("debug", "look at the run with automation run explain"),
    ("do", "there is nothing to call"),
    ("extends", "there is nothing to extend"),
    ("filter", "use filters in expressions, or {% set x | upper %}…{% endset %}"),
    ("from", "there is nothing to include"),
    ("import", "there is nothing to include"),
    ("include", "there is nothing to include"),
    ("macro", "there are no macros; use for, or set with endset"),
    ("trans", "write the text"),
    ("unless", "write {% if not … %}"),
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
        paths: Vec::new(),
    };
    let (body, _) = parser.body(&[])?;
    Ok(Parsed { body, paths: parser.paths, slots: parser.names.slots() })
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
    paths: Vec<FieldPath>,
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

    fn statement(&mut self, word: &str) -> Result<StatementKind, Problem> {
        match word {
            "if" => self.if_statement(),
            "for" => self.for_statement(),
            "set" => self.set_statement(),
            "with" => self.with_statement(),
            _ => {
                if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| *refused == word) {
                    return Err(self.fault(&format!("there is no {{% {word} %}}: {instead}")));
                }
                let hint = nearest_hint(word, ["if", "for", "set", "with", "raw"]);
                Err(self.fault(&format!("there is no statement {word} here{hint}")))
            }
        }
    }

    fn if_statement(&mut self) -> Result<StatementKind, Problem> {
        let (mut branches, mut otherwise) = (Vec::new(), Body::default());
        loop {
            let condition = self.expression()?;
            self.close(Tag::Statement)?;
            let (body, end) = self.body(&["elif", "else", "endif"])?;
            branches.push((condition, body));
            if end == "elif" {
                continue;
            }
            if end == "else" {
                self.close(Tag::Statement)?;
                otherwise = self.body(&["endif"])?.0;
            }
            self.close(Tag::Statement)?;
            return Ok(StatementKind::If(branches.into(), otherwise));
        }
    }

    fn for_statement(&mut self) -> Result<StatementKind, Problem> {
        let names = self.target_names()?;
        self.expect_word("in")?;
        let list = self.either()?;
        self.names.enter();
        let begin = self.names.slots();
        let target = self.declare(&names);
        let condition = if self.take_word("if") { Some(self.expression()?) } else { None };
        if self.take_word("recursive") {
            return Err(self.fault("a loop cannot be recursive"));
        }
        self.close(Tag::Statement)?;
        self.loops += 1;
        let (body, end) = self.body(&["else", "endfor"])?;
        self.loops -= 1;
        let inner = begin..self.names.slots();
        self.names.leave();
        let mut otherwise = Body::default();
        if end == "else" {
            self.close(Tag::Statement)?;
            otherwise = self.body(&["endfor"])?.0;
        }
        self.close(Tag::Statement)?;
        Ok(StatementKind::For(Box::new(For { target, list, condition, body, otherwise, inner })))
    }

    fn set_statement(&mut self) -> Result<StatementKind, Problem> {
        if self.is_sign_at(1, ".") {
            return self.set_member();
        }
        let names = self.target_names()?;
        if self.take_sign("=") {
            if let ([name], true) = (names.as_slice(), self.takes_namespace()) {
                let members = self.keyword_members()?;
                self.close(Tag::Statement)?;
                let slot = self.names.declare_namespace(name);
                return Ok(StatementKind::Set(Target::One(slot), members));
            }
            let first = self.expression()?;
            let value = if self.is_sign(",") { self.rest_of_list(first, None)? } else { first };
            self.close(Tag::Statement)?;
            return Ok(StatementKind::Set(self.declare(&names), value));
        }
        let [name] = names.as_slice() else {
            return Err(self.fault("= is missing after the names"));
        };
        let mut filters: Vec<FilterCall> = Vec::new();
        while self.take_sign("|") {
            let Link::Filter(call) = self.filter()? else {
                return Err(self.fault("only filters of texts can stand here"));
            };
            filters.push(call);
        }
        self.close(Tag::Statement)?;
        let (body, _) = self.body(&["endset"])?;
        self.close(Tag::Statement)?;
        let slot = self.names.declare(name);
        Ok(StatementKind::Capture(Box::new(Capture { slot, filters, body })))
    }

    fn set_member(&mut self) -> Result<StatementKind, Problem> {
        let name = self.name("a name")?;
        self.expect_sign(".")?;
        let member = self.name("the name of a member")?;
        let variable = self.names.find(name).into_iter().next();
        let Some(variable) = variable.filter(|variable| variable.holds == Holds::Namespace) else {
            return Err(self.fault(&format!(
                "members can be set of a namespace only: begin with {{% set {name} = namespace({member}=…) %}}"
            )));
        };
        self.expect_sign("=")?;
        let value = self.expression()?;
        self.close(Tag::Statement)?;
        Ok(StatementKind::SetMember(Box::new((variable.slot, member.to_owned(), value))))
    }

    fn with_statement(&mut self) -> Result<StatementKind, Problem> {
        self.names.enter();
        let mut assignments = Vec::new();
        while !self.is_close() {
            if !assignments.is_empty() {
                self.expect_sign(",")?;
            }
            let names = self.target_names()?;
            self.expect_sign("=")?;
            let value = self.expression()?;
            assignments.push((self.declare(&names), value));
        }
        self.close(Tag::Statement)?;
        let (body, _) = self.body(&["endwith"])?;
        self.close(Tag::Statement)?;
        self.names.leave();
        Ok(StatementKind::With(assignments.into(), body))
    }

    /// `name`, or `name, name` with or without brackets.
    fn target_names(&mut self) -> Result<Vec<&'s str>, Problem> {
        let in_brackets = self.take_sign("(");
        let mut names = vec![self.variable_name()?];
        while self.take_sign(",") {
            names.push(self.variable_name()?);
        }
        if in_brackets {
            self.expect_sign(")")?;
        }
        Ok(names)
    }

    fn variable_name(&mut self) -> Result<&'s str, Problem> {
        let name = self.name("the name of a variable")?;
        if ROOTS.contains(&name) {
            let message = format!("a variable of a template cannot be called {}", ROOTS.join(", "));
            return Err(Problem::new("bad_template", self.at, message));
        }
        if WORDS.contains(&name) {
            return Err(self.fault(&format!("a variable cannot be called {name}")));
        }
        Ok(name)
    }

    fn declare(&mut self, names: &[&str]) -> Target {
        match names {
            [name] => Target::One(self.names.declare(name)),
            _ => Target::Several(names.iter().map(|name| self.names.declare(name)).collect()),
        }
    }

    /// `namespace(` comes next, and is not a variable.
    fn takes_namespace(&mut self) -> bool {
        let comes = self.is_word("namespace") && self.is_sign_at(1, "(");
        if comes {
            self.position += 1;
        }
        comes
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
