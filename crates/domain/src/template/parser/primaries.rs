//! What expressions are made of: values, names, brackets, and the way into a value.

use super::{Parser, WORDS};
use crate::facts::{FieldPath, ROOTS};
use crate::path::Path;
use crate::problem::{Problem, nearest_hint};
use crate::template::ast::{Expression, Link, LoopMember};
use crate::template::lexer::TokenKind;

/// Functions that are called by name; `namespace` can stand in `set` only.
const FUNCTIONS: [&str; 2] = ["range", "dict"];

/// What people call as a method elsewhere, and what to write here.
const METHODS: [(&str, &str); 12] = [
    ("capitalize", "| capitalize"),
    ("get", "[…] | default(…)"),
    ("items", "| items"),
    ("join", "list | join(…)"),
    ("keys", "| list"),
    ("lower", "| lower"),
    ("replace", "| replace(…)"),
    ("split", "| split(…)"),
    ("startswith", "is startingwith(…)"),
    ("strip", "| trim"),
    ("title", "| title"),
    ("upper", "| upper"),
];

impl<'s> Parser<'s> {
    pub(super) fn primary(&mut self) -> Result<Expression, Problem> {
        match self.peek().cloned() {
            Some(TokenKind::Number(number)) => self.literal(Expression::Number(number)),
            Some(TokenKind::Text(text)) => self.literal(Expression::Text(text.into())),
            Some(TokenKind::Name(name)) => {
                self.position += 1;
                self.named(name)
            }
            Some(TokenKind::Sign("(")) => self.brackets(),
            Some(TokenKind::Sign("[")) => self.list(),
            Some(TokenKind::Sign("{")) => self.object(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn literal(&mut self, literal: Expression) -> Result<Expression, Problem> {
        self.position += 1;
        Ok(literal)
    }

    /// `(a)`, or a list: `()`, `(a, b)`.
    fn brackets(&mut self) -> Result<Expression, Problem> {
        self.expect_sign("(")?;
        if self.take_sign(")") {
            return Ok(Expression::List(Box::default()));
        }
        let first = self.expression()?;
        if self.is_sign(",") {
            return self.rest_of_list(first, Some(")"));
        }
        self.expect_sign(")")?;
        Ok(first)
    }

    fn list(&mut self) -> Result<Expression, Problem> {
        self.expect_sign("[")?;
        if self.take_sign("]") {
            return Ok(Expression::List(Box::default()));
        }
        let first = self.expression()?;
        self.rest_of_list(first, Some("]"))
    }

    fn object(&mut self) -> Result<Expression, Problem> {
        self.expect_sign("{")?;
        let mut members = Vec::new();
        while !self.take_sign("}") {
            if !members.is_empty() {
                self.expect_sign(",")?;
                if self.take_sign("}") {
                    break;
                }
            }
            let key = self.expression()?;
            self.expect_sign(":")?;
            members.push((key, self.expression()?));
        }
        Ok(Expression::Object(members.into()))
    }

    /// What a name stands for, which has been read.
    fn named(&mut self, name: &'s str) -> Result<Expression, Problem> {
        match name {
            "true" | "True" => return Ok(Expression::Bool(true)),
            "false" | "False" => return Ok(Expression::Bool(false)),
            "none" | "None" => return Ok(Expression::Nothing),
            "loop" => return self.loop_member(),
            _ => {}
        }
        let variables = self.names.find(name);
        if !variables.is_empty() {
            if self.is_sign("(") {
                return Err(self.fault(&format!("{name} is a variable, and cannot be called")));
            }
            return Ok(Expression::Variable(
                variables.into_iter().map(|variable| variable.slot as u32).collect(),
            ));
        }
        if self.is_sign("(") && !ROOTS.contains(&name) {
            return self.call(name);
        }
        if WORDS.contains(&name) {
            return Err(self.fault(&format!("a value is expected, and {name} comes")));
        }
        self.fact(name)
    }

    fn call(&mut self, name: &str) -> Result<Expression, Problem> {
        match name {
            "range" => {
                let bounds = self.positional()?;
                if !(1..=3).contains(&bounds.len()) {
                    return Err(self.fault("range takes one to three numbers"));
                }
                Ok(Expression::Range(bounds.into()))
            }
            "dict" => self.keyword_members(),
            "namespace" => Err(self.fault("a namespace stands alone in set: {% set name = namespace(…) %}")),
            _ => {
                let hint = nearest_hint(name, FUNCTIONS);
                Err(self.fault(&format!("there is no function {name}{hint}")))
            }
        }
    }

    fn loop_member(&mut self) -> Result<Expression, Problem> {
        let Some(depth) = self.loops.checked_sub(1) else {
            return Err(self.fault("there is no loop here"));
        };
        if !self.take_sign(".") {
            return Err(self.fault("loop needs a member after it: index, index0, first, last, length, …"));
        }
        let member = self.name("a member of loop")?;
        if member == "cycle" {
            let values = self.positional()?;
            if values.is_empty() {
                return Err(self.fault("loop.cycle takes at least one value"));
            }
            return Ok(Expression::Cycle(depth, values.into()));
        }
        let found = LoopMember::ALL.into_iter().find(|(name, _)| *name == member);
        found.map(|(_, found)| Expression::Loop(depth, found)).ok_or_else(|| {
            let hint = nearest_hint(member, LoopMember::ALL.map(|(name, _)| name));
            self.fault(&format!("loop has no {member}{hint}"))
        })
    }

    /// A field, as far as its path is fixed: what comes behind is taken from the whole.
    fn fact(&mut self, root: &str) -> Result<Expression, Problem> {
        let mut segments = vec![root.to_owned()];
        while let Some(segment) = self.fixed_segment()? {
            segments.push(segment);
        }
        let field = FieldPath::field_or_whole(Path::of(segments), self.at).map_err(|problem| {
            let is_unknown = problem.code == "unknown_field" && !ROOTS.contains(&root);
            if is_unknown { self.unknown_name(root) } else { problem }
        })?;
        let next = self.paths.len();
        Ok(Expression::Fact(*self.paths.entry(field).or_insert(next)))
    }

    fn unknown_name(&self, name: &str) -> Problem {
        let mut hint = nearest_hint(name, ROOTS.iter().copied().chain(self.names.all()));
        if hint.is_empty() && self.source.contains(&format!("-{name}")) {
            hint = " (a name that holds a \"-\" stands in quotes, as in steps[\"my-node\"])".to_owned();
        }
        Problem::new("unknown_field", self.at, format!("nothing is called \"{name}\" here{hint}"))
    }

    /// `.name`, `.0`, `[0]` or `["name"]`, if one of these comes.
    fn fixed_segment(&mut self) -> Result<Option<String>, Problem> {
        if self.take_sign(".") {
            let segment = match self.peek() {
                Some(TokenKind::Name(name) | TokenKind::Digits(name)) => (*name).to_owned(),
                _ => return Err(self.unexpected("a name after the dot")),
            };
            self.position += 1;
            if self.is_sign("(") {
                return Err(self.no_method(&segment));
            }
            return Ok(Some(segment));
        }
        if !self.is_sign("[") || !self.is_sign_at(2, "]") {
            return Ok(None);
        }
        let segment = match self.tokens.get(self.position + 1).map(|token| &token.kind) {
            Some(TokenKind::Text(text)) => text.clone(),
            Some(TokenKind::Number(number)) if !number.is_f64() => number.to_string(),
            _ => return Ok(None),
        };
        self.position += 3;
        Ok(Some(segment))
    }

    fn no_method(&self, name: &str) -> Problem {
        let instead = METHODS.into_iter().find(|(method, _)| *method == name);
        let instead =
            instead.map_or_else(|| "use a filter".to_owned(), |(_, instead)| format!("write {instead}"));
        self.fault(&format!("there are no methods such as {name}(): {instead}"))
    }

    /// Members and slices behind a value.
    pub(super) fn links(&mut self) -> Result<Vec<Link>, Problem> {
        let mut links = Vec::new();
        loop {
            if let Some(segment) = self.fixed_segment()? {
                links.push(Link::Member(segment.into()));
            } else if self.take_sign("[") {
                links.push(self.index_or_slice()?);
            } else if self.is_sign("(") {
                return Err(self.fault("only range and dict can be called"));
            } else {
                return Ok(links);
            }
        }
    }

    fn index_or_slice(&mut self) -> Result<Link, Problem> {
        let mut bounds = [None, None, None];
        let mut colons = 0;
        while !self.take_sign("]") {
            if self.take_sign(":") {
                colons += 1;
                if colons == bounds.len() {
                    return Err(self.fault("a slice has at most three parts: [from:to:step]"));
                }
            } else if bounds[colons].is_some() {
                return Err(self.unexpected("]"));
            } else {
                bounds[colons] = Some(self.expression()?);
            }
        }
        match (colons, bounds) {
            (0, [Some(index), _, _]) => Ok(Link::Index(index)),
            (0, _) => Err(self.fault("[] holds nothing: write [0] or [\"name\"]")),
            (_, bounds) => Ok(Link::Slice(Box::new(bounds))),
        }
    }
}
