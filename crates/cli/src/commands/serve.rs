//! `automation serve`: one or more roles in this process.

use anyhow::Context;
use automation_domain::retry::Ladder;
use automation_domain::schedule::plan::Policy;
use automation_executor::Requests;
use automation_service_kit::config::{
    CommonConfig, DoorKeysConfig, EncryptionConfig, HttpConfig, LadderConfig, LimitsConfig, OutboundConfig,
};
use automation_service_kit::health::{self, Health};
use automation_service_kit::metrics::Metrics;
use automation_service_kit::shutdown::{Shutdown, Tasks};
use automation_service_kit::spans::{Spans, spans};
use automation_service_kit::{ids, telemetry, watchdog};
use automation_vault::KeyRing;
use chrono::TimeDelta;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A part of the engine that a process can play.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Role {
    /// Faces the internet: takes events over HTTP.
    Door,
    /// Takes events in and makes runs.
    Ingest,
    /// Claims runs and walks them.
    Executor,
    /// Fires schedules, sweeps, relays the outbox, records parked events, looks after partitions.
    Scheduler,
}

/// Arguments of `automation serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The roles of this process
    #[arg(
        long,
        env = "AUTOMATION_ROLES",
        value_delimiter = ',',
        default_value = "door,ingest,executor,scheduler"
    )]
    roles: Vec<Role>,
    /// Batches under way at once, per role
    #[arg(long, env = "AUTOMATION_WORKERS", value_name = "BATCHES", default_value_t = 2)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    workers: usize,
    /// Most messages or runs in a batch
    #[arg(long, env = "AUTOMATION_BATCH", value_name = "COUNT", default_value_t = 500)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=5000))]
    batch: u16,
    /// How long a worker's claim of a run is good for, in milliseconds
    #[arg(long, env = "AUTOMATION_LEASE_MS", value_name = "MILLISECONDS", default_value_t = 15_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(500..=3_600_000))]
    lease_ms: u64,
    /// How long after a run became ready the sweep looks whether its nudge was lost, in milliseconds
    #[arg(long, env = "AUTOMATION_FIRST_LOOK_MS", value_name = "MILLISECONDS", default_value_t = 5_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    first_look_ms: u64,
    /// Most requests to the world outside at once
    #[arg(long, env = "AUTOMATION_REQUESTS", value_name = "REQUESTS", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    requests: u16,
    /// Most requests to the world outside at once of one tenant
    #[arg(long, env = "AUTOMATION_REQUESTS_PER_TENANT", value_name = "REQUESTS", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    requests_per_tenant: u16,
    /// Most requests to one host and port at once; half of these of one tenant
    #[arg(long, env = "AUTOMATION_REQUESTS_PER_HOST", value_name = "REQUESTS", default_value_t = 32)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    requests_per_host: u16,
    /// How often a step is put off because the other side said for how long, before that counts as an attempt
    #[arg(long, env = "AUTOMATION_MAX_DEFERRALS", value_name = "TIMES", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=75))]
    max_deferrals: u32,
    /// How long a step is put off in all because the other side said so, in seconds
    #[arg(long, env = "AUTOMATION_MAX_DEFERRED_SECONDS", value_name = "SECONDS", default_value_t = 86_400)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=31_536_000))]
    max_deferred_seconds: u64,
    /// Days for which an event is known after it was received
    #[arg(long, env = "AUTOMATION_DEDUPE_DAYS", value_name = "DAYS", default_value_t = 7)]
    #[arg(value_parser = clap::value_parser!(i32).range(7..=3650))]
    dedupe_days: i32,
    /// Days for which dead letters are kept
    #[arg(long, env = "AUTOMATION_DEAD_LETTER_DAYS", value_name = "DAYS", default_value_t = 90)]
    #[arg(value_parser = clap::value_parser!(i32).range(7..=3650))]
    dead_letter_days: i32,
    /// Days for which parked messages are kept after they last came
    #[arg(long, env = "AUTOMATION_PARKED_DAYS", value_name = "DAYS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(i32).range(7..=3650))]
    parked_days: i32,
    /// Days of partitions made ahead
    #[arg(long, env = "AUTOMATION_PARTITIONS_AHEAD", value_name = "DAYS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(i32).range(1..=28))]
    partitions_ahead: i32,
    /// How late a slot of a schedule may fire before it counts as missed, in seconds
    #[arg(long, env = "AUTOMATION_SCHEDULE_GRACE_SECONDS", value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(5..=86_400))]
    schedule_grace_seconds: u32,
    /// Most missed slots of a schedule that `catch_up: all` makes up for
    #[arg(long, env = "AUTOMATION_CATCH_UP_SLOTS", value_name = "SLOTS", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    catch_up_slots: u32,
    /// How long one evaluation may take before the process counts as hanging and ends, in milliseconds
    #[arg(long, env = "AUTOMATION_WATCHDOG_MS", value_name = "MILLISECONDS", default_value_t = 5_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(500..=60_000))]
    watchdog_ms: u64,
    #[command(flatten)]
    common: CommonConfig,
    #[command(flatten)]
    http: HttpConfig,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    ladder: LadderConfig,
    #[command(flatten)]
    outbound: OutboundConfig,
    #[command(flatten)]
    encryption: EncryptionConfig,
    #[command(flatten)]
    door_keys: DoorKeysConfig,
}

