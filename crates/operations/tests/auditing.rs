//! Whatever a use case changes leaves an entry in the audit log, in the transaction that changes it; and which those are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod world;

use automation_broker::publisher::Publisher;
use automation_broker::topology::Topology;
use automation_domain::hook::Verification;
use automation_domain::id::NoticeId;
use automation_domain::limits::Limits;
use automation_operations::dead_letters::{Change, How, ReplayKey, ReplayVersion};
use automation_operations::parked_events::Speakers;
use automation_operations::tenants::{NewTenant, Taken};
use automation_operations::workflows::{Conflicts, InFile, OpenRuns, Others, Outdated};
use automation_operations::{Auditor, Bulk, Error, Expiry, Session};
use automation_operations::{
    api_keys, approvals, audit, credentials, dead_letters, grants, hooks, notices, parked_events, quotas,
    retention, runs, tenants, workflows,
};
use automation_test_support::broker::TestVhost;
use automation_test_support::builders;
use automation_vault::KeyRing;
use chrono::TimeDelta;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use world::World;

/// What a use case is to the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// It changes nothing: the database sees to that.
    Reads,
    /// It says what a change of whoever asks would come to, and makes none: the database sees to that too.
    Foresees,
    /// It changes what a person answers for, with an entry of this action.
    Audited(&'static str),
    /// It changes the key that secrets are wrapped with, and not what they are.
    Machinery,
}

use Kind::{Audited, Foresees, Machinery, Reads};

