//! Bringing runs back to the step that failed.

use super::select::SelectArgs;
use super::{canary, edit};
use crate::commands::bulk::{BulkArgs, Pace};
use crate::exit;
use crate::output::{Output, note};
use crate::session::{AuditArgs, Session, TenantArgs};
use automation_broker::nudge;
use automation_broker::publisher::Publisher;
use automation_domain::id::{DeadLetterId, RunId, TenantId};
use automation_domain::interpreter::ReplayKey;
use automation_domain::priority::Priority;
use automation_service_kit::config::BrokerConfig;
use automation_service_kit::{clock, ids};
use automation_store::dead_letters::{self, DeadLetterStatus, Refusal, Replay, ReplayVersion, Replayed};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many are replayed before the rest.
const CANARIES: usize = 3;

/// How long after a commit the sweep looks whether the nudge was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Longest time that a nudge waits for others to go with.
const FLUSH: Duration = Duration::from_secs(1);

/// Arguments of `automation dead replay`.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Send under a new idempotency key: to the receiver it is another request, and what it did before it may do again
    ///
    /// Needs --yes and --reason, also for a single one.
    #[arg(long)]
    new_key: bool,
    /// Go on with the version of the workflow that is published now, where it has the failed step
    ///
    /// A request that is stored is sent as it is; with --new-key it is rendered by the current version.
    #[arg(long)]
    current_version: bool,
    /// Send the request in this file instead of the stored one: one letter at a time, under a new key
    ///
    /// JSON, as dead show --request prints it. Needs --new-key.
    #[arg(long, value_name = "FILE", requires = "new_key")]
    edit: Option<PathBuf>,
    /// Why, for the run's history and the audit log
    #[arg(long)]
    reason: Option<String>,
    /// At most this many a second
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Replay three first, and the rest only when these got past the step that had failed
    #[arg(long)]
    canary: bool,
    /// With --canary: how long the three may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    canary_wait: u64,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// Brings them back, one by one, each in a transaction of its own.
pub async fn run(args: ReplayArgs, output: &Output) -> anyhow::Result<()> {
    let key = if args.new_key { ReplayKey::New } else { ReplayKey::Same };
    if args.new_key && !args.bulk.dry_run && !(args.bulk.yes && args.reason.is_some()) {
        return Err(exit::usage(
            "under a new key a receiver does again what it did before",
            "if that is what you want, give --yes and --reason",
        ));
    }
    let version = if args.current_version { ReplayVersion::Current } else { ReplayVersion::Pinned };
    let edited = args.edit.as_deref().map(edit::read).transpose()?;
    let session = args.tenant.open().await?;
    let ids = args.select.snapshot(&session, DeadLetterStatus::Open, args.bulk.most()).await?;
    if edited.is_some() && ids.len() != 1 {
        return Err(exit::usage("a request is edited for one letter at a time", "name one id"));
    }
    let who = args.audit.auditor()?;
    let replay = Replay {
        key,
        version,
        edited: edited.as_ref(),
        who: &who,
        note: args.reason.as_deref(),
        look_again: LOOK_AGAIN,
    };
    if args.bulk.dry_run {
        return dry_run(&session, &ids, replay, output).await;
    }
    args.bulk.confirm(ids.len(), "replay")?;
    let mut nudger = Nudger::connect(args.broker.amqp_url.expose()).await;
    let mut pace = Pace::new(args.rate);
    let mut rows = Vec::new();
    let mut refused = Vec::new();
    let mut canaries = Vec::new();
    let mut is_watched = args.canary;
    let patience = Duration::from_secs(args.canary_wait);
    for id in &ids {
        if is_watched && canaries.len() == CANARIES {
            nudger.flush().await;
            if let Err(error) = canary::pass(&session, &canaries, patience).await {
                nudger.finish().await;
                show(output, rows);
                return Err(error);
            }
            note(format!("the first {CANARIES} got past the step that had failed"));
            is_watched = false;
        }
        if !pace.next().await {
            break;
        }
        let outcome = session
            .db
            .tx(session.scope(), async |connection| {
                dead_letters::replay(connection, session.tenant, *id, replay).await
            })
            .await;
        match outcome {
            Ok(Replayed::Now { run_id, priority }) => {
                nudger.nudge(priority, session.tenant, run_id).await;
                if is_watched {
                    canaries.push(*id);
                }
                rows.push(json!({ "id": id, "result": "replayed", "run": run_id }));
            }
            Ok(Replayed::Refused(refusal)) => {
                rows.push(refusal_json(*id, &refusal));
                refused.push(refusal);
            }
            Err(error) => {
                nudger.finish().await;
                // What was done is shown before the failure is.
                show(output, rows);
                return Err(error.into());
            }
        }
        pace.show(rows.len(), ids.len());
    }
    nudger.finish().await;
    let done = rows.len();
    show(output, rows);
    conclude(ids.len(), done, &refused)
}

