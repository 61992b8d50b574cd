//! What a simulation of examples says is what the roles do on real servers: the same runs, steps, decisions, records and ends.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;

use automation_domain::interpreter::Step;
use automation_domain::limits::Limits;
use automation_domain::workflow::{self, Workflow};
use automation_operations::{Session, contacts, runs, workflows};
use automation_simulation::{Effect, Happening, Setting, Simulation};
use automation_test_support::builders;
use chrono::{DateTime, TimeDelta, Utc};
use engine::{Engine, event};
use serde_json::{Value, json};
use std::path::Path;

/// An example, with these delays in place of its own.
fn example(name: &str, delays: &[(&str, &str)]) -> anyhow::Result<Workflow> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/{name}.yaml"));
    let (text, limits) = (std::fs::read_to_string(path)?, Limits::default());
    let mut definition = workflow::read(&text, &limits).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    for node in definition["nodes"].as_array_mut().into_iter().flatten() {
        let delay = delays.iter().find(|(id, _)| node["id"] == *id);
        if let Some((_, delay)) = delay {
            node["with"]["for"] = (*delay).into();
        }
    }
    workflow::parse_value(&definition, automation_actions::node_types(), &limits)
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))
}

/// A simulation and an engine to which the same happens.
struct Both {
    engine: Engine,
    session: Session,
    simulation: Simulation,
    start: DateTime<Utc>,
    events: i64,
}

impl Both {
    async fn with(workflows: Vec<Workflow>) -> anyhow::Result<Self> {
        let engine = Engine::start(1).await?;
        let session = Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() };
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
        let setting = Setting { tenant_id: engine.tenant, ..Setting::new("acme", start) };
        let mut simulation = Simulation::new(setting);
        for workflow in workflows {
            let most = Limits::default().cache_bytes;
            workflows::apply(&session, &builders::auditor("ada"), &workflow, most).await?;
            simulation.add_workflow(workflow, 1, None);
        }
        Ok(Self { engine, session, simulation, start, events: 0 })
    }

    /// An event that comes to both, so long after the beginning; on real servers once `before` has the value.
    async fn happens(
        &mut self,
        after: i64,
        (event_type, who): (&str, &str),
        data: Value,
        before: (&str, i64),
    ) -> anyhow::Result<()> {
        self.engine.until(before.0, before.1).await?;
        let at = self.start + TimeDelta::seconds(after);
        self.simulation.happens(at, Happening::event(event_type, Some(who), data.clone()));
        self.events += 1;
        self.engine.publish(vec![event(event_type, &self.events.to_string(), who, data)]).await
    }

    /// Compares all there is once every run has ended; there are `runs` of them.
    async fn agree(mut self, count: i64, people: &[&str]) -> anyhow::Result<()> {
        self.simulation.play(None).map_err(|too_much| anyhow::anyhow!("{too_much}"))?;
        self.engine.until("SELECT count(*) FROM runs_finished", count).await?;
        let mut real = Vec::new();
        for summary in runs::list(&self.session, &runs::Filter::default(), 1_000, None).await?.data {
            let runs::Run(detail) = runs::show(&self.session, summary.id).await?;
            let steps = detail.log.iter().flat_map(|entry| &entry.steps).map(told).collect::<Vec<_>>();
            real.push((
                detail.summary.workflow,
                detail.summary.run_key,
                detail.summary.status.to_string(),
                steps,
            ));
        }
        let mut simulated = Vec::new();
        for run in self.simulation.runs() {
            let steps = run.log.iter().map(|(_, step)| told(step)).collect::<Vec<_>>();
            let status = run.state.end.as_ref().map_or("open", |end| end.status().as_str());
            simulated.push((run.workflow.clone(), run.key.clone(), status.to_owned(), steps));
        }
        let by_text = |run: &(String, String, String, Vec<Value>)| format!("{run:?}");
        real.sort_by_key(by_text);
        simulated.sort_by_key(by_text);
        assert_eq!(simulated, real);
        assert_eq!(simulated.len() as i64, count);

        let (mut notes, mut tasks) = (0, 0);
        for done in self.simulation.effects() {
            let (table, column, text) = match &done.effect {
                Effect::Note { text, .. } => {
                    notes += 1;
                    ("notes", "body", text)
                }
                Effect::Task { title, .. } => {
                    tasks += 1;
                    ("tasks", "title", title)
                }
                Effect::AddTag { .. }
                | Effect::RemoveTag { .. }
                | Effect::SetField { .. }
                | Effect::Request { .. }
                | Effect::Command { .. } => continue,
            };
            let quoted = text.replace('\'', "''");
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} = '{quoted}'");
            assert!(self.engine.count(&sql).await? > 0, "{text}");
        }
        assert_eq!(self.engine.count("SELECT count(*) FROM notes").await?, notes);
        assert_eq!(self.engine.count("SELECT count(*) FROM tasks").await?, tasks);
        for who in people {
            let kept = contacts::show(&self.session, who).await?;
            let played =
                self.simulation.contact(who).map(|contact| (contact.tags.clone(), contact.fields.clone()));
            assert_eq!(Some((kept.tags, kept.fields)), played, "{who}");
        }
        self.engine.stop().await
    }
}

