//! A shop that publishes its events to Automation Engine: a separate process that knows only the public contract.
//!
//! The data depends on the seed alone; each run gives its events new ids, so that it is new facts to the engine.

mod report;
mod shop;

use anyhow::{Context, bail};
use automation_client::{Config, Event, EventBuilder, Packing, Publisher};
use clap::Parser;
use report::Report;
use shop::{Fact, Shop};
use std::time::Duration;
use tokio::time::Instant;

const SOURCE: &str = "demo-shop";

/// How many events are published at a time when neither a rate nor a batch size says otherwise.
const PIPELINE: usize = 1_000;

/// Publishes the events of a small shop: contacts, forms, carts, orders, failed payments, page visits.
///
/// AMQP_URL names RabbitMQ, as amqp://user:password@host:port/vhost; its user needs permission to write to automation.events
/// and a grant for the tenant.
#[derive(Parser, Debug)]
#[command(name = "demo-shop", version)]
struct Args {
    /// Key of the tenant whose events they are
    #[arg(long, env = "AUTOMATION_TENANT", value_name = "KEY", default_value = "demo")]
    tenant: String,
    /// How many events are published
    #[arg(long, value_name = "N", default_value_t = 300)]
    events: usize,
    /// Events per second; 0 is as fast as the broker confirms
    #[arg(long, value_name = "EVENTS", default_value_t = 0)]
    rate: u32,
    /// Most events in a message; 1 publishes each alone
    #[arg(long, value_name = "EVENTS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500))]
    batch: u16,
    /// What the data depends on: the same seed gives the same customers, carts and orders
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what it is run for")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let config = Config { connection_name: SOURCE.to_owned(), ..Config::default() };
    // No argument: whoever lists the processes of a machine reads those.
    let url =
        std::env::var("AMQP_URL").context("AMQP_URL is not set: amqp://user:password@host:port/vhost")?;
    let publisher = Publisher::connect_with(&url, config).await.context("connecting (AMQP_URL)")?;
    let report = publish(&args, &publisher).await?;
    publisher.close().await;
    if args.json {
        println!("{}", report.as_json());
    } else {
        print!("{report}");
    }
    if report.confirmed() < report.published() {
        bail!(
            "{} of {} events are not confirmed",
            report.published() - report.confirmed(),
            report.published()
        );
    }
    Ok(())
}

async fn publish(args: &Args, publisher: &Publisher) -> anyhow::Result<Report> {
    let facts: Vec<Fact> = Shop::new(args.seed).take(args.events).collect();
    let batch = usize::from(args.batch);
    let (packing, at_a_time) = match (batch, args.rate) {
        (1, 0) => (Packing::Single, PIPELINE),
        (1, _) => (Packing::Single, 1),
        (_, _) => (Packing::Batches, batch),
    };
    #[expect(clippy::disallowed_methods, reason = "the pace of what is published")]
    let begun = Instant::now();
    let mut report = Report::default();
    for (number, chunk) in facts.chunks(at_a_time).enumerate() {
        if args.rate > 0 {
            let due = (number * at_a_time) as f64 / f64::from(args.rate);
            tokio::time::sleep_until(begun + Duration::from_secs_f64(due)).await;
        }
        let events =
            chunk.iter().map(|fact| event(&args.tenant, fact)).collect::<anyhow::Result<Vec<_>>>()?;
        for (event, outcome) in events.iter().zip(publisher.publish_all(&events, packing).await) {
            report.count(event.event_type(), outcome);
        }
    }
    report.took = begun.elapsed();
    Ok(report)
}

fn event(tenant: &str, fact: &Fact) -> anyhow::Result<Event> {
    let event =
        EventBuilder::new(tenant, SOURCE, fact.event_type).subject(&fact.customer).data(&fact.data).build();
    event.with_context(|| format!("building {}", fact.event_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_makes_an_event() {
        for fact in Shop::new(7).take(2_000) {
            event("demo", &fact).unwrap();
        }
    }

    #[test]
    fn two_runs_of_a_seed_differ_in_nothing_but_ids_and_times() {
        let run = || Shop::new(7).take(300).map(|fact| event("demo", &fact).unwrap()).collect::<Vec<_>>();
        for (one, other) in run().iter().zip(run()) {
            assert_ne!(one.id(), other.id());
            assert_eq!((one.event_type(), one.data()), (other.event_type(), other.data()));
        }
    }
}
