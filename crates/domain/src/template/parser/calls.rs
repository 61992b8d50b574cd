//! Filters, tests and what they take.

use super::Parser;
use crate::path::Path;
use crate::problem::{Problem, nearest_hint};
use crate::template::ast::{Expression, FilterCall, Keep, Link, Select, TestCall};
use crate::template::filters::{self, Filter};
use crate::template::lexer::TokenKind;
use crate::template::predicates::{self, Takes};

/// Filters that work with other filters, tests and members, whose names stand in quotes.
const HIGHER: [&str; 5] = ["map", "reject", "rejectattr", "select", "selectattr"];

/// What stands in the brackets of a call.
struct Arguments<'s> {
    positional: Vec<Expression>,
    named: Vec<(&'s str, Expression)>,
}

impl<'s> Parser<'s> {
    /// A filter, behind its `|`.
    pub(super) fn filter(&mut self) -> Result<Link, Problem> {
        let name = self.name("the name of a filter")?;
        let arguments = self.optional_arguments()?;
        match name {
            "map" => self.map(arguments),
            "select" => self.select(arguments, Keep::Passing).map(|select| Link::Select(Box::new(select))),
            "reject" => self.select(arguments, Keep::Failing).map(|select| Link::Select(Box::new(select))),
            "selectattr" => {
                self.select_by_member(arguments, Keep::Passing).map(|select| Link::Select(Box::new(select)))
            }
            "rejectattr" => {
                self.select_by_member(arguments, Keep::Failing).map(|select| Link::Select(Box::new(select)))
            }
            _ => self.filter_call(name, arguments).map(Link::Filter),
        }
    }

    fn filter_call(&self, name: &str, arguments: Arguments<'s>) -> Result<FilterCall, Problem> {
        let filter = filters::find(name).ok_or_else(|| {
            let hint = nearest_hint(name, filters::names().chain(HIGHER));
            self.fault(&format!("there is no filter \"{name}\"{hint}"))
        })?;
        let arguments = self.bind(filter, arguments)?;
        for (parameter, argument) in filter.parameters.iter().zip(&arguments) {
            if let (&"attribute", Some(argument)) = (parameter, argument) {
                self.fixed_path(argument)?;
            }
        }
        Ok(FilterCall { filter, arguments: arguments.into() })
    }

    /// Each argument at the place of its parameter.
    fn bind(&self, filter: &Filter, given: Arguments<'s>) -> Result<Vec<Option<Expression>>, Problem> {
        let name = filter.name;
        let mut bound: Vec<Option<Expression>> = given.positional.into_iter().map(Some).collect();
        if bound.len() > filter.parameters.len() {
            return Err(self.fault(&match filter.parameters {
                [] => format!("the filter {name} takes nothing"),
                parameters => {
                    format!("the filter {name} takes at most {}: {}", parameters.len(), parameters.join(", "))
                }
            }));
        }
        bound.resize_with(filter.parameters.len(), || None);
        for (parameter, argument) in given.named {
            let Some(place) = filter.parameters.iter().position(|known| *known == parameter) else {
                let hint = nearest_hint(parameter, filter.parameters.iter().copied());
                return Err(self.fault(&format!("the filter {name} takes no {parameter}{hint}")));
            };
            if bound[place].replace(argument).is_some() {
                return Err(self.fault(&format!("the filter {name} is given {parameter} twice")));
            }
        }
        match bound.iter().take(filter.required).position(Option::is_none) {
            Some(missing) => {
                Err(self.fault(&format!("the filter {name} needs {}", filter.parameters[missing])))
            }
            None => Ok(bound),
        }
    }

    /// `map("upper")`, `map(attribute="sku", default="none")`
    fn map(&self, mut given: Arguments<'s>) -> Result<Link, Problem> {
        if given.positional.is_empty() {
            let attribute = self.take_named(&mut given, "attribute");
            let otherwise = self.take_named(&mut given, "default");
            let Some(attribute) = attribute.filter(|_| given.named.is_empty()) else {
                return Err(self.fault("map takes attribute=\"…\" and default, or the name of a filter"));
            };
            return Ok(Link::MapMember(Box::new((self.fixed_path(&attribute)?, otherwise))));
        }
        let name = self.fixed_text(&given.positional.remove(0), "the name of the filter")?;
        if HIGHER.contains(&name.as_str()) {
            return Err(self.fault(&format!("map cannot take {name}: use {{% for %}}")));
        }
        self.filter_call(&name, given).map(Link::MapFilter)
    }

