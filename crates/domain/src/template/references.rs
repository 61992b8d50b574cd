//! What a template reads, found without running it.

use crate::facts::{FieldPath, ROOTS};
use crate::problem::{Problem, nearest_hint};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

static SINGLE_FIELD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\{\{\s*([A-Za-z_]\w*(?:\.\w+)+)\s*\}\}$").expect("the expression is fixed and tested")
});

/// Tags whose arguments the compiler does not report, so that what they read could not be known.
static UNREPORTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{%[-+]?\s*(filter|autoescape)\b").expect("the expression is fixed and tested")
});

/// A tag that gives names to values, and what stands behind its first word.
static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)^\{%[-+]?\s*(set|with|for)\b(.*)[-+]?%\}$").expect("the expression is fixed and tested")
});

/// What ends the names that a `for` gives.
static IN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bin\b").expect("the expression is fixed and tested"));

/// A name by itself, not a member of something (`list.event`).
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|[^.\w])([A-Za-z_]\w*)").expect("the expression is fixed and tested"));

/// Strings inside of tags, whose words mean nothing.
static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""[^"]*"|'[^']*'"#).expect("the expression is fixed and tested"));

static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)\{\{.*?\}\}|\{%.*?%\}").expect("the expression is fixed and tested"));

static FILTER_OR_TEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(\||\bis)\s*(?:not\s+)?\b([A-Za-z_]\w*)").expect("the expression is fixed and tested")
});

/// The filters (`|`) and tests (`is`) that a template names.
pub(super) fn filters_and_tests(text: &str) -> Vec<(&str, &str)> {
    // Quoted parts are skipped by place rather than cut out, so that what is found can be borrowed.
    let mut found = Vec::new();
    for tag in TAG.find_iter(text) {
        let quoted: Vec<_> = QUOTED.find_iter(tag.as_str()).map(|part| part.range()).collect();
        for word in FILTER_OR_TEST.captures_iter(tag.as_str()) {
            if let (Some(word), Some(name)) = (word.get(1), word.get(2))
                && !quoted.iter().any(|part| part.contains(&word.start()))
            {
                found.push((word.as_str(), name.as_str()));
            }
        }
    }
    found
}

/// The path, if the template is one field and nothing else.
pub(super) fn single_field(text: &str) -> Option<&str> {
    SINGLE_FIELD.captures(text).and_then(|found| found.get(1)).map(|path| path.as_str())
}

/// Refuses what would make [`resolve`] miss something.
pub(super) fn check_tags(text: &str, at: &str) -> Result<(), Problem> {
    if let Some(tag) = UNREPORTED.captures(text).and_then(|found| found.get(1)) {
        let message = format!("the tag {} is not supported; use filters in expressions", tag.as_str());
        return Err(Problem::new("bad_template", at, message));
    }
    if hides_root(text) {
        let message = format!("a variable of a template cannot be called {}", ROOTS.join(", "));
        return Err(Problem::new("bad_template", at, message));
    }
    Ok(())
}

/// Whether a root's name is given to a value, which would hide the facts below it.
fn hides_root(text: &str) -> bool {
    TAG.find_iter(text).any(|tag| {
        let tag = QUOTED.replace_all(tag.as_str(), "");
        let Some(found) = NAMES.captures(&tag) else { return false };
        let rest = &found[2];
        let names: Vec<&str> = match &found[1] {
            "for" => IN.splitn(rest, 2).take(1).collect(),
            "with" => assignments(rest).iter().map(|one| before_sign(one)).collect(),
            _ => vec![before_sign(rest)],
        };
        names.iter().any(|names| NAME.captures_iter(names).any(|name| ROOTS.contains(&&name[1])))
    })
}

/// What stands before the `=`, or before the filters of a block that is given a name.
fn before_sign(assignment: &str) -> &str {
    assignment.split(['=', '|']).next().unwrap_or_default()
}

/// The assignments of a `with`: commas inside of brackets part other things.
fn assignments(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (at, character) in list.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    parts
}

/// Turns the names that a template uses and does not define into fields: the shortest of each branch.
pub(super) fn resolve<'a>(
    names: impl Iterator<Item = String>,
    functions: impl Iterator<Item = &'a str>,
    at: &str,
) -> Result<Vec<FieldPath>, Problem> {
    let functions: BTreeSet<&str> = functions.collect();
    let mut paths: Vec<FieldPath> = Vec::new();
    // Sorted, so that a path comes after every path it lies below, and errors do not depend on chance.
    let names: BTreeSet<Vec<String>> =
        names.map(|name| name.split('.').map(str::to_owned).collect()).collect();
    for name in names {
        let path = name.join(".");
        if functions.contains(path.as_str()) {
            continue;
        }
        if name.len() == 1 && !ROOTS.contains(&path.as_str()) {
            return Err(unknown_name(&path, at));
        }
        let path = FieldPath::partial(&path, at)?;
        if !paths.iter().any(|known| path.segments().starts_with(known.segments())) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn unknown_name(name: &str, at: &str) -> Problem {
    // A root that comes with a later version says so in the words of a field.
    match FieldPath::parse(name, at) {
        Err(problem) if problem.code == "not_available" => problem,
        Err(_) | Ok(_) => {
            let hint = nearest_hint(name, ROOTS.iter().copied());
            Problem::new("unknown_field", at, format!("nothing is called \"{name}\" here{hint}"))
        }
    }
}
