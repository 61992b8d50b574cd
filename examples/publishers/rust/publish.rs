//! Publishes events to Automation Engine: one, a batch, and the first one again, each with a confirm.
//!
//! ```sh
//! AMQP_URL=amqp://user:password@host:5672/automation AUTOMATION_TENANT=acme \
//!     cargo run -p automation-client --example publish
//! ```
//!
//! In a project of your own, `automation-client` is the only dependency that this needs beside tokio and serde_json.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use automation_client::{Event, EventBuilder, InvalidEvent, PublishError, Publisher};
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

const TRIES: u32 = 8;

fn event(tenant: &str, event_type: &str, data: &Value) -> Result<Event, InvalidEvent> {
    // The id is a new UUIDv7. Where the fact has an id of its own (an order's), set it with `.id(…)`.
    EventBuilder::new(tenant, "example-rust", event_type).subject("customer-17").data(data).build()
}

/// Tries until it is done. Whoever is in doubt publishes again: the events' ids make that harmless.
///
/// The publisher tries once more by itself, over a new connection; this is for outages that take longer.
async fn again<T>(mut attempt: impl AsyncFnMut() -> Result<T, PublishError>) -> Result<T, PublishError> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error @ (PublishError::Unavailable(_) | PublishError::Unconfirmed(_))) if tries < TRIES => {
                eprintln!("trying again: {error}");
                let delay = Duration::from_millis(200) * 2_u32.pow(tries);
                tokio::time::sleep(delay.min(Duration::from_secs(5))).await;
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, tenant) = (std::env::var("AMQP_URL")?, std::env::var("AUTOMATION_TENANT")?);
    let publisher = again(async || Publisher::connect(&url).await).await?;

    let order = json!({ "order_id": "A-1001", "total": 129.9, "currency": "EUR" });
    let order = event(&tenant, "order.created", &order)?;
    let visit =
        |page: u32| event(&tenant, "page.visited", &json!({ "url": format!("https://shop.example/{page}") }));
    let visits = (0..20).map(visit).collect::<Result<Vec<_>, _>>()?;

    again(async || publisher.publish(&order).await).await?;
    again(async || publisher.publish_batch(&visits).await).await?; // one message: at most 500 events of one type
    again(async || publisher.publish(&order).await).await?; // the same event again, and nothing happens twice
    publisher.close().await;
    println!("published {} events, one of them twice", 1 + visits.len());
    Ok(())
}
