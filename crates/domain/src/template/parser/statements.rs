//! Statements, behind `{%`.

use super::{Parser, WORDS};
use crate::facts::RESERVED;
use crate::problem::{Problem, nearest_hint};
use crate::template::ast::{Body, Capture, FilterCall, For, Link, StatementKind, Target};
use crate::template::lexer::Tag;
use crate::template::names::Holds;

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

impl<'s> Parser<'s> {
    pub(super) fn statement(&mut self, word: &str) -> Result<StatementKind, Problem> {
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
        if RESERVED.contains(&name) {
            let message = format!("a variable of a template cannot be called {}", RESERVED.join(", "));
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
}