/// Every use case there is. A new one has to say what it is.
const USE_CASES: &[(&str, Kind)] = &[
    ("api_keys::create", Audited("api_key.create")),
    ("api_keys::list", Reads),
    ("api_keys::renew", Audited("api_key.renew")),
    ("api_keys::revoke", Audited("api_key.revoke")),
    ("approvals::approve", Audited("approval.approve")),
    ("approvals::list", Reads),
    ("approvals::reject", Audited("approval.reject")),
    ("approvals::show", Reads),
    ("audit::erase", Audited("audit.erase")),
    ("audit::heads", Reads),
    ("audit::list", Reads),
    ("audit::list_legacy", Reads),
    ("audit::verify", Reads),
    ("contacts::show", Reads),
    ("credentials::delete", Audited("credential.delete")),
    ("credentials::list", Reads),
    ("credentials::rekey", Machinery),
    ("credentials::rotate", Audited("credential.rotate")),
    ("credentials::set", Audited("credential.set")),
    ("credentials::show", Reads),
    ("dead_letters::choose", Reads),
    ("dead_letters::discard", Audited("dead_letter.discard")),
    ("dead_letters::group", Reads),
    ("dead_letters::groups", Reads),
    ("dead_letters::list", Reads),
    ("dead_letters::look_after", Audited("dead_letter.look_after")),
    ("dead_letters::replay", Audited("dead_letter.replay")),
    ("dead_letters::restore", Audited("dead_letter.restore")),
    ("dead_letters::show", Reads),
    ("dead_letters::would_replay", Foresees),
    ("doctor::check", Reads),
    ("events::show", Reads),
    ("grants::give", Audited("grant.give")),
    ("grants::list", Reads),
    ("grants::take", Audited("grant.take")),
    ("hooks::create", Audited("hook.create")),
    ("hooks::delete", Audited("hook.delete")),
    ("hooks::list", Reads),
    ("hooks::rekey", Machinery),
    ("hooks::rotate", Audited("hook.rotate")),
    ("notices::dismiss", Audited("notice.dismiss")),
    ("notices::list", Reads),
    ("notices::show", Reads),
    ("parked_events::choose", Reads),
    ("parked_events::discard", Audited("parked_event.discard")),
    ("parked_events::list", Reads),
    ("parked_events::replay", Audited("parked_event.replay")),
    ("parked_events::restore", Audited("parked_event.restore")),
    ("parked_events::show", Reads),
    ("parked_events::would_replay", Reads),
    ("quotas::set", Audited("tenant.quota")),
    ("quotas::usage", Reads),
    ("retention::set", Audited("tenant.retention")),
    ("retention::show", Reads),
    ("records::notes", Reads),
    ("records::tasks", Reads),
    ("runs::cancel", Audited("run.cancel")),
    ("runs::cancel_many", Audited("run.cancel")),
    ("runs::choose", Reads),
    ("runs::explain", Reads),
    ("runs::go_on", Audited("run.continue")),
    ("runs::list", Reads),
    ("runs::pause", Audited("run.pause")),
    ("runs::pause_many", Audited("run.pause")),
    ("runs::resume", Audited("run.resume")),
    ("runs::resume_many", Audited("run.resume")),
    ("runs::settled", Reads),
    ("runs::show", Reads),
    ("runs::stats", Reads),
    ("schedules::find", Reads),
    ("schedules::list", Reads),
    ("tenants::create", Audited("tenant.create")),
    ("tenants::list", Reads),
    ("tenants::set", Audited("tenant.set")),
    ("tenants::zone", Reads),
    ("workflows::apply", Audited("workflow.publish")),
    ("workflows::apply_files", Audited("workflow.publish")),
    ("workflows::archive", Audited("workflow.archive")),
    ("workflows::delete", Audited("workflow.delete")),
    ("workflows::diff", Reads),
    ("workflows::discard_draft", Audited("workflow.draft_discard")),
    ("workflows::draft", Reads),
    ("workflows::drafts", Reads),
    ("workflows::duplicate", Audited("workflow.duplicate")),
    ("workflows::export", Reads),
    ("workflows::goals", Reads),
    ("workflows::list", Reads),
    ("workflows::missing_credentials", Reads),
    ("workflows::open_runs", Reads),
    ("workflows::pause", Audited("workflow.pause")),
    ("workflows::plan", Reads),
    ("workflows::publish_draft", Audited("workflow.publish")),
    ("workflows::restore", Audited("workflow.restore")),
    ("workflows::resume", Audited("workflow.resume")),
    ("workflows::resume_part", Audited("workflow.resume_part")),
    ("workflows::runnable", Reads),
    ("workflows::save_draft", Audited("workflow.draft_save")),
    ("workflows::show", Reads),
    ("workflows::unarchive", Audited("workflow.unarchive")),
    ("workflows::versions", Reads),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file below, by its path from the source on, with its text.
fn files(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let name = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

fn all_files() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    files(&source(), &mut found);
    found
}

#[test]
fn every_use_case_says_whether_it_changes_anything_and_what_it_changes_is_signed() {
    let mut signs = BTreeMap::new();
    for (file, text) in all_files() {
        let group = file.split(['/', '.']).next().unwrap();
        for declared in text.split("\npub async fn ").skip(1) {
            let name = declared.split(['(', '<']).next().unwrap();
            let arguments = declared.split("->").next().unwrap();
            signs.insert(format!("{group}::{name}"), arguments.contains("auditor: &Auditor"));
        }
    }
    let has_auditor = |kind: &Kind| matches!(kind, Audited(_) | Foresees);
    let known: BTreeMap<String, bool> =
        USE_CASES.iter().map(|(name, kind)| ((*name).to_owned(), has_auditor(kind))).collect();
    assert_eq!(signs, known);
}

#[test]
fn a_transaction_that_may_change_something_is_opened_for_a_change_alone() {
    let opens = |text: &String| text.contains(".tx(");
    let found: Vec<String> =
        all_files().into_iter().filter(|(_, text)| opens(text)).map(|(file, _)| file).collect();
    // Of these, wrapping secrets anew is the only one that no entry tells of.
    assert_eq!(found, ["credentials/rekey.rs", "hooks/rekey.rs", "transaction.rs"]);
}

#[test]
fn every_code_of_a_refusal_is_explained() {
    let text = &all_files()["refusal.rs"];
    let page = include_str!("../../../docs/errors.md");
    let codes: BTreeSet<&str> = text.split("=> (").skip(1).filter_map(|arm| arm.split('"').nth(1)).collect();
    assert!(codes.len() > 30, "only {codes:?} were found");
    let unexplained: Vec<_> =
        codes.into_iter().filter(|code| !page.contains(&format!("| `{code}` |"))).collect();
    assert_eq!(unexplained, Vec::<&str>::new());
}

/// Does what it is told, and looks at the log.
struct Desk<'a> {
    world: &'a World,
    /// How often each action was seen in the log.
    seen: BTreeMap<&'static str, i64>,
    done: BTreeSet<&'static str>,
}

