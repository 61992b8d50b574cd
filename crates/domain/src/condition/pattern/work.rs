//! What translating a regular expression will take, told from its text before it is done.
//!
//! The size of what is compiled is bounded, but not the way there. Where upper and lower case are the same, each set of
//! characters is looked through character by character, once for every set around it: `(?i)[^a[^a[^a]]]` compiles to
//! next to nothing, and each level takes ten milliseconds. Classes by name are hundreds of ranges each.

use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    self, Ast, ClassBracketed, ClassPerl, ClassSet, ClassSetItem, ClassUnicode, ErrorKind, Flag, Flags,
    FlagsItemKind, Visitor,
};

/// Sets within sets, and groups within groups.
const DEEPEST: u32 = 100;
/// Every character there is.
const ALL: u64 = 0x11_0000;
/// What the ranges of a class that has a name take, in characters.
const NAMED: u64 = 20_000;
/// Characters of a class that has a name, about as many as there are letters.
const LETTERS: u64 = 150_000;

/// Characters that are looked at to translate `text`; about 10 ns each.
///
/// # Errors
///
/// Why it is no regular expression.
pub(super) fn of(text: &str) -> Result<u64, ErrorKind> {
    let ast =
        ParserBuilder::new().nest_limit(DEEPEST).build().parse(text).map_err(|error| error.kind().clone())?;
    let Ok(ignores_case) = ast::visit(&ast, CaseFinder(false));
    let Ok(work) = ast::visit(&ast, Counter { ignores_case, work: 0 });
    Ok(work)
}

/// Whether case is ignored anywhere: then everywhere, which is never too little.
struct CaseFinder(bool);

impl CaseFinder {
    fn look_at(&mut self, flags: &Flags) {
        let ignores = |item: &ast::FlagsItem| item.kind == FlagsItemKind::Flag(Flag::CaseInsensitive);
        self.0 |= flags.items.iter().any(ignores);
    }
}

impl Visitor for CaseFinder {
    type Output = bool;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<bool, Self::Err> {
        Ok(self.0)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum; nothing else has flags")]
    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::Flags(flags) => self.look_at(&flags.flags),
            Ast::Group(group) => group.flags().into_iter().for_each(|flags| self.look_at(flags)),
            _ => {}
        }
        Ok(())
    }
}

struct Counter {
    ignores_case: bool,
    work: u64,
}

impl Visitor for Counter {
    type Output = u64;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<u64, Self::Err> {
        Ok(self.work)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum; nothing else is a set of characters")]
    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        match ast {
            Ast::ClassUnicode(_) | Ast::ClassPerl(_) => self.work += NAMED,
            Ast::ClassBracketed(class) => drop(self.bracketed(class)),
            _ => {}
        }
        Ok(())
    }
}

impl Counter {
    /// Counts a set in brackets; gives how many characters are in it.
    fn bracketed(&mut self, class: &ClassBracketed) -> u64 {
        let inside = self.set(&class.kind);
        self.fold(inside);
        if class.negated { ALL } else { inside }
    }

    fn fold(&mut self, characters: u64) {
        if self.ignores_case {
            self.work += characters;
        }
    }

    fn set(&mut self, set: &ClassSet) -> u64 {
        match set {
            ClassSet::Item(item) => self.item(item),
            ClassSet::BinaryOp(op) => {
                let (left, right) = (self.set(&op.lhs), self.set(&op.rhs));
                self.fold(left + right);
                ALL.min(left + right)
            }
        }
    }

    fn item(&mut self, item: &ClassSetItem) -> u64 {
        match item {
            ClassSetItem::Empty(_) => 0,
            ClassSetItem::Literal(_) => 1,
            ClassSetItem::Range(range) => {
                u64::from(u32::from(range.end.c).saturating_sub(u32::from(range.start.c))) + 1
            }
            ClassSetItem::Ascii(class) if class.negated => ALL,
            ClassSetItem::Ascii(_) => 128,
            ClassSetItem::Perl(ClassPerl { negated, .. })
            | ClassSetItem::Unicode(ClassUnicode { negated, .. }) => {
                self.work += NAMED;
                if *negated { ALL } else { LETTERS }
            }
            ClassSetItem::Bracketed(class) => self.bracketed(class),
            ClassSetItem::Union(union) => ALL.min(union.items.iter().map(|item| self.item(item)).sum()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_takes_little() {
        for text in [
            "(?i)refund|cancel",
            r"(?i)^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
            r"^\+?[0-9 ()-]{6,20}$",
            r"(?i)\b(?:vip|gold|silver)\b",
            r"^[\w.+-]+@[\w-]+\.[\w.]+$",
        ] {
            assert!(of(text).unwrap() < 500_000, "{text}: {}", of(text).unwrap());
        }
    }

    #[test]
    fn sets_within_sets_take_all_characters_each_where_case_is_ignored() {
        let nested = |levels: usize| format!("{}{}", "[^a".repeat(levels), "]".repeat(levels));
        assert!(of(&nested(40)).unwrap() < 1_000);
        assert!(of(&format!("(?i){}", nested(40))).unwrap() > 39 * ALL);
        assert!(of(&format!("(?:x(?i:{}))", nested(40))).unwrap() > 39 * ALL);
        assert!(of(&r"(?i)[\w\W]".repeat(50)).unwrap() > 50 * ALL);
        assert!(of(r"(?i)[\x00-\x{10ffff}]").unwrap() >= ALL);
        assert!(of(r"(?i)[a-z&&\W]").unwrap() >= ALL);
        assert!(of(r"(?i)[[:^alpha:]]").unwrap() >= ALL);
        assert!(of(&nested(101)).is_err());
    }

    #[test]
    fn classes_with_names_are_counted_each() {
        assert_eq!(of(&r"\w\pL[\d]".repeat(10)).unwrap(), 30 * NAMED);
    }
}
