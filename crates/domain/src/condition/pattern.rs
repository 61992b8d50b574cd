//! Regular expressions whose memory and work are known: bounded when they are compiled, charged while they look.
//!
//! A lazy automaton goes through the text once. What can take long is making its states, each from all the places where
//! the expression may stand, so each is charged when it is made; one that would make a new state at every byte runs out
//! of budget instead of out of time. A word boundary (`\b`) beside anything but ASCII needs the slow way, whose whole
//! work is charged before.

mod work;

use crate::budget::{Budget, Exceeded};
use regex_automata::Input;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{Compiler, Config, NFA, WhichCaptures};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// States that are made up to here in a text are kept for the next one, in bytes.
const CACHE_BYTES: usize = 32 * 1024;
/// Most states at once; beyond it, those made so far are forgotten.
const WORKING_BYTES: usize = 128 * 1024;
/// Places of an expression that are looked at for one step of the budget.
const PLACES_PER_STEP: usize = 8;
/// Bytes that a byte of an expression comes to at least, once compiled.
const BYTES_PER_BYTE: usize = 16;
/// Bytes between two charges.
const PORTION: usize = 1024;

/// A compiled regular expression; clones share it.
#[derive(Clone)]
pub(super) struct Pattern {
    compiled: Arc<Compiled>,
}

struct Compiled {
    text: String,
    automaton: DFA,
    /// States of the last search: a text like the last one needs no other.
    cache: Mutex<Option<Box<Cache>>>,
}

/// Why a text is no pattern.
#[derive(Debug)]
pub(super) enum Refused {
    /// It needs more than this many bytes.
    TooLarge(usize),
    /// It is no regular expression: a sentence.
    Syntax(String),
}

/// An expression that is known to be one, and what translating it takes.
pub(super) struct Read<'t> {
    text: &'t str,
    /// Characters that are looked at.
    pub(super) work: u64,
}

impl Pattern {
    /// Reads a regular expression that is to take at most so many bytes; [`Pattern::compile`] is the dear part.
    pub(super) fn read(text: &str, most_bytes: usize) -> Result<Read<'_>, Refused> {
        if text.len() > most_bytes / BYTES_PER_BYTE {
            return Err(Refused::TooLarge(most_bytes));
        }
        let work = work::of(text).map_err(|error| Refused::Syntax(error.to_string()))?;
        Ok(Read { text, work })
    }

    /// Compiles a regular expression to at most so many bytes.
    pub(super) fn compile(Read { text, .. }: Read<'_>, most_bytes: usize) -> Result<Self, Refused> {
        let config = Config::new().nfa_size_limit(Some(most_bytes)).which_captures(WhichCaptures::None);
        let nfa =
            Compiler::new().configure(config).build(text).map_err(|error| match error.size_limit() {
                Some(limit) => Refused::TooLarge(limit),
                None => Refused::Syntax(last_line(&error)),
            })?;
        let config = DFA::config()
            .unicode_word_boundary(true)
            .cache_capacity(WORKING_BYTES)
            .skip_cache_capacity_check(true);
        let automaton = DFA::builder().configure(config).build_from_nfa(nfa);
        let automaton = automaton.map_err(|error| Refused::Syntax(last_line(&error)))?;
        let compiled = Compiled { text: text.to_owned(), automaton, cache: Mutex::new(None) };
        Ok(Self { compiled: Arc::new(compiled) })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.compiled.text
    }

    /// Bytes it takes, with what it keeps between two texts.
    pub(super) fn memory_bytes(&self) -> usize {
        self.compiled.automaton.memory_usage()
            + self.nfa().memory_usage()
            + self.compiled.text.len()
            + CACHE_BYTES
    }

    /// Whether it matches somewhere in `text`.
    pub(super) fn is_match(&self, text: &str, budget: &Budget) -> Result<bool, Exceeded> {
        let kept = &self.compiled.cache;
        let cache = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut cache = cache.unwrap_or_else(|| Box::new(self.compiled.automaton.create_cache()));
        let found = self.walk(text.as_bytes(), &mut cache, budget);
        if cache.memory_usage() <= CACHE_BYTES {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(cache);
        }
        match found? {
            Some(found) => Ok(found),
            None => self.is_match_slowly(text, budget),
        }
    }

    /// Goes through the text by the lazy automaton; `None` when it meets what that cannot tell.
    fn walk(&self, text: &[u8], cache: &mut Cache, budget: &Budget) -> Result<Option<bool>, Exceeded> {
        let automaton = &self.compiled.automaton;
        budget.spend(self.state_steps())?;
        let Ok(mut state) = automaton.start_state_forward(cache, &Input::new(text)) else { return Ok(None) };
        for portion in text.chunks(PORTION) {
            budget.look_at(portion.len())?;
            for byte in portion {
                state = self.next(cache, state, *byte, budget)?;
                if state.is_tagged() {
                    if state.is_match() {
                        return Ok(Some(true));
                    }
                    if state.is_dead() {
                        return Ok(Some(false));
                    }
                    if state.is_quit() {
                        return Ok(None);
                    }
                }
            }
        }
        budget.spend(self.state_steps())?;
        // A match is known one byte late, so what ends with the text is known at its end.
        let end = automaton.next_eoi_state(cache, state);
        Ok(Some(end.expect("a cache that may be emptied as often as need be is never full").is_match()))
    }

    /// The state after a byte; charged where it has to be made.
    fn next(
        &self,
        cache: &mut Cache,
        state: LazyStateID,
        byte: u8,
        budget: &Budget,
    ) -> Result<LazyStateID, Exceeded> {
        let automaton = &self.compiled.automaton;
        if !state.is_tagged() {
            let next = automaton.next_state_untagged(cache, state, byte);
            if !next.is_unknown() {
                return Ok(next);
            }
        }
        budget.spend(self.state_steps())?;
        let next = automaton.next_state(cache, state, byte);
        Ok(next.expect("a cache that may be emptied as often as need be is never full"))
    }

    fn is_match_slowly(&self, text: &str, budget: &Budget) -> Result<bool, Exceeded> {
        let work = text.len().saturating_mul(self.nfa().states().len());
        budget.spend(1 + (work / PLACES_PER_STEP) as u64)?;
        let machine = PikeVM::new_from_nfa(self.nfa().clone());
        let machine = machine.expect("the expression was compiled, and every expression has this machine");
        Ok(machine.is_match(&mut machine.create_cache(), text))
    }

    /// What making a state may cost.
    fn state_steps(&self) -> u64 {
        1 + (self.nfa().states().len() / PLACES_PER_STEP) as u64
    }

    fn nfa(&self) -> &NFA {
        self.compiled.automaton.get_nfa()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.as_str()).finish()
    }
}

