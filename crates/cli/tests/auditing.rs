//! Whatever a person changes by the command line leaves an entry in the audit log, in the transaction that changes it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;

use automation_broker::topology::EVENTS;
use automation_test_support::builders::AUDIT_KEYS;
use engine::{Engine, event};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Output, Stdio};

const KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What a command is to the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// It changes nothing.
    Reads,
    /// It changes what a person answers for, with an entry of this action.
    Audited(&'static str),
    /// It changes something that is no deed of a person in a tenant's name: a process, the schema, the broker's topology,
    /// the key that secrets are wrapped with and not what they are, or an event like any publisher's, which is recorded.
    Machinery,
}

use Kind::{Audited, Machinery, Reads};

/// Every command there is. A new one has to say what it is.
const COMMANDS: &[(&str, Kind)] = &[
    ("apikey create", Audited("api_key.create")),
    ("apikey list", Reads),
    ("apikey renew", Audited("api_key.renew")),
    ("apikey revoke", Audited("api_key.revoke")),
    ("approval approve", Audited("approval.approve")),
    ("approval list", Reads),
    ("approval reject", Audited("approval.reject")),
    ("approval show", Reads),
    ("audit erase", Audited("audit.erase")),
    ("audit head", Reads),
    ("audit list", Reads),
    ("audit verify", Reads),
    ("catalog", Reads),
    ("contact show", Reads),
    ("credential delete", Audited("credential.delete")),
    ("credential list", Reads),
    ("credential rekey", Machinery),
    ("credential rotate", Audited("credential.rotate")),
    ("credential set", Audited("credential.set")),
    ("credential show", Reads),
    ("dead discard", Audited("dead_letter.discard")),
    ("dead group", Audited("dead_letter.look_after")),
    ("dead list", Reads),
    ("dead replay", Audited("dead_letter.replay")),
    ("dead restore", Audited("dead_letter.restore")),
    ("dead show", Reads),
    ("doctor", Reads),
    ("event publish", Machinery),
    ("event show", Reads),
    ("health", Reads),
    ("hook create", Audited("hook.create")),
    ("hook delete", Audited("hook.delete")),
    ("hook list", Reads),
    ("hook rekey", Machinery),
    ("hook rotate", Audited("hook.rotate")),
    ("migrate", Machinery),
    ("note list", Reads),
    ("notice dismiss", Audited("notice.dismiss")),
    ("notice list", Reads),
    ("notice show", Reads),
    ("parked discard", Audited("parked_event.discard")),
    ("parked list", Reads),
    ("parked replay", Audited("parked_event.replay")),
    ("parked restore", Audited("parked_event.restore")),
    ("parked show", Reads),
    ("run cancel", Audited("run.cancel")),
    ("run continue", Audited("run.continue")),
    ("run pause", Audited("run.pause")),
    ("run resume", Audited("run.resume")),
    ("run explain", Reads),
    ("run list", Reads),
    ("run show", Reads),
    ("run stats", Reads),
    ("schedule list", Reads),
    ("schedule next", Reads),
    ("serve", Machinery),
    ("task list", Reads),
    ("tenant create", Audited("tenant.create")),
    ("tenant grant", Audited("grant.give")),
    ("tenant grants", Reads),
    ("tenant list", Reads),
    ("tenant keep", Audited("tenant.retention")),
    ("tenant quota", Audited("tenant.quota")),
    ("tenant retention", Reads),
    ("tenant revoke", Audited("grant.take")),
    ("tenant set", Audited("tenant.set")),
    ("tenant usage", Reads),
    ("topology apply", Machinery),
    ("topology check", Reads),
    ("topology export", Reads),
    ("workflow apply", Audited("workflow.publish")),
    ("workflow archive", Audited("workflow.archive")),
    ("workflow delete", Audited("workflow.delete")),
    ("workflow diff", Reads),
    ("workflow draft discard", Audited("workflow.draft_discard")),
    ("workflow draft list", Reads),
    ("workflow draft save", Audited("workflow.draft_save")),
    ("workflow draft show", Reads),
    ("workflow duplicate", Audited("workflow.duplicate")),
    ("workflow export", Reads),
    ("workflow goals", Reads),
    ("workflow list", Reads),
    ("workflow pause", Audited("workflow.pause")),
    ("workflow plan", Reads),
    ("workflow publish", Audited("workflow.publish")),
    ("workflow restore", Audited("workflow.restore")),
    ("workflow resume", Audited("workflow.resume")),
    ("workflow resume-part", Audited("workflow.resume_part")),
    ("workflow schema", Reads),
    ("workflow show", Reads),
    ("workflow simulate", Reads),
    ("workflow test", Reads),
    ("workflow unarchive", Audited("workflow.unarchive")),
    ("workflow validate", Reads),
    ("workflow versions", Reads),
];