/// Runs the roles until SIGTERM, then drains.
///
/// # Errors
///
/// When a role refuses its configuration or ends by itself, or when draining took too long.
pub async fn run(args: ServeArgs) -> anyhow::Result<()> {
    telemetry::init(args.common.log_format, &args.common.log_filter)?;
    let shutdown = Shutdown::install()?;
    let metrics = Metrics::install()?;
    Spans::install()?;
    let health = Health::new(shutdown.token());
    watchdog::start(Duration::from_millis(args.watchdog_ms), health.clone())?;
    let mut tasks = Tasks::new();
    for role in args.roles.iter().copied().collect::<BTreeSet<_>>() {
        let (health, drain) = (health.clone(), shutdown.token());
        // A role registers its components when it has reached the broker. Until then this one stands for them, which the
        // role replaces; else a process would be ready as soon as the first of its roles is.
        health.component(&format!("{}.database", name(role)));
        match role {
            Role::Door => tasks.spawn("door", automation_door::run(door(&args)?, health, drain)),
            Role::Ingest => tasks.spawn("ingest", automation_ingest::run(ingest(&args), health, drain)),
            Role::Executor => {
                tasks.spawn("executor", automation_executor::run(executor(&args), health, drain))
            }
            Role::Scheduler => {
                tasks.spawn("scheduler", automation_scheduler::run(scheduler(&args), health, drain))
            }
        }
    }
    let admin = health::serve(args.common.admin_addr, health, metrics).await?;
    let outcome = shutdown.run_until_drained(tasks, args.common.drain()).await;
    spans().shutdown().await;
    admin.stop().await;
    outcome.context("serving")
}

/// What components of a role begin with.
fn name(role: Role) -> &'static str {
    match role {
        Role::Door => "door",
        Role::Ingest => "ingest",
        Role::Executor => "executor",
        Role::Scheduler => "scheduler",
    }
}

fn door(args: &ServeArgs) -> anyhow::Result<automation_door::Config> {
    let keys = args.door_keys.door_keys.as_ref().map(|keys| KeyRing::parse(keys.expose())).transpose();
    let keys = keys.context("reading AUTOMATION_DOOR_KEYS")?.map(Arc::new);
    Ok(automation_door::Config {
        database_url: args.common.database_url.expose().to_owned(),
        amqp_url: args.common.amqp_url.expose().to_owned(),
        users: args.common.users.clone(),
        limits: args.limits.limits.clone(),
        addr: args.http.addr,
        bound: Arc::default(),
        amqp_user: args.common.amqp_user(),
        events_per_second: args.http.events_per_second,
        burst: args.http.burst,
        requests: args.http.requests,
        per_peer: args.http.per_peer,
        per_tenant: args.http.per_tenant,
        bytes_per_second: args.http.bytes_per_second,
        trusted_proxies: args.http.trusted_proxies.clone(),
        timeout: args.http.timeout,
        keys,
    })
}

fn ingest(args: &ServeArgs) -> automation_ingest::Config {
    automation_ingest::Config {
        database_url: args.common.database_url.expose().to_owned(),
        amqp_url: args.common.amqp_url.expose().to_owned(),
        users: args.common.users.clone(),
        limits: args.limits.limits.clone(),
        workers: args.workers,
        batch_messages: args.batch,
        first_look: Duration::from_millis(args.first_look_ms),
    }
}

fn executor(args: &ServeArgs) -> automation_executor::Config {
    automation_executor::Config {
        database_url: args.common.database_url.expose().to_owned(),
        amqp_url: args.common.amqp_url.expose().to_owned(),
        limits: args.limits.limits.clone(),
        workers: args.workers,
        batch_runs: usize::from(args.batch),
        lease: Duration::from_millis(args.lease_ms),
        name: format!("executor-{}", ids::new_id().simple()),
        first_look: Duration::from_millis(args.first_look_ms),
        ladder: Ladder {
            rungs: args.ladder.retry_rungs.clone(),
            max_deferrals: args.max_deferrals,
            max_deferred: Duration::from_secs(args.max_deferred_seconds),
        },
        requests: Requests {
            at_once: usize::from(args.requests),
            per_tenant: usize::from(args.requests_per_tenant),
            per_host: usize::from(args.requests_per_host),
            outbound: args.outbound.outbound.clone(),
            encryption_keys: args.encryption.encryption_keys.clone(),
        },
        // The rest is for what comes after it.
        drain: args.common.drain().mul_f64(0.8),
    }
}

fn scheduler(args: &ServeArgs) -> automation_scheduler::Config {
    automation_scheduler::Config {
        database_url: args.common.database_url.expose().to_owned(),
        amqp_url: args.common.amqp_url.expose().to_owned(),
        amqp_user: args.common.amqp_user(),
        batch: i64::from(args.batch),
        first_look: Duration::from_millis(args.first_look_ms),
        partitions_ahead: args.partitions_ahead,
        dedupe_days: args.dedupe_days,
        dead_letter_days: args.dead_letter_days,
        parked_days: args.parked_days,
        catch_up: Policy {
            grace: TimeDelta::seconds(args.schedule_grace_seconds.into()),
            most_caught_up: usize::try_from(args.catch_up_slots).unwrap_or(usize::MAX),
        },
    }
}
