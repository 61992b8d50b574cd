//! Operators, from those that bind least to those that bind most.

use super::Parser;
use crate::problem::Problem;
use crate::template::ast::{Choice, Comparison, Expression, Link, Row};
use crate::template::number::Operator;

const SUMS: [(&str, Operator); 2] = [("+", Operator::Add), ("-", Operator::Subtract)];

const PRODUCTS: [(&str, Operator); 4] = [
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
    ("//", Operator::DivideDown),
    ("%", Operator::Remainder),
];

const POWERS: [(&str, Operator); 1] = [("**", Operator::Power)];

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    (">", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
];

impl Parser<'_> {
    /// An expression of any kind: `a if b else c` binds least.
    pub(super) fn expression(&mut self) -> Result<Expression, Problem> {
        self.nested(|parser| {
            let then = parser.either()?;
            if !parser.take_word("if") {
                return Ok(then);
            }
            let condition = parser.either()?;
            let otherwise = if parser.take_word("else") { Some(parser.expression()?) } else { None };
            Ok(Expression::Choice(Box::new(Choice { condition, then, otherwise })))
        })
    }

    /// `a or b`
    pub(super) fn either(&mut self) -> Result<Expression, Problem> {
        self.several(Self::both, |parser| parser.take_word("or"), Expression::Or)
    }

    fn both(&mut self) -> Result<Expression, Problem> {
        self.several(Self::negation, |parser| parser.take_word("and"), Expression::And)
    }

    fn negation(&mut self) -> Result<Expression, Problem> {
        if self.take_word("not") {
            let inner = self.nested(Self::negation)?;
            return Ok(Expression::Not(Box::new(inner)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression, Problem> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let sign = COMPARISONS.into_iter().find(|(sign, _)| self.is_sign(sign));
            let comparison = if let Some((_, comparison)) = sign {
                self.position += 1;
                comparison
            } else if self.take_word("in") {
                Comparison::In
            } else if self.take_word("not") {
                self.expect_word("in")?;
                Comparison::NotIn
            } else {
                break;
            };
            rest.push((comparison, self.sum()?));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            Expression::Compare(Box::new(Row { first, rest: rest.into() }))
        })
    }

    fn sum(&mut self) -> Result<Expression, Problem> {
        self.arithmetic(&SUMS, Self::join)
    }

    /// `a ~ b`
    fn join(&mut self) -> Result<Expression, Problem> {
        self.several(Self::product, |parser| parser.take_sign("~"), Expression::Join)
    }

    fn product(&mut self) -> Result<Expression, Problem> {
        self.arithmetic(&PRODUCTS, Self::power)
    }

    fn power(&mut self) -> Result<Expression, Problem> {
        self.arithmetic(&POWERS, Self::filtered)
    }

    /// A value with its filters and tests, which apply to the value with its sign.
    fn filtered(&mut self) -> Result<Expression, Problem> {
        let value = self.signed()?;
        let mut links = Vec::new();
        loop {
            if self.take_sign("|") {
                links.push(self.filter()?);
            } else if self.take_word("is") {
                let is_negated = self.take_word("not");
                let call = self.test()?;
                links.push(if is_negated { Link::NotTest(call) } else { Link::Test(call) });
            } else {
                return Ok(chain(value, links));
            }
        }
    }

    /// A value with its sign, its members and slices.
    pub(super) fn signed(&mut self) -> Result<Expression, Problem> {
        if self.take_sign("-") {
            let inner = self.nested(Self::signed)?;
            return Ok(Expression::Negative(Box::new(inner)));
        }
        let value = self.primary()?;
        let links = self.links()?;
        Ok(chain(value, links))
    }

    fn several(
        &mut self,
        read: fn(&mut Self) -> Result<Expression, Problem>,
        goes_on: fn(&mut Self) -> bool,
        make: fn(Box<[Expression]>) -> Expression,
    ) -> Result<Expression, Problem> {
        let first = read(self)?;
        if !goes_on(self) {
            return Ok(first);
        }
        let mut parts = vec![first, read(self)?];
        while goes_on(self) {
            parts.push(read(self)?);
        }
        Ok(make(parts.into()))
    }

    fn arithmetic(
        &mut self,
        operators: &[(&str, Operator)],
        read: fn(&mut Self) -> Result<Expression, Problem>,
    ) -> Result<Expression, Problem> {
        let first = read(self)?;
        let mut rest = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.is_sign(sign)) {
            self.position += 1;
            rest.push((*operator, read(self)?));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            Expression::Arithmetic(Box::new(Row { first, rest: rest.into() }))
        })
    }
}

fn chain(value: Expression, links: Vec<Link>) -> Expression {
    if links.is_empty() { value } else { Expression::Chain(Box::new((value, links.into()))) }
}
