//! Finding a fact.

use super::{Fact, Facts, FieldPath, ItemFacts, RunFacts, TenantFacts};
use crate::contact::Contact;
use crate::event::RecordedEvent;
use crate::interpreter::StepResult;
use crate::json::number;
use crate::path;
use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use serde_json::{Value, json};
use std::borrow::Cow;

type Found<'a> = Option<Fact<'a>>;

pub(super) fn fact<'a>(facts: &Facts<'a>, path: &FieldPath) -> Found<'a> {
    let segments: Vec<&str> = path.segments().iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["event", rest @ ..] => event(facts.event?, rest),
        ["contact", rest @ ..] => contact(facts.contact?, rest),
        ["vars"] => Some(Fact::Members(&facts.run?.state.vars)),
        ["vars", name, rest @ ..] => below(facts.run?.state.vars.get(*name)?, rest),
        ["steps"] => {
            let steps = &facts.run?.state.steps;
            let steps = steps.iter().map(|(id, result)| Some((id.as_str(), step(result, &[])?)));
            Some(Fact::Whole(steps.collect::<Option<_>>()?))
        }
        ["steps", node, rest @ ..] => step(facts.run?.state.steps.get(*node)?, rest),
        ["run", rest @ ..] => run(&facts.run?, rest),
        ["workflow"] => owned(json!({ "key": facts.run?.workflow })),
        ["workflow", _] => owned(text(facts.run?.workflow)),
        ["tenant", rest @ ..] => tenant(facts.tenant, rest),
        ["now", rest @ ..] => now(facts, rest),
        ["item", rest @ ..] => item(facts.run?.item?, rest),
        _ => None,
    }
}

fn event<'a>(recorded: &'a RecordedEvent, rest: &[&str]) -> Found<'a> {
    let event = &recorded.event;
    match rest {
        ["data", rest @ ..] => below(&event.data, rest),
        ["id"] => owned(text(&event.id)),
        ["type"] => owned(text(&event.event_type)),
        ["source"] => owned(text(&event.source)),
        ["time"] => owned(instant(event.time)),
        ["subject"] => owned(text(event.subject.as_deref()?)),
        [] => {
            whole(&["id", "type", "source", "time", "subject", "data"], |name| self::event(recorded, &[name]))
        }
        _ => None,
    }
}

fn contact<'a>(contact: &'a Contact, rest: &[&str]) -> Found<'a> {
    let optional = |value: &Option<String>| owned(text(value.as_deref()?));
    match rest {
        ["id"] => owned(text(&contact.subject)),
        ["email"] => optional(&contact.email),
        ["phone"] => optional(&contact.phone),
        ["first_name"] => optional(&contact.first_name),
        ["last_name"] => optional(&contact.last_name),
        ["timezone"] => optional(&contact.timezone),
        ["owner"] => optional(&contact.owner),
        ["score"] => owned(Value::Number(number::of_double(contact.score)?)),
        ["tags"] => owned(json!(contact.tags)),
        ["segments"] => owned(json!(contact.segments)),
        ["tags", index] => owned(text(contact.tags.get(path::number(index)?)?)),
        ["segments", index] => owned(text(contact.segments.get(path::number(index)?)?)),
        ["fields"] => Some(Fact::Members(&contact.fields)),
        ["fields", name, rest @ ..] => below(contact.fields.get(*name)?, rest),
        [] => {
            const NAMES: [&str; 11] = [
                "id",
                "email",
                "phone",
                "first_name",
                "last_name",
                "timezone",
                "owner",
                "score",
                "tags",
                "segments",
                "fields",
            ];
            whole(&NAMES, |name| self::contact(contact, &[name]))
        }
        _ => None,
    }
}

fn step<'a>(result: &'a StepResult, rest: &[&str]) -> Found<'a> {
    match rest {
        ["output", rest @ ..] => below(&result.output, rest),
        ["case"] => owned(text(result.case.as_deref()?)),
        ["error"] => {
            result.error.as_ref()?;
            whole(&["code", "message"], |name| step(result, &["error", name]))
        }
        ["error", "code"] => owned(text(&result.error.as_ref()?.code)),
        ["error", "message"] => owned(text(&result.error.as_ref()?.message)),
        [] => whole(&["output", "error", "case"], |name| step(result, &[name])),
        _ => None,
    }
}

fn run<'a>(run: &RunFacts<'a>, rest: &[&str]) -> Found<'a> {
    match rest {
        ["id"] => owned(text(&run.run_id.to_string())),
        ["key"] => owned(text(run.run_key)),
        ["started_at"] => owned(instant(run.started_at)),
        ["version"] => owned(run.version.into()),
        [] => whole(&["id", "key", "started_at", "version"], |name| self::run(run, &[name])),
        _ => None,
    }
}

fn tenant<'a>(tenant: TenantFacts<'a>, rest: &[&str]) -> Found<'a> {
    match rest {
        ["key"] => owned(text(tenant.key)),
        ["timezone"] => owned(text(tenant.zone.name())),
        [] => whole(&["key", "timezone"], |name| self::tenant(tenant, &[name])),
        _ => None,
    }
}