fn automation() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
    command.env_clear();
    command
}

/// Names below a command, from its help; empty for one that does something itself.
fn below(path: &[String]) -> BTreeSet<String> {
    let help = automation().args(path).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    let listed = text.split("\nCommands:\n").nth(1).map(|rest| rest.split("\n\n").next().unwrap_or_default());
    // What a name is about may go on in the next line, further to the right.
    let name = |line: &str| {
        line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()).map(str::to_owned)
    };
    listed.into_iter().flat_map(str::lines).filter_map(name).filter(|name| name != "help").collect()
}

fn leaves(path: &[String], found: &mut BTreeSet<String>) {
    let names = below(path);
    if names.is_empty() {
        found.insert(path.join(" "));
    }
    for name in names {
        leaves(&[path, &[name]].concat(), found);
    }
}

#[test]
fn every_command_says_whether_it_changes_anything_and_what_it_changes_is_signed() {
    let mut found = BTreeSet::new();
    leaves(&[], &mut found);
    let known: BTreeSet<String> = COMMANDS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(found, known);
    for (path, kind) in COMMANDS {
        let help = automation().args(path.split(' ')).arg("--help").output().unwrap();
        let signs = String::from_utf8(help.stdout).unwrap().contains("--audit-keys-file");
        assert_eq!(signs, matches!(kind, Audited(_)) || *path == "audit verify", "{path}");
    }
}

/// The command line on an engine's servers.
struct Desk {
    engine: Engine,
    /// How often each action was seen in the log.
    seen: BTreeMap<String, i64>,
    done: BTreeSet<&'static str>,
}

impl Desk {
    fn call(&self, arguments: &[&str], stdin: &str, signs: bool) -> Output {
        self.call_with(arguments, stdin, signs.then_some(AUDIT_KEYS))
    }

    fn call_with(&self, arguments: &[&str], stdin: &str, keys: Option<&str>) -> Output {
        let mut command = automation();
        command
            .args(arguments)
            .arg("--json")
            .env("DATABASE_URL", self.engine.database.url())
            .env("AMQP_URL", self.engine.vhost.amqp_url())
            .env("AUTOMATION_TENANT", "acme")
            .env("AUTOMATION_ENCRYPTION_KEYS", KEYS)
            .env("AUTOMATION_DOOR_KEYS", KEYS)
            .env("USER", "ada");
        if let Some(keys) = keys {
            command.env("AUTOMATION_AUDIT_KEYS", keys);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that does not read closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.call(arguments, "", true);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Does it, first without the key: then nothing is done, and afterwards one more entry tells of it.
    async fn does(&mut self, path: &'static str, arguments: &[&str], stdin: &str) -> anyhow::Result<Value> {
        let all = [path.split(' ').collect::<Vec<_>>(), arguments.to_vec()].concat();
        let refused = self.call(&all, stdin, false);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{path}: {said}");
        assert!(said.contains("no key to sign the audit log"), "{path}: {said}");
        let output = self.call(&all, stdin, true);
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let Some((_, Audited(action))) = COMMANDS.iter().find(|(known, _)| *known == path) else {
            panic!("{path} is not audited");
        };
        let sql = format!("SELECT count(*) FROM audit_links WHERE action = '{action}'");
        let before = self.seen.entry((*action).to_owned()).or_default();
        assert_eq!(self.engine.count(&sql).await?, *before + 1, "{path} leaves one entry");
        *before += 1;
        self.done.insert(path);
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }
}

/// A workflow that fails at once: its request may not go where it leads.
fn failing() -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "failing", "name": "failing",
        "triggers": [{ "id": "form", "event": "form.submitted" }],
        "nodes": [{ "id": "call", "action": "http_request", "with": { "method": "GET", "url": "http://127.0.0.1:9/" } }],
        "edges": [["form", "call"]],
    })
}

