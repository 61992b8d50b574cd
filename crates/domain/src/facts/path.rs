//! Paths to facts.

use crate::path::{self, Path};
use crate::problem::{Problem, nearest_hint};
use crate::template::is_template;

/// A path such as `event.data.total` that leads to a fact; only roots and members that can exist are accepted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FieldPath {
    path: Path,
    text: String,
}

/// The roots that facts are found under.
pub const ROOTS: &[&str] = &["event", "contact", "vars", "steps", "run", "workflow", "tenant", "now", "item"];

/// Those that no variable of a template may be called. Many a template calls the variable of its own loop `item`.
pub const RESERVED: &[&str] = &["event", "contact", "vars", "steps", "run", "workflow", "tenant", "now"];

/// Roots that the format knows and this version has no facts for.
const LATER_ROOTS: &[&str] = &["deal", "task", "subscription"];

/// What may follow a root or a member.
enum Members {
    /// Nothing.
    Leaf,
    /// Nothing, or the number of a member.
    List,
    /// Nothing, or anything: JSON from outside.
    Json,
    /// One of these.
    OneOf(&'static [(&'static str, Members)]),
    /// Any name, then this.
    Named(&'static Members, &'static str),
    /// The format knows it, and this version has no facts for it.
    Later,
}
use Members::{Json, Later, Leaf, List, Named, OneOf};

const EVENT: Members = OneOf(&[
    ("id", Leaf),
    ("type", Leaf),
    ("source", Leaf),
    ("time", Leaf),
    ("subject", Leaf),
    ("data", Json),
]);

const CONTACT: Members = OneOf(&[
    ("id", Leaf),
    ("email", Leaf),
    ("phone", Leaf),
    ("first_name", Leaf),
    ("last_name", Leaf),
    ("timezone", Leaf),
    ("owner", Leaf),
    ("score", Leaf),
    ("tags", List),
    ("segments", List),
    ("fields", Json),
    ("consent", Later),
]);

const STEP: Members =
    OneOf(&[("output", Json), ("error", OneOf(&[("code", Leaf), ("message", Leaf)])), ("case", Leaf)]);

const RUN: Members = OneOf(&[("id", Leaf), ("key", Leaf), ("started_at", Leaf), ("version", Leaf)]);

const NOW: Members = OneOf(&[("time", Leaf), ("date", Leaf), ("weekday", Leaf), ("timestamp", Leaf)]);

const ITEM: Members =
    OneOf(&[("value", Json), ("index", Leaf), ("parent", OneOf(&[("value", Json), ("index", Leaf)]))]);

const WORKFLOW: Members = OneOf(&[("key", Leaf)]);

const TENANT: Members = OneOf(&[("key", Leaf), ("timezone", Leaf)]);

const VARS: Members = Named(&Json, "a variable");

const STEPS: Members = Named(&STEP, "a node");

fn members_of(root: &str) -> Option<&'static Members> {
    Some(match root {
        "event" => &EVENT,
        "contact" => &CONTACT,
        "vars" => &VARS,
        "steps" => &STEPS,
        "run" => &RUN,
        "workflow" => &WORKFLOW,
        "tenant" => &TENANT,
        "now" => &NOW,
        "item" => &ITEM,
        _ => return None,
    })
}

impl FieldPath {
    /// Reads a path; `at` is where it stands in the definition.
    ///
    /// # Errors
    ///
    /// `unknown_field` for what is no path, with what to write, and for a root or member that cannot exist, with the
    /// nearest one that does; `not_available` for roots that this version has no facts for.
    pub fn parse(text: &str, at: &str) -> Result<Self, Problem> {
        let path = Path::parse(text).map_err(|error| {
            let reason = if is_template(text) {
                "a field is a path, not a template".into()
            } else {
                error.to_string()
            };
            Problem::new("unknown_field", at, format!("\"{text}\" is not a field: {reason}"))
        })?;
        let (path, end) = Self::checked(path, at)?;
        let problem = |message: String| Err(Problem::new("unknown_field", at, message));
        match end {
            Leaf | List | Json | Later => Ok(path),
            Named(_, what) => problem(format!("\"{text}\" needs the name of {what} after it")),
            OneOf(known) => {
                let known = known.iter().filter(|(_, members)| !matches!(members, Later));
                let names: Vec<_> = known.map(|(name, _)| *name).collect();
                problem(format!("\"{text}\" needs a member after it: {}", names.join(", ")))
            }
        }
    }

    /// A field, or a whole that fields lie below (`contact`, `steps.mail`), which only templates may ask for.
    pub(crate) fn field_or_whole(path: Path, at: &str) -> Result<Self, Problem> {
        Self::checked(path, at).map(|(path, _)| path)
    }

