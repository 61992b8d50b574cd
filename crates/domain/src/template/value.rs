//! Values while a template runs: borrowed from the facts and the template where they can be, shared where they are made.

use super::number::Number;
use crate::budget::{Budget, Exceeded, MAX_DEPTH};
use crate::path;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

/// A value; a copy costs nothing.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    /// Missing and null are one.
    Nothing,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    List(List<'a>),
    Object(Object<'a>),
}

#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Json(&'a [Value]),
    Made(Rc<Made<Vec<Val<'a>>>>),
}

#[derive(Clone, Debug)]
pub(super) enum Object<'a> {
    Json(&'a Map<String, Value>),
    Made(Rc<Made<BTreeMap<Rc<str>, Val<'a>>>>),
}

/// What a template made, with how deep it is: what goes through it, or drops it, calls itself that often.
#[derive(Debug)]
pub(super) struct Made<T> {
    content: T,
    depth: u32,
}

/// What a member of a list that is made is charged.
const ITEM_BYTES: usize = size_of::<Val<'_>>();
/// What a member of an object that is made is charged besides its name.
const MEMBER_BYTES: usize = 2 * ITEM_BYTES;

impl<'a> From<&'a Value> for Val<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Number::read(number).map_or(Self::Nothing, Self::Number),
            Value::String(text) => Self::Text(Text::Borrowed(text)),
            Value::Array(items) => Self::List(List::Json(items)),
            Value::Object(members) => Self::Object(Object::Json(members)),
        }
    }
}

impl<'a> Val<'a> {
    /// A value of which nobody keeps the JSON.
    pub(super) fn owned(value: Value, budget: &Budget) -> Result<Self, Exceeded> {
        Ok(match value {
            Value::Null => Self::Nothing,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Number::read(&number).map_or(Self::Nothing, Self::Number),
            Value::String(text) => {
                budget.make(text.len())?;
                Self::charged(text)
            }
            Value::Array(items) => {
                let mut list = Items::new(budget);
                for item in items {
                    list.push(Self::owned(item, budget)?)?;
                }
                list.finish()
            }
            Value::Object(members) => {
                let mut object = Members::new(budget);
                for (key, member) in members {
                    object.insert(&key, Self::owned(member, budget)?)?;
                }
                object.finish()
            }
        })
    }

    /// A text that was charged before it was made.
    pub(super) fn charged(text: String) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// The whole number that it is.
    pub(super) fn whole(&self) -> Option<i128> {
        if let Self::Number(Number::Whole(number)) = self { Some(*number) } else { None }
    }

    /// What `if` goes by: neither nothing, nor false, 0 or empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Bool(value) => *value,
            Self::Number(number) => !number.is_zero(),
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => list.len() > 0,
            Self::Object(object) => object.len() > 0,
        }
    }

    /// The member of this name or number; nothing where there is none.
    pub(super) fn member(&self, segment: &str) -> Self {
        match self {
            Self::Object(object) => object.get(segment),
            Self::List(list) => path::number(segment).and_then(|index| list.get(index)),
            Self::Nothing | Self::Bool(_) | Self::Number(_) | Self::Text(_) => None,
        }
        .unwrap_or(Self::Nothing)
    }

    /// The depth of what was made; what is borrowed is bounded where it came from.
    fn depth(&self) -> u32 {
        match self {
            Self::List(List::Made(made)) => made.depth,
            Self::Object(Object::Made(made)) => made.depth,
            Self::Nothing
            | Self::Bool(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Object(_) => 0,
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Made(made) => made.content.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(items) => items.get(index).map(Val::from),
            Self::Made(made) => made.content.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Val<'a>> + ExactSizeIterator {
        (0..self.len()).map(|index| self.get(index).unwrap_or(Val::Nothing))
    }
}

impl<'a> Object<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(members) => members.len(),
            Self::Made(made) => made.content.len(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Val<'a>> {
        match self {
            Self::Json(members) => members.get(key).map(Val::from),
            Self::Made(made) => made.content.get(key).cloned(),
        }
    }

    /// Its members by name.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = (Text<'a>, Val<'a>)> + '_> {
        match self {
            Self::Json(members) => {
                Box::new(members.iter().map(|(key, member)| (Text::Borrowed(key), Val::from(member))))
            }
            Self::Made(made) => Box::new(
                made.content.iter().map(|(key, member)| (Text::Made(Rc::clone(key)), member.clone())),
            ),
        }
    }
}

/// A list in the making; each item is charged before there is room for it.
pub(super) struct Items<'a, 'b> {
    budget: &'b Budget,
    items: Vec<Val<'a>>,
    depth: u32,
}

impl<'a, 'b> Items<'a, 'b> {
    pub(super) fn new(budget: &'b Budget) -> Self {
        Self { budget, items: Vec::new(), depth: 1 }
    }

    pub(super) fn push(&mut self, item: Val<'a>) -> Result<(), Exceeded> {
        self.budget.make(ITEM_BYTES)?;
        self.depth = deeper(self.depth, &item, self.budget)?;
        self.items.push(item);
        Ok(())
    }

    pub(super) fn finish(self) -> Val<'a> {
        Val::List(self.finish_list())
    }

    pub(super) fn finish_list(self) -> List<'a> {
        List::Made(Rc::new(Made { content: self.items, depth: self.depth }))
    }
}

/// An object in the making.
pub(super) struct Members<'a, 'b> {
    budget: &'b Budget,
    members: BTreeMap<Rc<str>, Val<'a>>,
    depth: u32,
}

impl<'a, 'b> Members<'a, 'b> {
    pub(super) fn new(budget: &'b Budget) -> Self {
        Self { budget, members: BTreeMap::new(), depth: 1 }
    }

    pub(super) fn insert(&mut self, key: &str, member: Val<'a>) -> Result<(), Exceeded> {
        self.budget.make(MEMBER_BYTES + key.len())?;
        self.depth = deeper(self.depth, &member, self.budget)?;
        self.members.insert(key.into(), member);
        Ok(())
    }

    pub(super) fn finish(self) -> Val<'a> {
        Val::Object(Object::Made(Rc::new(Made { content: self.members, depth: self.depth })))
    }
}

fn deeper(depth: u32, inner: &Val<'_>, budget: &Budget) -> Result<u32, Exceeded> {
    let depth = depth.max(inner.depth() + 1);
    budget.nest(depth, MAX_DEPTH).map(|()| depth)
}