    fn select(&self, mut given: Arguments<'s>, keep: Keep) -> Result<Select, Problem> {
        let name = if given.positional.is_empty() { None } else { Some(given.positional.remove(0)) };
        let test = match name {
            Some(name) => {
                let name = self.fixed_text(&name, "the name of the test")?;
                Some(self.test_call(&name, given)?)
            }
            None if given.named.is_empty() => None,
            None => return Err(self.fault("select and reject take the name of a test")),
        };
        Ok(Select { path: None, test, keep })
    }

    fn select_by_member(&self, mut given: Arguments<'s>, keep: Keep) -> Result<Select, Problem> {
        if given.positional.is_empty() {
            return Err(self.fault("selectattr and rejectattr take the path of a member, and a test"));
        }
        let path = self.fixed_path(&given.positional.remove(0))?;
        Ok(Select { path: Some(path), ..self.select(given, keep)? })
    }

    /// A test, behind its `is` or `is not`.
    pub(super) fn test(&mut self) -> Result<TestCall, Problem> {
        let name = self.name("the name of a test")?;
        let takes = predicates::find(name).is_some_and(|predicate| predicate.takes == Takes::One);
        let arguments = if self.is_sign("(") || !takes {
            self.optional_arguments()?
        } else {
            Arguments { positional: vec![self.nested(Self::signed)?], named: Vec::new() }
        };
        self.test_call(name, arguments)
    }

    fn test_call(&self, name: &str, mut given: Arguments<'s>) -> Result<TestCall, Problem> {
        let predicate = predicates::find(name).ok_or_else(|| {
            let hint = nearest_hint(name, predicates::names());
            self.fault(&format!("there is no test \"{name}\"{hint}"))
        })?;
        let argument = given.positional.pop();
        let fits = given.positional.is_empty() && given.named.is_empty();
        if !fits || argument.is_some() != (predicate.takes == Takes::One) {
            let takes = if predicate.takes == Takes::One { "one value" } else { "nothing" };
            return Err(self.fault(&format!("the test {name} takes {takes}")));
        }
        Ok(TestCall { predicate, argument: argument.map(Box::new) })
    }

    fn take_named(&self, given: &mut Arguments<'s>, name: &str) -> Option<Expression> {
        let place = given.named.iter().position(|(known, _)| *known == name)?;
        Some(given.named.remove(place).1)
    }

    fn fixed_text(&self, expression: &Expression, what: &str) -> Result<String, Problem> {
        if let Expression::Text(text) = expression {
            return Ok(text.to_string());
        }
        Err(self.fault(&format!("{what} is a text in quotes, and cannot be computed")))
    }

    fn fixed_path(&self, expression: &Expression) -> Result<Path, Problem> {
        let text = self.fixed_text(expression, "the path of a member")?;
        if text.contains(',') {
            return Err(self.fault("the path of a member names one member"));
        }
        Path::parse(&text).map_err(|error| self.fault(&format!("\"{text}\" is no path of a member: {error}")))
    }

    /// `(a, b)` without names.
    pub(super) fn positional(&mut self) -> Result<Vec<Expression>, Problem> {
        let given = self.arguments()?;
        if given.named.is_empty() { Ok(given.positional) } else { Err(self.fault("it takes no names")) }
    }

    /// `(a=1, b=2)`, as an object.
    pub(super) fn keyword_members(&mut self) -> Result<Expression, Problem> {
        let given = self.arguments()?;
        if !given.positional.is_empty() {
            return Err(self.fault("its members need names: dict(a=1)"));
        }
        let members = given.named.into_iter().map(|(name, value)| (Expression::Text(name.into()), value));
        Ok(Expression::Object(members.collect()))
    }

    fn optional_arguments(&mut self) -> Result<Arguments<'s>, Problem> {
        if self.is_sign("(") {
            return self.arguments();
        }
        Ok(Arguments { positional: Vec::new(), named: Vec::new() })
    }

    fn arguments(&mut self) -> Result<Arguments<'s>, Problem> {
        self.expect_sign("(")?;
        let mut arguments = Arguments { positional: Vec::new(), named: Vec::new() };
        let mut is_first = true;
        while !self.take_sign(")") {
            if !std::mem::take(&mut is_first) {
                self.expect_sign(",")?;
                if self.take_sign(")") {
                    break;
                }
            }
            match self.peek() {
                Some(TokenKind::Name(name)) if self.is_sign_at(1, "=") => {
                    let name = *name;
                    self.position += 2;
                    arguments.named.push((name, self.expression()?));
                }
                _ if arguments.named.is_empty() => arguments.positional.push(self.expression()?),
                _ => return Err(self.fault("what has no name comes before what has one")),
            }
        }
        Ok(arguments)
    }
}
