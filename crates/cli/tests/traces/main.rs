//! One event through two retries, as a receiver of traces sees it: roles in processes of their own, the executor replaced
//! in between.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "the hunt for secrets looks at spans as a whole")]
mod collector;
#[path = "../engine/mod.rs"]
#[expect(dead_code, reason = "this engine's roles are in processes of their own")]
mod engine;
#[path = "../recorder/mod.rs"]
#[expect(dead_code, reason = "the tests of requests use the rest of it")]
mod recorder;
mod tree;

use anyhow::Context;
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use collector::{Collector, Received};
use engine::{Engine, event};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind};
use prost::Message;
use recorder::{Recorder, Reply};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::SystemTime;
use tokio::process::{Child, Command};

const DOC: &str = include_str!("../../../../docs/observability.md");
const RUNGS: &str = "1s,300ms";
const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SENT: u64 = 0xb7ad_6b71_6920_3331;

/// One role in a process that sends its traces to the collector.
fn role(name: &str, engine: &Engine, recorder: &Recorder, collector: &Collector) -> anyhow::Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
    command
        .args(["serve", "--roles", name])
        .env("DATABASE_URL", engine.database.url())
        .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_ENGINE_USERS", engine.engine_user())
        .env("AUTOMATION_ADMIN_ADDR", "127.0.0.1:0")
        .env("AUTOMATION_HTTP_ADDR", "127.0.0.1:0")
        .env("AUTOMATION_FIRST_LOOK_MS", "500")
        .env("AUTOMATION_RETRY_RUNGS", RUNGS)
        .env("AUTOMATION_OUTBOUND_ALLOW", recorder.authority())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)
        .env("OTEL_SERVICE_NAME", name)
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .env_remove("OTEL_TRACES_SAMPLER")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().context("starting a role")
}

/// What a command prints.
async fn cli(engine: &Engine, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
    command.args(arguments).env("DATABASE_URL", engine.database.url()).env("AUTOMATION_TENANT", "acme");
    command.env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS);
    let output = command.output().await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Lets a process drain; what it has not sent of its traces leaves then.
async fn drain(mut process: Child) -> anyhow::Result<()> {
    let pid = process.id().context("it runs")?;
    Command::new("kill").arg(pid.to_string()).status().await?;
    let status = process.wait().await?;
    anyhow::ensure!(status.success(), "{status}");
    Ok(())
}

/// The publisher's own span, as its SDK would send it.
async fn publisher_sends(collector: &Collector, start: SystemTime) -> anyhow::Result<()> {
    let nanos = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(0)
    };
    let name = Value::StringValue("shop".to_owned());
    let shop = KeyValue {
        key: "service.name".to_owned(),
        value: Some(AnyValue { value: Some(name) }),
        ..KeyValue::default()
    };
    let span = Span {
        trace_id: TRACE.to_be_bytes().to_vec(),
        span_id: SENT.to_be_bytes().to_vec(),
        name: "send automation.events".to_owned(),
        kind: SpanKind::Producer.into(),
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(SystemTime::now()),
        ..Span::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![shop], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    let client = reqwest::Client::new();
    let url = format!("{}/v1/traces", collector.endpoint);
    client.post(url).body(request.encode_to_vec()).send().await?.error_for_status()?;
    Ok(())
}

fn named<'a>(spans: &'a [Received], trace_id: &str, name: &str) -> Vec<&'a Received> {
    spans.iter().filter(|span| span.trace_id == trace_id && span.name == name).collect()
}

