//! `automation event`: publish an event by hand, over the broker like everybody else, and see what became of one.

pub mod show;

use crate::exit;
use crate::moment;
use crate::output::{Output, note, time};
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::EVENTS;
use automation_domain::catalogue::payload;
use automation_domain::contact::from_event::passed_over;
use automation_domain::event::encode::STRUCTURED;
use automation_domain::event::envelope::{self, Envelope, Rejection};
use automation_domain::event::{ENGINE_SOURCE, Event};
use automation_domain::json;
use automation_domain::limits::Limits;
use automation_domain::schedule::EVENT_PREFIX;
use automation_service_kit::config::{BrokerConfig, LimitsConfig, rule};
use automation_service_kit::{clock, ids};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What to do with events.
#[derive(Subcommand, Debug)]
pub enum EventCommand {
    /// Publish one event and wait for the broker's confirm
    Publish(Box<PublishArgs>),
    /// Show a recorded event, and for each trigger that listens for it why it started a run or none
    Show(Box<show::ShowArgs>),
}

/// Arguments of `automation event publish`.
#[derive(Args, Debug)]
pub struct PublishArgs {
    /// Event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,
    /// The contact, in the publisher's words
    #[arg(long)]
    subject: Option<String>,
    /// JSON object, or @FILE
    #[arg(long, default_value = "{}")]
    data: String,
    /// Id of the event; a new one if it is left out
    #[arg(long)]
    id: Option<String>,
    /// Who publishes
    #[arg(long, default_value = "automation-cli")]
    source: String,
    /// When it happened: a time, a date (its beginning in UTC), or how long ago; now if it is left out
    #[arg(long, value_parser = rule(moment::parse))]
    time: Option<DateTime<Utc>>,
    /// Publish nothing when the data does not follow the schema of its type; warn of what would change no contact
    #[arg(long)]
    check: bool,
    /// Key of the tenant
    #[arg(long, env = "AUTOMATION_TENANT", value_name = "KEY")]
    tenant: String,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// Runs the command.
pub async fn run(command: EventCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        EventCommand::Publish(args) => publish(*args, output).await,
        EventCommand::Show(args) => show::run(*args, output).await,
    }
}

async fn publish(args: PublishArgs, output: &Output) -> anyhow::Result<()> {
    let data = match args.data.strip_prefix('@') {
        Some(file) => std::fs::read(file).map_err(|error| {
            exit::usage(format!("cannot read {file}: {error}"), "name a file that holds a JSON object")
        })?,
        None => args.data.clone().into_bytes(),
    };
    let limits = &args.limits.limits;
    let data = json::parse(&data, limits.json_depth).map_err(|error| {
        exit::usage(format!("--data is not acceptable: {error}"), "give a JSON object, or @FILE")
    })?;
    if args.check {
        check_schema(&args.event_type, &data)?;
    }
    let id = args.id.unwrap_or_else(|| ids::new_id().to_string());
    let happened = args.time.unwrap_or_else(clock::wall_clock);
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": args.source, "type": args.event_type, "time": time(happened),
        "tenantid": args.tenant, "datacontenttype": "application/json", "data": data,
    });
    if let Some(subject) = &args.subject {
        event["subject"] = subject.as_str().into();
    }
    let body = event.to_string().into_bytes();
    let checked = check(&args.event_type, &args.source, &body, limits)?;
    let passed_over = if args.check { passed_over(&checked) } else { Vec::new() };
    for problem in &passed_over {
        note(format!("warning: {problem}"));
    }
    let publisher = Publisher::connect(args.broker.amqp_url.expose(), "automation event publish").await?;
    let message = Message {
        exchange: EVENTS.to_owned(),
        routing_key: args.event_type.clone(),
        body,
        content_type: STRUCTURED.to_owned(),
        message_id: id.clone(),
        user_id: Some(args.broker.amqp_user()),
        ..Message::default()
    };
    publisher.publish_all(vec![message]).await?;
    publisher.close().await;
    let mut published = json!({ "id": id, "source": args.source, "type": args.event_type });
    if args.check {
        published["passed_over"] = json!(passed_over);
    }
    output.one(&published, || {
        let next = format!("automation event show {}/{id}", args.source);
        vec![
            format!("published {} {}/{id}", args.event_type, args.source),
            format!("next: {}", exit::as_typed(&next)),
        ]
    });
    Ok(())
}

/// Refuses what ingest would park for its form, before it is sent.
fn check(event_type: &str, source: &str, body: &[u8], limits: &Limits) -> anyhow::Result<Event> {
    let next = "docs/errors.md explains the code";
    if source == ENGINE_SOURCE {
        let what = format!("only the engine publishes as source \"{ENGINE_SOURCE}\" [reserved_source]");
        return Err(exit::usage(what, next));
    }
    if event_type.starts_with(EVENT_PREFIX) {
        let what = format!("only the engine's own schedules publish {EVENT_PREFIX}… [reserved_type]");
        return Err(exit::usage(what, next));
    }
    let envelope =
        Envelope { content_type: Some(STRUCTURED), routing_key: event_type, body, ..Envelope::default() };
    let read = envelope::read(&envelope, limits).and_then(|mut members| match members.pop() {
        Some(member) => member.outcome,
        None => Err(Rejection::new("not_an_event", "there is no event")),
    });
    read.map_err(|refusal| exit::usage(format!("{} [{}]", refusal.detail, refusal.code), next))
}

/// Refuses data that does not follow the schema of its type.
fn check_schema(event_type: &str, data: &Value) -> anyhow::Result<()> {
    let Err(mismatches) = payload::check(event_type, data) else { return Ok(()) };
    for mismatch in &mismatches {
        note(format!("data{}: {} [schema_mismatch]", mismatch.at, mismatch.detail));
    }
    Err(exit::wrong(
        format!("the data does not follow the schema of {event_type}; nothing was published"),
        format!("automation catalog --schemas {event_type}"),
    ))
}
