//! Paths to facts.

use crate::problem::{Problem, nearest_hint};

/// A parsed path such as `event.data.total`; only roots and members that can exist are accepted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FieldPath {
    pub(super) segments: Vec<String>,
    text: String,
}

/// The roots that facts are found under.
pub const ROOTS: &[&str] = &["event", "contact", "vars", "steps", "run", "workflow", "tenant", "now"];

/// Roots that the format knows and this version has no facts for.
const LATER_ROOTS: &[&str] = &["deal", "task", "subscription"];

/// What may follow a root or a member.
enum Members {
    /// Nothing.
    Leaf,
    /// Nothing, or anything: JSON from outside.
    Json,
    /// One of these.
    OneOf(&'static [(&'static str, Members)]),
    /// Any name, then this.
    Named(&'static Members, &'static str),
    /// The format knows it, and this version has no facts for it.
    Later,
}
use Members::{Json, Later, Leaf, Named, OneOf};

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
    ("tags", Leaf),
    ("segments", Leaf),
    ("fields", Json),
    ("consent", Later),
]);

const STEP: Members =
    OneOf(&[("output", Json), ("error", OneOf(&[("code", Leaf), ("message", Leaf)])), ("case", Leaf)]);

const RUN: Members = OneOf(&[("id", Leaf), ("key", Leaf), ("started_at", Leaf), ("version", Leaf)]);

const NOW: Members = OneOf(&[("time", Leaf), ("date", Leaf), ("weekday", Leaf), ("timestamp", Leaf)]);

const KEY_ONLY: Members = OneOf(&[("key", Leaf)]);

const VARS: Members = Named(&Json, "a variable");

const STEPS: Members = Named(&STEP, "a node");

fn members_of(root: &str) -> Option<&'static Members> {
    Some(match root {
        "event" => &EVENT,
        "contact" => &CONTACT,
        "vars" => &VARS,
        "steps" => &STEPS,
        "run" => &RUN,
        "workflow" | "tenant" => &KEY_ONLY,
        "now" => &NOW,
        _ => return None,
    })
}

impl FieldPath {
    /// Reads a path; `at` is where it stands in the definition.
    ///
    /// # Errors
    ///
    /// `unknown_field` for a root or member that cannot exist, with the nearest one that does; `not_available` for
    /// roots that this version has no facts for.
    pub fn parse(text: &str, at: &str) -> Result<Self, Problem> {
        let segments: Vec<String> = text.split('.').map(str::to_owned).collect();
        let unknown = |message: String| Err(Problem::new("unknown_field", at, message));
        if segments.iter().any(String::is_empty) {
            return unknown(format!("\"{text}\" is not a field: a name is missing before or after a dot"));
        }
        let root = segments[0].as_str();
        if LATER_ROOTS.contains(&root) {
            return Err(Problem::new("not_available", at, format!("fields of {root} are not available yet")));
        }
        let Some(mut members) = members_of(root) else {
            let hint = nearest_hint(root, ROOTS.iter().copied());
            return unknown(format!("\"{text}\" is not a field: nothing is called {root}{hint}"));
        };
        let mut parent = root;
        for segment in &segments[1..] {
            members = match members {
                Json | Later => break,
                Leaf => return unknown(format!("\"{text}\" is not a field: {parent} has no members")),
                Named(inner, _) => inner,
                OneOf(known) => match known.iter().find(|(name, _)| name == segment) {
                    Some((_, inner)) => inner,
                    None => {
                        let hint = nearest_hint(segment, known.iter().map(|(name, _)| *name));
                        return unknown(format!(
                            "\"{text}\" is not a field: {parent} has no {segment}{hint}"
                        ));
                    }
                },
            };
            parent = segment;
        }
        match members {
            Later => {
                let message = format!("fields of {root}.{parent} are not available yet");
                Err(Problem::new("not_available", at, message))
            }
            Leaf | Json => Ok(Self { segments, text: text.to_owned() }),
            Named(_, what) => unknown(format!("\"{text}\" needs the name of {what} after it")),
            OneOf(known) => {
                let known = known.iter().filter(|(_, members)| !matches!(members, Later));
                let names: Vec<_> = known.map(|(name, _)| *name).collect();
                unknown(format!("\"{text}\" needs a member after it: {}", names.join(", ")))
            }
        }
    }

    /// A whole root, which only templates may ask for; `None` if there is no such root.
    pub(crate) fn whole(root: &str) -> Option<Self> {
        ROOTS.contains(&root).then(|| Self { segments: vec![root.to_owned()], text: root.to_owned() })
    }

    /// Something between a root and a field (`steps.mail`), which only templates may ask for.
    pub(crate) fn partial(text: &str, at: &str) -> Result<Self, Problem> {
        let segments: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_step = segments.len() == 2 && segments[0] == "steps";
        let is_error = segments.len() == 3 && segments[0] == "steps" && segments[2] == "error";
        if is_step || is_error {
            return Ok(Self { segments, text: text.to_owned() });
        }
        Self::whole(text).map_or_else(|| Self::parse(text, at), Ok)
    }

    /// Its first segment: `event`, `contact`, `vars`, …
    pub fn root(&self) -> &str {
        &self.segments[0]
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts.
    pub(crate) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// Whether finding it needs this root: times of day are the contact's, so `now.time` reads the contact too.
    pub fn reads(&self, root: &str) -> bool {
        self.root() == root
            || (root == "contact"
                && self.root() == "now"
                && self.segments.get(1).is_none_or(|member| member != "timestamp"))
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
            "event.data.items.0.sku",
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
        "#);
    }

    #[test]
    fn time_of_day_reads_the_contact_for_its_zone() {
        let reads = |text| FieldPath::parse(text, "").unwrap().reads("contact");
        assert!(reads("now.time") && reads("contact.email"));
        assert!(!reads("now.timestamp") && !reads("event.type"));
    }
}