/// Whether every batch that a span of this trace is linked to was received: it is sent last.
fn have_batches(spans: &[Received], trace_id: &str) -> bool {
    let of_trace = spans.iter().filter(|span| span.trace_id == trace_id);
    of_trace.flat_map(|span| &span.links).all(|(_, batch)| spans.iter().any(|span| span.span_id == *batch))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_and_its_retries_are_one_trace_over_all_processes() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let recorder = Recorder::start(|arrival, number| {
        Reply::Status(if arrival.path == "/call" && number < 3 { 503 } else { 200 })
    })
    .await?;
    let ladder = Ladder { rungs: RUNGS.parse()?, ..Ladder::default() };
    let engine = Engine::prepare(ladder, Requests::default()).await?;
    let workflow = |key: &str, kind: &str, path: &str| {
        json!({
            "apiVersion": "automation/v1", "key": key,
            "triggers": [{ "id": "asked", "event": "form.submitted",
                           "where": { "field": "event.data.form_id", "op": "equals", "value": kind } }],
            "nodes": [
                { "id": "call", "action": "http_request", "with": {
                    "method": "POST", "url": recorder.url(path), "body": { "text": "{{ event.data.secret }}" },
                } },
                { "id": "tag", "action": "add_tag", "with": { "tag": "called" } },
            ],
            "edges": [["asked", "call"], ["call", "tag"]],
        })
    };
    engine.apply(workflow("call", "large", "/call")).await?;
    engine.apply(workflow("quick", "small", "/quick")).await?;
    let ingest = role("ingest", &engine, &recorder, &collector)?;
    let scheduler = role("scheduler", &engine, &recorder, &collector)?;
    let first = role("executor", &engine, &recorder, &collector)?;

    let trace_id = format!("{TRACE:032x}");
    let start = SystemTime::now();
    let form = |id: &str, kind: &str, traceparent: Option<String>| {
        let data = json!({ "form_id": kind, "secret": "hunter2" });
        let mut sent = event("form.submitted", id, "ada@example.com", data);
        if let Some(traceparent) = traceparent {
            sent["traceparent"] = traceparent.into();
        }
        sent
    };
    engine.publish(vec![form("1", "large", Some(format!("00-{trace_id}-{SENT:016x}-01")))]).await?;
    publisher_sends(&collector, start).await?;
    recorder.until(1).await;
    engine.until("SELECT count(*) FROM effects WHERE status = 'pending'", 1).await?;
    drain(first).await?;
    let second = role("executor", &engine, &recorder, &collector)?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;

    // Whoever looks at the run finds its trace, and in it the run's own span.
    let runs: serde_json::Value = serde_json::from_str(&cli(&engine, &["run", "list", "--json"]).await?)?;
    let run = runs["data"][0]["id"].as_str().context("a run")?.to_owned();
    let told = cli(&engine, &["run", "explain", &run]).await?;
    assert!(told.contains(&format!("\n  trace     {trace_id}\n")), "{told}");
    let explained = cli(&engine, &["run", "explain", &run, "--json"]).await?;
    let explained: serde_json::Value = serde_json::from_str(&explained)?;
    assert_eq!(explained["trace_id"], trace_id);

    let spans = collector
        .until(|spans| {
            named(spans, &trace_id, "process automation.events").len() == 2
                && !named(spans, &trace_id, "run call").is_empty()
                && have_batches(spans, &trace_id)
        })
        .await?;
    let drawn = tree::draw(&spans, &trace_id);
    println!("{drawn}");
    assert!(DOC.contains(&drawn), "docs/observability.md shows another trace than\n{drawn}");

    // Each request told its receiver where in the trace it is.
    let sent: BTreeSet<String> =
        recorder.by_key().into_values().flatten().map(|arrival| arrival.traceparent).collect();
    let posts = named(&spans, &trace_id, "POST");
    let told = posts.iter().map(|post| format!("00-{trace_id}-{}-01", post.span_id)).collect();
    assert_eq!((sent.len(), &sent), (3, &told));
    assert!(posts.iter().all(|post| post.kind == i32::from(SpanKind::Client)));
    assert_eq!(posts.iter().filter(|post| post.is_error).count(), 2);
    // The first attempt failed more than a second before the second, in a process that is gone.
    let attempts = named(&spans, &trace_id, "attempt http_request");
    let run = named(&spans, &trace_id, "run call")[0];
    assert_eq!(explained["span_id"], run.span_id);
    assert!(attempts.iter().all(|attempt| run.start <= attempt.start && attempt.end <= run.end));
    assert!(run.end - run.start > 1_000_000_000);

    // Batches are traces of their own, and linked both ways.
    for (name, linked) in
        [("ingest batch", "process automation.events"), ("executor batch", "attempt http_request")]
    {
        for span in named(&spans, &trace_id, linked) {
            let [(trace, id)] = &span.links[..] else { panic!("{linked} has one link: {span:?}") };
            let batch = spans.iter().find(|batch| batch.span_id == *id).context("the batch was received")?;
            assert_eq!((batch.name.as_str(), &batch.trace_id), (name, trace));
            assert_ne!(*trace, trace_id, "a batch belongs to no event's trace");
            assert!(batch.links.iter().all(|(trace, _)| *trace == trace_id));
            assert!(!batch.links.is_empty() && batch.parent.is_empty());
        }
    }

    // An event without a trace gets one; one that its publisher does not record, is not recorded here.
    let unsampled = format!("00-{:032x}-{SENT:016x}-00", TRACE + 1);
    engine.publish(vec![form("2", "small", None), form("3", "small", Some(unsampled))]).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 3).await?;
    // Its ingest sends what the run belongs to, and may be the later of the two.
    let has_begun = |spans: &[Received], run: &Received| spans.iter().any(|span| span.span_id == run.parent);
    let spans = collector
        .until(|spans| spans.iter().any(|span| span.name == "run quick" && has_begun(spans, span)))
        .await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE trace IS NULL", 1).await?;
    let runs: Vec<_> = spans.iter().filter(|span| span.name == "run quick").collect();
    assert_eq!(runs.len(), 1);
    let begun = spans.iter().find(|span| span.span_id == runs[0].parent).context("it was received")?;
    assert_eq!((begun.name.as_str(), begun.parent.as_str()), ("process automation.events", ""));

    for process in [ingest, second, scheduler] {
        drain(process).await?;
    }
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace_id != format!("{:032x}", TRACE + 1)));
    let told = format!("{spans:?}");
    for secret in ["hunter2", "ada@example.com", &recorder.authority()] {
        assert!(!told.contains(secret), "{secret} is in a span");
    }
    for span in spans.iter().filter(|span| span.name.starts_with("attempt")) {
        for name in ["run.id", "workflow.id", "workflow.key", "node.id", "attempt", "tenant"] {
            assert!(span.attributes.contains_key(name), "{name} is not in {span:?}");
        }
    }
    engine.stop().await
}