    /// A path whose names can all exist, with what may follow it.
    fn checked(path: Path, at: &str) -> Result<(Self, &'static Members), Problem> {
        let field = Self { text: path.to_string(), path };
        let unknown = |reason: String| {
            Problem::new("unknown_field", at, format!("\"{}\" is not a field: {reason}", field.text))
        };
        let later =
            |what: &str| Problem::new("not_available", at, format!("fields of {what} are not available yet"));
        let root = field.root();
        if LATER_ROOTS.contains(&root) {
            return Err(later(root));
        }
        let mut members = members_of(root).ok_or_else(|| {
            let hint = nearest_hint(root, ROOTS.iter().copied());
            unknown(format!("nothing is called {root}{hint}"))
        })?;
        let mut parent = root;
        for segment in &field.segments()[1..] {
            members = match members {
                Json => break,
                Later => return Err(later(&format!("{root}.{parent}"))),
                Leaf => return Err(unknown(format!("{parent} has no members"))),
                List if path::number(segment).is_some() => &Leaf,
                List => return Err(unknown(format!("{parent} is a list: [0] is its first member"))),
                Named(inner, _) => inner,
                OneOf(known) => {
                    known.iter().find(|(name, _)| name == segment).map(|(_, inner)| inner).ok_or_else(
                        || {
                            let hint = nearest_hint(segment, known.iter().map(|(name, _)| *name));
                            unknown(format!("{parent} has no {segment}{hint}"))
                        },
                    )?
                }
            };
            parent = segment;
        }
        if matches!(members, Later) {
            return Err(later(&format!("{root}.{parent}")));
        }
        Ok((field, members))
    }

    /// Its first segment: `event`, `contact`, `vars`, …
    pub fn root(&self) -> &str {
        &self.segments()[0]
    }

    /// The path in its canonical form.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts.
    pub fn segments(&self) -> &[String] {
        self.path.segments()
    }

    /// Whether finding it needs this root: times of day are the contact's, so `now.time` reads the contact too.
    pub fn reads(&self, root: &str) -> bool {
        self.root() == root
            || (root == "contact"
                && self.root() == "now"
                && self.segments().get(1).is_none_or(|member| member != "timestamp"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_field_is_read() {
        for text in [
            "event.type",
            "event.data",
            "event.data.items[0].sku",
            "contact.tags[0]",
            "contact.email",
            "contact.fields.plan",
            "vars.total",
            "steps.mail.output.id",
            "steps.mail.error.code",
            "steps.choice.case",
            "run.started_at",
            "workflow.key",
            "tenant.key",
            "now.weekday",
        ] {
            let path = FieldPath::parse(text, "").unwrap();
            assert_eq!(path.as_str(), text);
        }
        assert_eq!(
            FieldPath::parse("event.data.items.0['a.b']", "").unwrap().as_str(),
            "event.data.items[0][\"a.b\"]"
        );
        for text in ["contact", "contact.tags[0]", "steps.mail", "steps.mail.error", "vars", "event"] {
            assert_eq!(FieldPath::field_or_whole(Path::parse(text).unwrap(), "").unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_cannot_exist_is_refused_with_the_nearest_that_can() {
        let problems: Vec<String> = [
            "contact.frist_name",
            "contct.email",
            "event",
            "event.dta.total",
            "contact.email.domain",
            "steps.mail",
            "steps.mail.error.reason",
            "vars",
            "deal.amount",
            "contact.consent",
            "contact.consent.offers",
            "contact..email",
            "",
            "contact.tags.vip",
            "contact.email[0]",
            "event.data.items.*",
            "event.data.items[]",
            "event.data.items[-1]",
            " event.id",
            "event.id ",
            "event.data.a b",
            "event.data[\"a.b]",
            "{{ event.id }}",
        ]
        .iter()
        .map(|text| FieldPath::parse(text, "at").unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(problems.join("\n"), @r#"
        at: "contact.frist_name" is not a field: contact has no frist_name (did you mean "first_name"?) [unknown_field]
        at: "contct.email" is not a field: nothing is called contct (did you mean "contact"?) [unknown_field]
        at: "event" needs a member after it: id, type, source, time, subject, data [unknown_field]
        at: "event.dta.total" is not a field: event has no dta (did you mean "data"?) [unknown_field]
        at: "contact.email.domain" is not a field: email has no members [unknown_field]
        at: "steps.mail" needs a member after it: output, error, case [unknown_field]
        at: "steps.mail.error.reason" is not a field: error has no reason [unknown_field]
        at: "vars" needs the name of a variable after it [unknown_field]
        at: fields of deal are not available yet [not_available]
        at: fields of contact.consent are not available yet [not_available]
        at: fields of contact.consent are not available yet [not_available]
        at: "contact..email" is not a field: a name is missing before or after a dot [unknown_field]
        at: "" is not a field: a name is missing before or after a dot [unknown_field]
        at: "contact.tags.vip" is not a field: tags is a list: [0] is its first member [unknown_field]
        at: "contact.email[0]" is not a field: email has no members [unknown_field]
        at: "event.data.items.*" is not a field: * stands for nothing: there are no paths to several members; name one, as in items[0] [unknown_field]
        at: "event.data.items[]" is not a field: [] is neither a number nor a name in quotes: write [0] or ["…"] [unknown_field]
        at: "event.data.items[-1]" is not a field: [-1] is not a number: lists are counted from 0 [unknown_field]
        at: " event.id" is not a field: it has blanks at its ends [unknown_field]
        at: "event.id " is not a field: it has blanks at its ends [unknown_field]
        at: "event.data.a b" is not a field: a blank cannot stand in a name without quotes: write ["…"] around the name, as in data["a b"] [unknown_field]
        at: "event.data["a.b]" is not a field: the closing quote is missing [unknown_field]
        at: "{{ event.id }}" is not a field: a field is a path, not a template [unknown_field]
        "#);
    }

    #[test]
    fn time_of_day_reads_the_contact_for_its_zone() {
        let reads = |text| FieldPath::parse(text, "").unwrap().reads("contact");
        assert!(reads("now.time") && reads("contact.email"));
        assert!(!reads("now.timestamp") && !reads("event.type"));
    }
}