/// Says for each what would come of it.
async fn dry_run(
    session: &Session,
    ids: &[DeadLetterId],
    replay: Replay<'_>,
    output: &Output,
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for id in ids {
        let obstacle = session
            .db
            .tx(session.scope(), async |connection| {
                dead_letters::obstacle(connection, session.tenant, *id, replay).await
            })
            .await?;
        rows.push(match obstacle {
            None => json!({ "id": id, "result": "would be replayed" }),
            Some(refusal) => refusal_json(*id, &refusal),
        });
    }
    show(output, rows);
    Ok(())
}

fn show(output: &Output, rows: Vec<Value>) {
    output.list(&["id", "result", "run", "code", "message"], rows, None);
}

fn refusal_json(id: DeadLetterId, refusal: &Refusal) -> Value {
    json!({ "id": id, "result": "refused", "code": refusal.code(), "message": refusal.to_string() })
}

fn conclude(chosen: usize, done: usize, refused: &[Refusal]) -> anyhow::Result<()> {
    if done < chosen {
        let left = chosen - done;
        return Err(exit::wrong(
            format!("stopped: {left} of {chosen} were not looked at"),
            "repeat the command: what was replayed is left out",
        ));
    }
    match refused {
        [] => Ok(()),
        [Refusal::NotFound] if chosen == 1 => {
            Err(exit::not_found("there is no such dead letter", "automation dead list --status all"))
        }
        [only] if chosen == 1 => Err(exit::wrong(
            format!("not replayed: {only} [{}]", only.code()),
            "docs/runbooks/dead-letters.md says what each code means",
        )),
        _ => Err(exit::wrong(
            format!("{} of {chosen} were not replayed", refused.len()),
            "the codes beside them are in docs/errors.md",
        )),
    }
}

/// Publishes nudges after each commit. One that does not arrive costs a few seconds: the sweep makes up for it.
struct Nudger {
    publisher: Option<Publisher>,
    waiting: Vec<(Priority, TenantId, RunId)>,
    flushed_at: Instant,
}

impl Nudger {
    async fn connect(url: &str) -> Self {
        let publisher = match Publisher::connect(url, "automation dead replay").await {
            Ok(publisher) => Some(publisher),
            Err(error) => {
                note(format!("the broker cannot be reached, so the scheduler will wake the runs: {error}"));
                None
            }
        };
        Self { publisher, waiting: Vec::new(), flushed_at: clock::now() }
    }

    async fn nudge(&mut self, priority: Priority, tenant: TenantId, run: RunId) {
        self.waiting.push((priority, tenant, run));
        if self.waiting.len() >= nudge::MAX_RUNS || self.flushed_at.elapsed() >= FLUSH {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.flushed_at = clock::now();
        let Some(publisher) = &self.publisher else { return };
        let messages = nudge::messages(waiting.iter().copied(), || ids::new_id().to_string());
        if let Err(error) = publisher.publish_all(messages).await {
            note(format!("nudges were not published, so the scheduler will wake the runs: {error}"));
        }
    }

    async fn finish(mut self) {
        self.flush().await;
        if let Some(publisher) = self.publisher.take() {
            publisher.close().await;
        }
    }
}