/// The parser draws a picture over several lines; the last one says what is wrong.
fn last_line(error: &dyn Error) -> String {
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compile(pattern: &str, most_bytes: usize) -> Result<Pattern, Refused> {
        Pattern::compile(Pattern::read(pattern, most_bytes)?, most_bytes)
    }

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = compile(pattern, 256 * 1024).unwrap();
        pattern.is_match(text, &Budget::default()).unwrap()
    }

    #[test]
    fn expressions_match_where_they_should() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "x", true),
            ("^$", "", true),
            ("^$", "x", false),
            ("^a+$", "aaa", true),
            ("^a+$", "aab", false),
            ("b$", "aab", true),
            (r"\d{2}", "a1b22", true),
            (r"(?i)STRASSE", "straße strasse", true),
            (r"\bword\b", "a word.", true),
            (r"\bword\b", "größe word ä", true),
            (r"\bword\b", "wordä", false),
            (r"^\w+$", "größe", true),
            ("(?m)^b$", "a\nb\nc", true),
            ("[^a]", "aaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} in {text}");
        }
    }

    #[test]
    fn one_that_needs_a_state_for_every_byte_runs_out_of_budget() {
        let text: String =
            (0..200_000_u32).map(|n| if n.count_ones() % 2 == 0 { '0' } else { '1' }).collect();
        let pattern = compile("[01]*1[01]{300}2", 256 * 1024).unwrap();
        let budget = Budget::default();
        assert!(pattern.is_match(&text, &budget).is_err());
        assert!(budget.refused().is_some());
    }

    #[test]
    fn a_plain_search_of_a_large_text_costs_what_reading_it_does() {
        let text = "lorem ipsum ".repeat(20_000);
        let pattern = compile("(?i)refund|cancel", 256 * 1024).unwrap();
        let budget = Budget::default();
        assert_eq!(pattern.is_match(&text, &budget), Ok(false));
        assert!(budget.spent_steps() < 5_000, "{}", budget.spent_steps());
    }

    #[test]
    fn what_would_be_too_large_is_refused_before_it_is() {
        for pattern in [r"\w{1000}", "(a{100}){100}{100}", r"(?:\pL{50}){50}"] {
            assert!(matches!(compile(pattern, 64 * 1024), Err(Refused::TooLarge(_))), "{pattern}");
        }
    }

    proptest! {
        /// The library that everybody uses is the judge.
        #[test]
        fn what_matches_is_what_matches_elsewhere(
            pattern in r"[ab.*+?|()\[\]^$\\bwd{}0-9é-]{0,12}",
            text in "[abé 01-]{0,24}",
        ) {
            let Ok(judge) = regex::Regex::new(&pattern) else { return Ok(()) };
            let Ok(compiled) = compile(&pattern, 1024 * 1024) else { return Ok(()) };
            for _ in 0..2 {
                let found = compiled.is_match(&text, &Budget::default());
                prop_assert_eq!(found, Ok(judge.is_match(&text)), "{} in {}", pattern, text);
            }
        }
    }
}
