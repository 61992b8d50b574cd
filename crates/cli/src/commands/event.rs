//! `automation event`: publish an event by hand, over the broker like everybody else.

use crate::exit;
use crate::output::{Output, time};
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::EVENTS;
use automation_domain::event::encode::STRUCTURED;
use automation_service_kit::config::BrokerConfig;
use automation_service_kit::ids;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What to do with events.
#[derive(Subcommand, Debug)]
pub enum EventCommand {
    /// Publish one event and wait for the broker's confirm
    Publish(Box<PublishArgs>),
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
    /// When it happened; now if it is left out
    #[arg(long)]
    time: Option<DateTime<Utc>>,
    /// Key of the tenant
    #[arg(long, env = "AUTOMATION_TENANT", value_name = "KEY")]
    tenant: String,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// Runs the command.
pub async fn run(command: EventCommand, output: &Output) -> anyhow::Result<()> {
    let EventCommand::Publish(args) = command;
    let data = match args.data.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            exit::usage(format!("cannot read {file}: {error}"), "name a file that holds a JSON object")
        })?,
        None => args.data.clone(),
    };
    let data: Value = serde_json::from_str(&data).map_err(|error| {
        exit::usage(format!("--data is not JSON: {error}"), "give a JSON object, or @FILE")
    })?;
    let id = args.id.unwrap_or_else(|| ids::new_id().to_string());
    let happened = args.time.unwrap_or_else(ids::wall_clock);
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": args.source, "type": args.event_type, "time": time(happened),
        "tenantid": args.tenant, "datacontenttype": "application/json", "data": data,
    });
    if let Some(subject) = &args.subject {
        event["subject"] = subject.as_str().into();
    }
    let publisher = Publisher::connect(args.broker.amqp_url.expose(), "automation event publish").await?;
    let message = Message {
        exchange: EVENTS.to_owned(),
        routing_key: args.event_type.clone(),
        body: event.to_string().into_bytes(),
        content_type: STRUCTURED.to_owned(),
        message_id: id.clone(),
        user_id: Some(args.broker.amqp_user()),
        ..Message::default()
    };
    publisher.publish_all(vec![message]).await?;
    publisher.close().await;
    output.one(&json!({ "id": id, "source": args.source, "type": args.event_type }), || {
        format!(
            "published {} {}/{id}\nnext: automation run list --event {}/{id}",
            args.event_type, args.source, args.source
        )
    });
    Ok(())
}
