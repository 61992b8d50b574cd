//! What a template is once it is read: every name is resolved, every filter found.

use super::filters::Filter;
use super::number::Operator;
use super::predicates::Predicate;
use crate::path::Path;

/// Place of a variable in the memory of a run of the template.
pub(super) type Slot = usize;

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) kind: StatementKind,
}

/// Statements one after the other. All lists are boxed slices: a template stays in memory, and its parts are small.
pub(super) type Body = Box<[Statement]>;

#[derive(Clone, Debug)]
pub(super) enum StatementKind {
    /// What is written as it is.
    Data(Box<str>),
    /// `{{ … }}`
    Write(Expression),
    /// The branches with their conditions, and what is done where none of these holds.
    If(Box<[(Expression, Body)]>, Body),
    For(Box<For>),
    Set(Target, Expression),
    /// `{% set total.sum = … %}` for a `namespace`.
    SetMember(Box<(Slot, String, Expression)>),
    /// `{% set text %} … {% endset %}`
    Capture(Box<Capture>),
    With(Box<[(Target, Expression)]>, Body),
}

#[derive(Clone, Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) list: Expression,
    pub(super) condition: Option<Expression>,
    pub(super) body: Body,
    pub(super) otherwise: Body,
    /// The variables of the body, which begin anew in each round.
    pub(super) inner: std::ops::Range<Slot>,
}

#[derive(Clone, Debug)]
pub(super) struct Capture {
    pub(super) slot: Slot,
    pub(super) filters: Vec<FilterCall>,
    pub(super) body: Body,
}

/// What takes a value.
#[derive(Clone, Debug)]
pub(super) enum Target {
    One(Slot),
    /// As many as the list has members.
    Several(Box<[Slot]>),
}

#[derive(Clone, Debug)]
pub(super) enum Expression {
    Nothing,
    Bool(bool),
    Number(serde_json::Number),
    Text(Box<str>),
    /// One of the paths that the template reads.
    Fact(usize),
    /// A variable: the first of these that was set, the innermost first.
    Variable(Box<[u32]>),
    /// `loop.index`, of the loop at this depth.
    Loop(u32, LoopMember),
    /// `loop.cycle(…)`
    Cycle(u32, Box<[Expression]>),
    List(Box<[Expression]>),
    Object(Box<[(Expression, Expression)]>),
    /// `range(…)`
    Range(Box<[Expression]>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    And(Box<[Expression]>),
    Or(Box<[Expression]>),
    Compare(Box<Row<Comparison>>),
    Arithmetic(Box<Row<Operator>>),
    /// `a ~ b`
    Join(Box<[Expression]>),
    /// `a if b else c`
    Choice(Box<Choice>),
    /// A value, and what is done with it one after the other.
    Chain(Box<(Expression, Box<[Link]>)>),
}

/// Values with operators between them, from left to right.
#[derive(Clone, Debug)]
pub(super) struct Row<O> {
    pub(super) first: Expression,
    pub(super) rest: Box<[(O, Expression)]>,
}

#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) condition: Expression,
    pub(super) then: Expression,
    pub(super) otherwise: Option<Expression>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Clone, Debug)]
pub(super) enum Link {
    /// `.name`, `[0]`
    Member(Box<str>),
    /// `[expression]`
    Index(Expression),
    /// `[from:to:step]`
    Slice(Box<[Option<Expression>; 3]>),
    Filter(FilterCall),
    /// `is …`
    Test(TestCall),
    /// `is not …`
    NotTest(TestCall),
    /// `map(attribute=…)`, with what stands in for what is missing
    MapMember(Box<(Path, Option<Expression>)>),
    /// `map("upper")`
    MapFilter(FilterCall),
    /// `select` and `selectattr` keep what passes, `reject` and `rejectattr` what does not.
    Select(Box<Select>),
}

#[derive(Clone, Debug)]
pub(super) struct Select {
    pub(super) path: Option<Path>,
    /// Without one, what is true passes.
    pub(super) test: Option<TestCall>,
    pub(super) keep: Keep,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keep {
    Passing,
    Failing,
}

#[derive(Clone, Debug)]
pub(super) struct FilterCall {
    pub(super) filter: &'static Filter,
    /// One for each parameter.
    pub(super) arguments: Box<[Option<Expression>]>,
}

#[derive(Clone, Debug)]
pub(super) struct TestCall {
    pub(super) predicate: &'static Predicate,
    pub(super) argument: Option<Box<Expression>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LoopMember {
    Index,
    Index0,
    Revindex,
    Revindex0,
    First,
    Last,
    Length,
    Depth,
    Depth0,
    Previous,
    Next,
}

impl LoopMember {
    pub(super) const ALL: [(&'static str, Self); 11] = [
        ("index", Self::Index),
        ("index0", Self::Index0),
        ("revindex", Self::Revindex),
        ("revindex0", Self::Revindex0),
        ("first", Self::First),
        ("last", Self::Last),
        ("length", Self::Length),
        ("depth", Self::Depth),
        ("depth0", Self::Depth0),
        ("previtem", Self::Previous),
        ("nextitem", Self::Next),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a definition may hold is counted by its text: a part has two bytes of it at least, a statement five.
    #[test]
    fn parts_are_small() {
        assert!(size_of::<Expression>() <= 24 && size_of::<Link>() <= 32 && size_of::<Statement>() <= 48);
    }
}
