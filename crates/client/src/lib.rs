//! Publish domain events to Automation Engine with confirms, by the public contract alone.
//!
//! An event is a CloudEvents 1.0 document on the topic exchange `automation.events`, with its type as routing key. The
//! engine knows it by tenant, source and id: publishing the same event again is harmless, so that whoever does not
//! know whether an event arrived publishes it again.
//!
//! ```no_run
//! use automation_client::{EventBuilder, Packing, Publisher};
//! use serde_json::json;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // The user of the URL needs a grant for the tenant, and permission to write to `automation.events`.
//! let publisher = Publisher::connect("amqp://shop:secret@localhost:5672/automation").await?;
//!
//! let order = EventBuilder::new("acme", "shop", "order.created")
//!     .subject("customer-17")
//!     .data(&json!({ "order_id": "A-1001", "total": 129.9, "currency": "EUR" }))
//!     .build()?;
//! publisher.publish(&order).await?; // returns when the broker has the event on disk
//!
//! // Many at once: packed into messages of one type each, confirmed in a pipeline, one outcome per event.
//! let visit = |page: u32| {
//!     EventBuilder::new("acme", "shop", "page.visited")
//!         .subject("customer-17")
//!         .data(&json!({ "url": format!("https://shop.example/{page}") }))
//!         .build()
//! };
//! let visits = (0..1_000).map(visit).collect::<Result<Vec<_>, _>>()?;
//! for (event, outcome) in visits.iter().zip(publisher.publish_all(&visits, Packing::Batches).await) {
//!     if let Err(error) = outcome {
//!         eprintln!("{} is not confirmed: {error}", event.id());
//!     }
//! }
//! publisher.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! What a confirm means: the broker has the event in a queue, on disk. Whether the engine accepts it (grant, limits) is
//! decided later; what it refuses is parked with the reason and kept, never dropped.

mod clock;
mod error;
mod event;
mod message;
mod publisher;
mod session;

pub use error::{InvalidEvent, PublishError};
pub use event::{Event, EventBuilder};
pub use message::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES, Packing};
pub use publisher::{Config, Publisher};

/// The exchange that events are published on.
pub const EXCHANGE: &str = "automation.events";