fn item<'a>(item: ItemFacts<'a>, rest: &[&str]) -> Found<'a> {
    match rest {
        ["value", rest @ ..] => below(item.value, rest),
        ["index"] => owned(item.index.into()),
        ["parent", rest @ ..] => {
            let (value, index) = item.parent?;
            self::item(ItemFacts { value, index, parent: None }, rest)
        }
        [] => whole(&["value", "index", "parent"], |name| self::item(item, &[name])),
        _ => None,
    }
}

/// The clock in the contact's zone, or in the tenant's where that is missing or no zone.
fn now<'a>(facts: &Facts<'a>, rest: &[&str]) -> Found<'a> {
    let local = facts.zone().zone.from_utc_datetime(&facts.now.naive_utc());
    match rest {
        ["time"] => owned(text(&local.format("%H:%M").to_string())),
        ["date"] => owned(text(&local.format("%Y-%m-%d").to_string())),
        ["weekday"] => owned(text(&local.format("%A").to_string().to_lowercase())),
        ["timestamp"] => owned(instant(facts.now)),
        [] => whole(&["time", "date", "weekday", "timestamp"], |name| now(facts, &[name])),
        _ => None,
    }
}

/// Follows `rest` into JSON.
fn below<'a>(value: &'a Value, rest: &[&str]) -> Found<'a> {
    rest.iter()
        .try_fold(value, |value, segment| path::member(value, segment))
        .map(|value| Fact::Json(Cow::Borrowed(value)))
}

/// A whole of parts that stand apart.
fn whole<'a>(names: &[&'static str], find: impl Fn(&str) -> Found<'a>) -> Found<'a> {
    Some(Fact::Whole(names.iter().filter_map(|name| Some((*name, find(name)?))).collect()))
}

fn owned<'a>(value: Value) -> Found<'a> {
    Some(Fact::Json(Cow::Owned(value)))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn instant(at: DateTime<Utc>) -> Value {
    Value::String(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::facts::sample::Sample;
    use crate::past::Past;

    fn find(sample: &Sample, path: &str) -> Option<Value> {
        sample.facts().field(&FieldPath::parse(path, "").unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn facts_are_found_where_they_are() {
        let mut sample = Sample::default();
        sample.event.event.data = json!({ "total": 80, "items": [{ "sku": "a" }], "none": null });
        sample.contact.fields.insert("plan".into(), json!("pro"));
        sample.contact.fields.insert("first.plan".into(), json!("free"));
        sample.contact.score = 80.0;
        sample.contact.tags = vec!["vip".into()];
        sample.state.vars.insert("list".into(), json!([1, 2]));
        for (path, value) in [
            ("event.type", json!("order.created")),
            ("event.time", json!("2026-11-24T08:00:00Z")),
            ("event.data.total", json!(80)),
            ("event.data.items.0.sku", json!("a")),
            ("event.data.none", json!(null)),
            ("contact.id", json!("c-1")),
            ("contact.email", json!("ada@example.com")),
            ("contact.score", json!(80)),
            ("contact.tags", json!(["vip"])),
            ("contact.tags[0]", json!("vip")),
            ("contact.fields[\"first.plan\"]", json!("free")),
            ("event.data.items[0].sku", json!("a")),
            ("contact.fields.plan", json!("pro")),
            ("vars.list.1", json!(2)),
            ("run.version", json!(3)),
            ("workflow.key", json!("welcome")),
            ("tenant.key", json!("acme")),
            ("tenant.timezone", json!("UTC")),
            ("now.timestamp", json!("2026-11-24T23:30:00Z")),
        ] {
            assert_eq!(find(&sample, path), Some(value), "{path}");
        }
        for path in [
            "event.data.items.1.sku",
            "event.data.total.cents",
            "contact.phone",
            "contact.tags[1]",
            "vars.x",
            "steps.a.case",
        ] {
            assert_eq!(find(&sample, path), None, "{path}");
        }
    }

    #[test]
    fn time_of_day_is_the_contacts_then_the_tenants_then_that_of_utc() {
        let mut sample = Sample::default();
        let mut clock = |of_contact: Option<&str>, of_tenant: &str| {
            sample.contact.timezone = of_contact.map(str::to_owned);
            sample.zone = of_tenant.to_owned();
            ["now.time", "now.date", "now.weekday"].map(|path| find(&sample, path).unwrap())
        };
        let (utc, berlin) = (["23:30", "2026-11-24", "tuesday"], ["00:30", "2026-11-25", "wednesday"]);
        assert_eq!(clock(None, "UTC"), utc);
        assert_eq!(clock(None, "Europe/Berlin"), berlin);
        assert_eq!(clock(Some("Europe/Berlin"), "America/New_York"), berlin);
        assert_eq!(clock(Some("Mars/Olympus"), "Europe/Berlin"), berlin);
        assert_eq!(clock(Some(""), "Europe/Berlin"), berlin);
        assert_eq!(clock(Some("Mars/Olympus"), "Mars/Olympus"), utc);
    }

    #[test]
    fn without_facts_every_field_is_missing() {
        let now = DateTime::UNIX_EPOCH;
        let facts = Facts {
            event: None,
            contact: None,
            run: None,
            past: Past::Unknown,
            tenant: TenantFacts::new("acme", "UTC"),
            now,
            budget: &Budget::default(),
        };
        for path in ["event.type", "contact.email", "vars.a", "steps.a.case", "run.id", "workflow.key"] {
            assert_eq!(facts.field(&FieldPath::parse(path, "").unwrap()), None, "{path}");
        }
    }
}