/// A workflow that asks for three things at once.
fn asking() -> Value {
    let boss = json!({ "question": "May we?", "approvers": ["maria"] });
    json!({
        "apiVersion": "automation/v1", "key": "asking", "name": "asking",
        "triggers": [{ "id": "page", "event": "page.visited" }],
        "nodes": [
            { "id": "all", "action": "parallel" },
            { "id": "boss", "action": "approval", "with": boss },
            { "id": "owner", "action": "approval", "with": boss },
            { "id": "hold", "action": "pause_workflow" },
        ],
        "edges": [["page", "all"], ["all", "boss"], ["all", "owner"], ["all", "hold"]],
    })
}

const WAITING: &str = "
apiVersion: automation/v1
key: waiting
triggers: [{ id: order, event: order.created }]
nodes: [{ id: wait, action: delay, with: { for: 1h } }]
edges: [[order, wait]]
";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_person_changes_leaves_one_entry() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(failing()).await?;
    engine.apply(asking()).await?;
    let mut desk = Desk { engine, seen: BTreeMap::new(), done: BTreeSet::new() };
    let file = std::env::temp_dir().join(format!("{}.yaml", desk.engine.database.name()));
    std::fs::write(&file, WAITING)?;
    let file = file.to_str().unwrap().to_owned();

    desk.does("tenant create", &["rival"], "").await?;
    desk.does("tenant grant", &["rival", "--user", "crm", "--types", "*"], "").await?;
    desk.does("tenant revoke", &["rival", "--user", "crm"], "").await?;
    desk.does("tenant set", &["rival", "--timezone", "Europe/Berlin"], "").await?;
    desk.does("tenant quota", &["acme", "events", "1GiB"], "").await?;
    desk.does("tenant keep", &["acme", "run_logs", "14d"], "").await?;
    desk.does("apikey create", &["shop", "--types", "*"], "").await?;
    desk.does("apikey renew", &["shop", "--expires", "30d"], "").await?;
    desk.does("apikey revoke", &["shop"], "").await?;
    desk.does("hook create", &["billing"], "").await?;
    desk.does("hook rotate", &["billing"], "").await?;
    desk.does("hook delete", &["billing"], "").await?;
    let notice = "00000000-0000-0000-0000-000000000007";
    let raised = format!(
        "INSERT INTO notices SELECT tenant_id, '{notice}', 'loop_stopped', 'a', '{{a}}', '{{}}', 1, now(), now() FROM tenants
          WHERE key = 'acme'"
    );
    desk.engine.database.execute(&raised).await?;
    desk.does("notice dismiss", &[notice], "").await?;
    let set = ["crm", "--kind", "bearer", "--host", "api.example.com"];
    desk.does("credential set", &set, "a-secret-of-some-length").await?;
    desk.does("credential rotate", &["crm"], "another-secret").await?;
    desk.does("credential delete", &["crm"], "").await?;
    desk.does("workflow apply", &[&file], "").await?;
    std::fs::write(&file, WAITING.replace("1h", "2h"))?;
    desk.does("workflow apply", &[&file], "").await?;
    desk.does("workflow restore", &["waiting", "--version", "1"], "").await?;
    desk.does("workflow draft save", &[&file], "").await?;
    desk.does("workflow draft discard", &["waiting"], "").await?;
    desk.does("workflow draft save", &[&file], "").await?;
    desk.does("workflow publish", &["waiting"], "").await?;
    desk.does("workflow pause", &["waiting"], "").await?;
    desk.does("workflow resume", &["waiting"], "").await?;

    desk.engine.publish(vec![event("order.created", "1", "ada", json!({}))]).await?;
    desk.engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 1).await?;
    let suspend = "INSERT INTO suspended_parts
                   SELECT tenant_id, version_id, 'node', 'wait', workflow_id, run_id, 3 FROM runs_open";
    desk.engine.database.execute(suspend).await?;
    desk.does("workflow resume-part", &["waiting", "node/wait"], "").await?;
    let open = desk.json(&["run", "list", "--status", "waiting"]);
    let open = open["data"][0]["id"].as_str().unwrap();
    desk.does("run pause", &[open], "").await?;
    desk.does("run resume", &[open], "").await?;
    desk.does("run cancel", &[open], "").await?;

    desk.engine.publish(vec![event("page.visited", "3", "ada", json!({}))]).await?;
    desk.engine.until("SELECT count(*) FROM approvals", 2).await?;
    let asked = desk.json(&["approval", "list"])["data"].clone();
    let id = |number: usize| asked[number]["id"].as_str().unwrap();
    desk.does("approval approve", &[id(0), "--comment", "fair"], "").await?;
    desk.does("approval reject", &[id(1)], "").await?;
    assert_eq!(desk.json(&["approval", "show", id(0)])["comment"], "fair");
    desk.does("run continue", &[asked[0]["run"].as_str().unwrap()], "").await?;
    desk.engine.until("SELECT count(*) FROM runs_open", 0).await?;

    desk.engine.publish(vec![event("form.submitted", "2", "ada", json!({}))]).await?;
    desk.engine.until("SELECT count(*) FROM dead_letters", 1).await?;
    let dead = desk.json(&["dead", "list"])["data"][0].clone();
    let letter = dead["id"].as_str().unwrap();
    let signature = desk.json(&["dead", "list", "--group"])["data"][0]["signature"].clone();
    desk.does("dead group", &[signature.as_str().unwrap(), "--owner", "bob"], "").await?;
    desk.does("dead discard", &[letter], "").await?;
    desk.does("dead restore", &[letter], "").await?;
    desk.does("dead replay", &[letter], "").await?;

    let refused = automation_broker::publisher::Message {
        exchange: EVENTS.to_owned(),
        ..desk.engine.message("form.submitted", b"no json".to_vec())
    };
    desk.engine.publisher.publish_all(vec![refused]).await?;
    desk.engine.until("SELECT count(*) FROM parked_events", 1).await?;
    let parked = desk.json(&["parked", "list"])["data"][0].clone();
    let parked = parked["id"].as_str().unwrap();
    desk.does("parked discard", &[parked], "").await?;
    desk.does("parked restore", &[parked], "").await?;
    desk.does("parked replay", &[parked], "").await?;
    for nothing in [["--actor", "nobody"], ["--subject", "nothing"], ["--entry", "9999"]] {
        let refused = desk.call(&[&["audit", "erase", "--yes"][..], &nothing].concat(), "", true);
        assert_eq!(refused.status.code(), Some(3), "{nothing:?}");
    }
    desk.does("audit erase", &["--actor", "ada", "--yes"], "").await?;

    // Over the quota of what people write, nothing more is set up.
    desk.does("tenant quota", &["acme", "audit_words", "1"], "").await?;
    let again = std::fs::read_to_string(&file)?.replace("2h", "3h");
    std::fs::write(&file, again)?;
    for arguments in [
        &["workflow", "apply", "--force", &file][..],
        &["workflow", "draft", "save", &file],
        &["workflow", "restore", "waiting", "--version", "1"],
        &["apikey", "create", "another", "--types", "*"],
        &["hook", "create", "another"],
        &[&["credential", "set"][..], &set].concat(),
        &["tenant", "grant", "acme", "--user", "crm", "--types", "*"],
    ] {
        let refused = desk.call(arguments, "a-secret-of-some-length", true);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("[quota_exceeded]") && said.contains("audit_words"), "{arguments:?}: {said}");
    }
    desk.does("workflow pause", &["waiting"], "").await?;
    desk.does("tenant quota", &["acme", "audit_words", "default"], "").await?;

    desk.does("workflow duplicate", &["waiting", "second"], "").await?;
    desk.does("workflow archive", &["waiting"], "").await?;
    desk.does("workflow unarchive", &["waiting"], "").await?;
    desk.does("workflow archive", &["waiting"], "").await?;
    desk.does("workflow delete", &["waiting"], "").await?;

    let audited = COMMANDS.iter().filter(|(_, kind)| matches!(kind, Audited(_))).map(|(path, _)| *path);
    assert_eq!(desk.done, audited.collect::<BTreeSet<_>>(), "each of them was tried");
    let verified = desk.json(&["audit", "verify"]);
    assert!(verified["erased"].as_i64() > Some(10), "{verified}");
    desk.json(&["audit", "verify", "--no-tenant"]);
    std::fs::remove_file(&file)?;
    desk.engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_kept_shows_that_the_log_was_put_back() -> anyhow::Result<()> {
    let engine = Engine::start(0).await?;
    let mut desk = Desk { engine, seen: BTreeMap::new(), done: BTreeSet::new() };
    desk.does("apikey create", &["shop", "--types", "*"], "").await?;
    let copies = "CREATE TABLE l AS TABLE audit_links; CREATE TABLE w AS TABLE audit_words; CREATE TABLE h AS TABLE audit_heads";
    desk.engine.database.execute(copies).await?;
    desk.does("apikey revoke", &["shop"], "").await?;
    let file = std::env::temp_dir().join(format!("{}.heads", desk.engine.database.name()));
    std::fs::write(&file, desk.json(&["audit", "head"]).to_string())?;
    let verify = ["audit", "verify", "--heads", file.to_str().unwrap()];
    assert_eq!(desk.json(&verify)["heads"], 1);
    desk.engine
        .database
        .execute(
            "SET session_replication_role = replica;
             DELETE FROM audit_words; DELETE FROM audit_links; DELETE FROM audit_heads;
             INSERT INTO audit_links TABLE l; INSERT INTO audit_words TABLE w; INSERT INTO audit_heads TABLE h;
             SET session_replication_role = origin",
        )
        .await?;
    desk.json(&["audit", "verify"]);
    let found = desk.call(&verify, "", true);
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(said.contains("[audit_broken]") && said.contains("entry 2"), "{said}");
    std::fs::remove_file(&file)?;
    desk.engine.stop().await
}

