//! Part of a list.

use serde::Serialize;

/// Some things of a list, and where it goes on.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// The things, in the list's order.
    pub data: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A list that is one page.
    pub fn whole(data: Vec<T>) -> Self {
        Self { data, next_cursor: None }
    }

    /// The first `limit` things; one more says that the list goes on, behind the last of these.
    pub(crate) fn cut(mut data: Vec<T>, limit: u16, cursor: impl FnOnce(&T) -> String) -> Self {
        let limit = usize::from(limit);
        let more = data.len() > limit;
        data.truncate(limit);
        let next_cursor = data.last().filter(|_| more).map(cursor);
        Self { data, next_cursor }
    }

    /// The same page of something else.
    pub fn map<U>(self, to: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(to).collect(), next_cursor: self.next_cursor }
    }
}