/// A line of a history without the times and ids in it.
fn told(step: &Step) -> Value {
    let mut detail = step.detail.clone();
    for key in ["until", "task_id", "note_id", "due_at", "reason"] {
        detail.as_object_mut().map(|detail| detail.remove(key));
    }
    if let Some(event) = detail.get_mut("event").and_then(Value::as_object_mut) {
        event.retain(|key, _| key == "type");
    }
    json!([step.node, step.action, step.visit, step.outcome, detail])
}

const ALWAYS: (&str, i64) = ("SELECT 0::int8", 0);

#[tokio::test]
async fn examples_come_to_the_same_on_real_servers_as_in_a_simulation() -> anyhow::Result<()> {
    let names = ["cart-rescue", "demo-request", "stock-order", "vip-spotting", "vip-welcome"];
    let all = names.iter().map(|name| example(name, &[])).collect::<anyhow::Result<_>>()?;
    let mut both = Both::with(all).await?;
    // Each is about another person: what runs do to one contact at the same time has no order that could be compared.
    let events = "SELECT count(*) FROM events";
    both.happens(0, ("contact.tag_added", "eve"), json!({ "tag": "staff" }), ALWAYS).await?;
    both.happens(1, ("contact.created", "ada"), json!({ "first_name": "Ada" }), (events, 1)).await?;
    let cart = |id: &str, total: u32| json!({ "cart_id": id, "total": total, "currency": "EUR" });
    both.happens(2, ("cart.abandoned", "ada"), cart("c-1", 310), (events, 2)).await?;
    both.happens(3, ("cart.abandoned", "eve"), cart("c-2", 310), ALWAYS).await?;
    both.happens(4, ("cart.abandoned", "bob"), cart("c-3", 60), ALWAYS).await?;
    both.happens(5, ("cart.abandoned", "bob"), cart("c-4", 5), ALWAYS).await?;
    both.happens(6, ("form.submitted", "dan"), json!({ "form_id": "demo" }), ALWAYS).await?;
    let items = json!([{ "sku": "a", "count": 1, "stock": 3 }, { "sku": "b", "count": 1, "stock": 1 }]);
    both.happens(7, ("stock.checked", "fay"), json!({ "order_id": "o-1", "items": items }), ALWAYS).await?;
    both.happens(8, ("order.completed", "gus"), json!({ "order_id": "o-2", "total": 500 }), ALWAYS).await?;
    both.agree(6, &["ada", "bob", "dan", "eve", "fay", "gus"]).await
}

#[tokio::test]
async fn runs_that_are_superseded_and_exited_are_so_on_real_servers_as_in_a_simulation() -> anyhow::Result<()>
{
    let mut both = Both::with(vec![example("form-recall", &[("quiet", "10m")])?]).await?;
    let page = |page: u32| json!({ "form_id": "loan", "page": page });
    let waits = "SELECT count(*) FROM waits";
    both.happens(0, ("form.progressed", "ada"), page(1), ALWAYS).await?;
    both.happens(1, ("form.progressed", "bob"), page(1), ALWAYS).await?;
    both.happens(2, ("form.progressed", "ada"), page(2), (waits, 2)).await?;
    let cancelled = "SELECT count(*) FROM runs_finished WHERE status = 'cancelled'";
    both.engine.until(cancelled, 1).await?;
    both.happens(3, ("form.submitted", "ada"), json!({ "form_id": "other" }), (waits, 2)).await?;
    both.happens(4, ("form.submitted", "ada"), json!({ "form_id": "loan" }), ALWAYS).await?;
    both.happens(5, ("form.submitted", "bob"), json!({ "form_id": "loan" }), ALWAYS).await?;
    both.agree(3, &["ada", "bob"]).await
}