/// Another key would sign a log that nobody can verify; a log that was tampered with would hide what happened.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_that_cannot_be_noted_and_a_log_that_is_set_aside_begins_anew() -> anyhow::Result<()>
{
    const OTHER: &str = "other:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let engine = Engine::start(1).await?;
    let mut desk = Desk { engine, seen: BTreeMap::new(), done: BTreeSet::new() };
    let engine = &desk.engine;
    let unreadable = |id: &str| automation_broker::publisher::Message {
        exchange: EVENTS.to_owned(),
        ..engine.message("form.submitted", format!("no json {id}").into_bytes())
    };
    engine.publisher.publish_all(vec![unreadable("1")]).await?;
    engine.until("SELECT count(*) FROM parked_events", 1).await?;
    let parked = desk.json(&["parked", "list"])["data"][0]["id"].as_str().unwrap().to_owned();
    desk.json(&["parked", "discard", &parked]);
    desk.json(&["parked", "restore", &parked]);
    let refused = desk.call_with(&["parked", "replay", &parked], "", Some(OTHER));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("[audit_broken]"), "{said}");
    // What would have been published came before this one.
    desk.engine.publisher.publish_all(vec![unreadable("2")]).await?;
    desk.engine.until("SELECT count(*) FROM parked_events", 2).await?;
    assert_eq!(desk.engine.count("SELECT sum(occurrences)::int8 FROM parked_events").await?, 2);

    desk.does("apikey create", &["shop", "--types", "*"], "").await?;
    let forward = "UPDATE audit_heads SET seq = seq + 1 WHERE tenant_id = (SELECT tenant_id FROM tenants WHERE key = 'acme')";
    desk.engine.database.execute(forward).await?;
    let revoke = ["apikey", "revoke", "shop"];
    let refused = desk.call(&revoke, "", true);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("docs/audit.md"), "{said}");
    let page = include_str!("../../../docs/audit.md");
    let statements = page.split_once("```sql").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let tenants = desk.json(&["tenant", "list"]);
    let acme = tenants["data"].as_array().unwrap().iter().find(|tenant| tenant["key"] == "acme").unwrap();
    let tenant = format!("'{}'", acme["id"].as_str().unwrap());
    desk.engine.database.execute(&statements.replace(":'tenant'", &tenant)).await?;
    desk.json(&revoke);
    assert_eq!(desk.json(&["audit", "verify"])["entries"], 1);
    desk.engine.stop().await
}