impl Desk<'_> {
    /// One more entry, of the one who did it, tells of it. A server can wait for it too: it is `Send`.
    async fn does<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> anyhow::Result<T> {
        let Some((_, Audited(action))) = USE_CASES.iter().find(|(known, _)| *known == name) else {
            panic!("{name} is not audited");
        };
        let done = work.await?;
        let sql = format!(
            "SELECT count(*) FROM audit_links JOIN audit_words USING (tenant_id, seq)
              WHERE action = '{action}' AND actor = 'ada'"
        );
        let before = self.seen.entry(action).or_default();
        assert_eq!(self.world.database.count(&sql).await?, *before + 1, "{name} leaves one entry");
        *before += 1;
        self.done.insert(name);
        Ok(done)
    }
}

const WAITING: &str = "
apiVersion: automation/v1
key: waiting
triggers: [{ id: order, event: order.created }]
nodes: [{ id: wait, action: delay, with: { for: 1h } }]
edges: [[order, wait]]
";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_use_case_changes_leaves_one_entry() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut desk = Desk { world: &world, seen: BTreeMap::new(), done: BTreeSet::new() };
    let (ada, operator, session): (&Auditor, _, &Session) =
        (builders::ada(), &world.operator, &world.session);
    let ring = KeyRing::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();

    let new = NewTenant { key: "rival".to_owned(), name: None, taken: Taken::Refuse };
    desk.does("tenants::create", tenants::create(operator, ada, new)).await?;
    let new = grants::NewGrant {
        tenant: "rival".to_owned(),
        user: "crm".to_owned(),
        types: vec!["*".to_owned()],
        expires: None,
    };
    desk.does("grants::give", grants::give(operator, ada, new, None)).await?;
    desk.does("grants::take", grants::take(operator, ada, "rival", "crm", None)).await?;
    let quota =
        quotas::Quota { key: "shop".to_owned(), table: "events".to_owned(), max_bytes: Some(1 << 30) };
    desk.does("quotas::set", quotas::set(operator, ada, quota)).await?;
    let kept = retention::Retention {
        key: "shop".to_owned(),
        subject: "run_logs".to_owned(),
        days: Some(14),
        force: false,
    };
    desk.does("retention::set", retention::set(operator, ada, kept)).await?;
    let settings = tenants::Settings { key: "rival".to_owned(), timezone: "Europe/Berlin".to_owned() };
    desk.does("tenants::set", tenants::set(operator, ada, settings)).await?;
    let new = api_keys::NewKey { name: "site".to_owned(), types: vec!["*".to_owned()], expires: None };
    desk.does("api_keys::create", api_keys::create(session, ada, new)).await?;
    let later = Expiry::After(TimeDelta::days(30));
    desk.does("api_keys::renew", api_keys::renew(session, ada, "site", later)).await?;
    desk.does("api_keys::revoke", api_keys::revoke(session, ada, "site")).await?;
    let new = hooks::NewHook {
        name: "billing".to_owned(),
        verification: Verification::Standard,
        headers: Vec::new(),
        id_header: None,
    };
    desk.does("hooks::create", hooks::create(session, ada, &ring, new, None)).await?;
    let overlap = TimeDelta::hours(1);
    desk.does("hooks::rotate", hooks::rotate(session, ada, &ring, "billing", overlap, None)).await?;
    desk.does("hooks::delete", hooks::delete(session, ada, "billing")).await?;
    let notice = NoticeId(uuid::Uuid::from_u128(7));
    let raised = format!(
        "INSERT INTO notices SELECT tenant_id, '{notice}', 'loop_stopped', 'a', '{{a}}', '{{}}', 1, now(), now()
           FROM tenants WHERE tenant_id = '{}'",
        session.tenant
    );
    world.database.execute(&raised).await?;
    desk.does("notices::dismiss", notices::dismiss(session, ada, notice)).await?;
    let hosts = ["api.example.com".to_owned()];
    let setting = credentials::Setting::new("crm".to_owned(), "bearer", &json!({}), &hosts).unwrap();
    desk.does("credentials::set", credentials::set(session, ada, &ring, &setting, "a-secret")).await?;
    desk.does("credentials::rotate", credentials::rotate(session, ada, &ring, "crm", "another-secret"))
        .await?;
    desk.does("credentials::delete", credentials::delete(session, ada, "crm")).await?;
    let limits = Limits::default();
    let workflow = workflows::compile(WAITING, &limits).unwrap();
    desk.does("workflows::apply", workflows::apply(session, ada, &workflow, usize::MAX)).await?;
    let next = workflows::compile(&WAITING.replace("1h", "2h"), &limits).unwrap();
    desk.does("workflows::apply", workflows::apply(session, ada, &next, usize::MAX)).await?;
    desk.does("workflows::restore", workflows::restore(session, ada, "waiting", 1, &limits)).await?;
    let files = [InFile { file: "waiting.yaml", workflow: &next }];
    let how = (Conflicts::Replace, Others::Leave);
    desk.does("workflows::apply_files", workflows::apply_files(session, ada, &files, how, usize::MAX))
        .await?;
    let third = WAITING.replace("1h", "3h");
    desk.does("workflows::save_draft", workflows::save_draft(session, ada, &third, None, &limits)).await?;
    desk.does("workflows::discard_draft", workflows::discard_draft(session, ada, "waiting")).await?;
    desk.does("workflows::save_draft", workflows::save_draft(session, ada, &third, None, &limits)).await?;
    let publish = workflows::publish_draft(session, ada, "waiting", Outdated::Refuse, &limits);
    desk.does("workflows::publish_draft", publish).await?;
    desk.does("workflows::pause", workflows::pause(session, ada, "waiting")).await?;
    desk.does("workflows::resume", workflows::resume(session, ada, "waiting")).await?;

    desk.does("workflows::duplicate", workflows::duplicate(session, ada, "waiting", "second", None)).await?;
    let archive = || workflows::archive(session, ada, "waiting", OpenRuns::Finish);
    desk.does("workflows::archive", archive()).await?;
    desk.does("workflows::unarchive", workflows::unarchive(session, ada, "waiting", &limits)).await?;
    desk.does("workflows::archive", archive()).await?;
    desk.does("workflows::delete", workflows::delete(session, ada, "waiting")).await?;

    let started = world.run("1").await?;
    world.suspend("tag").await?;
    desk.does("workflows::resume_part", workflows::resume_part(session, ada, "welcome", "node/tag")).await?;
    let run = started.run_id;
    desk.does("runs::pause", runs::pause(session, ada, run, "wait")).await?;
    desk.does("runs::resume", runs::resume(session, ada, run, "go on")).await?;
    let runs_of = [run];
    let mut told = |_| {};
    let bulk = Bulk { rate: 50, stop: CancellationToken::new(), told: &mut told };
    let pause = async { Ok(runs::pause_many(session, ada, &runs_of, "wait", bulk).await) };
    assert_eq!(desk.does("runs::pause_many", pause).await?.done, 1);
    let mut told = |_| {};
    let bulk = Bulk { rate: 50, stop: CancellationToken::new(), told: &mut told };
    let resume = async { Ok(runs::resume_many(session, ada, &runs_of, "go on", bulk).await) };
    assert_eq!(desk.does("runs::resume_many", resume).await?.done, 1);
    let [boss, owner] = world.asks_until("4", None).await?.1;
    desk.does("approvals::approve", approvals::approve(session, ada, boss, Some("fair"))).await?;
    desk.does("approvals::reject", approvals::reject(session, ada, owner, None)).await?;
    let paused = world.pauses_until("5", None).await?;
    desk.does("runs::go_on", runs::go_on(session, ada, paused, None, None)).await?;
    desk.does("runs::cancel", runs::cancel(session, ada, run, "enough")).await?;
    let other = [world.run("3").await?.run_id];
    let mut told = |_| {};
    let bulk = Bulk { rate: 50, stop: CancellationToken::new(), told: &mut told };
    let cancel = async { Ok(runs::cancel_many(session, ada, &other, "enough", bulk).await) };
    assert_eq!(desk.does("runs::cancel_many", cancel).await?.done, 1);

    let letter = world.dead_letter("2").await?;
    let letters = [letter];
    let signature = dead_letters::show(session, letter).await?.0.signature;
    let change = Change { owner: Some("bob".to_owned()), note: None };
    desk.does("dead_letters::look_after", dead_letters::look_after(session, ada, &signature, &change))
        .await?;
    desk.does("dead_letters::discard", dead_letters::discard(session, ada, &letters, None)).await?;
    desk.does("dead_letters::restore", dead_letters::restore(session, ada, &letters, None)).await?;
    let how =
        How { key: ReplayKey::Same, version: ReplayVersion::Pinned, edited: None, note: None, canary: None };
    let foreseen = dead_letters::would_replay(session, ada, &letters, how).await?;
    assert_eq!(foreseen.data[0].result, "would be replayed");
    let mut told = |_| {};
    let bulk = Bulk { rate: 50, stop: CancellationToken::new(), told: &mut told };
    let replay = dead_letters::replay(session, ada, None, &letters, how, bulk);
    let gone = desk.does("dead_letters::replay", replay).await?;
    gone.ended?;
    assert_eq!(gone.rows.data[0].result, "replayed");

    let parked = [world.parked_event().await?];
    desk.does("parked_events::discard", parked_events::discard(operator, ada, &parked, None)).await?;
    desk.does("parked_events::restore", parked_events::restore(operator, ada, &parked, None)).await?;
    let vhost = TestVhost::create().await?;
    Topology::standard().apply(vhost.amqp_url()).await?;
    let publisher = Publisher::connect(vhost.amqp_url(), "test").await?;
    let user = vhost.amqp_url().split([':', '/']).nth(3).unwrap();
    let users = Default::default();
    let how = parked_events::How { speakers: Speakers { user, users: &users, stand_in: None }, note: None };
    let mut told = |_| {};
    let bulk = Bulk { rate: 50, stop: CancellationToken::new(), told: &mut told };
    let replay = parked_events::replay(operator, ada, &publisher, &parked, how, bulk);
    let gone = desk.does("parked_events::replay", replay).await?;
    gone.ended?;
    assert_eq!(gone.rows.data[0].result, "replayed");
    publisher.close().await;

    let at_operator = Session { db: operator.clone(), tenant: session.tenant, key: session.key.clone() };
    let which = audit::Erase::Actor("nobody");
    assert!(audit::erase(&at_operator, ada, which, None).await.is_err(), "nothing fits, and no entry");
    let which = audit::Erase::Entries(&[1]);
    desk.does("audit::erase", audit::erase(&at_operator, ada, which, None)).await?;

    let audited = USE_CASES.iter().filter(|(_, kind)| matches!(kind, Audited(_))).map(|(name, _)| *name);
    assert_eq!(desk.done, audited.collect::<BTreeSet<_>>(), "each of them was tried");
    vhost.close().await
}
