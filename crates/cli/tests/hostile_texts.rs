//! Names, messages and payloads that others wrote to take over a terminal stand in every record, and every command for
//! people shows them: none sends one of their characters. For programs they are exact.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use automation_domain::event::body_hash;
use automation_store::dead_letters::{self, DeadAttempt, FailedStep, NewDeadLetter};
use automation_store::events::receipts;
use automation_store::role::Operator;
use automation_store::runs::checkpoints::{self, Checkpoint, Next};
use automation_store::{Scope, runs};
use automation_test_support::builders::{self, Started};
use automation_test_support::database::TestDatabase;
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::Duration;

/// Clears the screen, rings, begins a line that looks like one of ours, colours, turns writing around and hides a space.
const HOSTILE: &str = "x\u{1b}[2J\u{7}\r\nerror: forged\u{9b}31m\u{202e}\u{200b}y";
struct Shell {
    database: TestDatabase,
}

impl Shell {
    fn call(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_automation"))
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", self.database.url())
            // Nobody listens there.
            .env("AMQP_URL", "amqp://guest:guest@127.0.0.1:1/x")
            .env("AUTOMATION_TENANT", "shop")
            .env("USER", HOSTILE)
            .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
            .output()
            .unwrap()
    }

    /// What a command for people says, on both streams, after it was looked through.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let obeyed =
            said.chars().find(|c| *c != '\n' && (c.is_control() || matches!(c, '\u{200b}' | '\u{202e}')));
        assert_eq!(obeyed, None, "{arguments:?}: {said:?}");
        assert!(!said.contains("\nerror: forged"), "{arguments:?}: {said}");
        said
    }

    /// A failed run of an event, with a dead letter; every word of them is hostile.
    async fn failed_run(&self) -> anyhow::Result<Started> {
        let (worker, api, operator) =
            (self.database.store(), self.database.store(), self.database.store::<Operator>());
        let tenant = builders::tenant(&operator, "shop").await?;
        let definition = json!({
            "apiVersion": "automation/v1", "key": "hostile", "name": HOSTILE,
            "triggers": [{
                "id": "start", "event": "form.submitted",
                "where": { "field": "event.data.text", "op": "equals", "value": HOSTILE },
            }],
            "nodes": [{ "id": "note", "action": "add_note", "with": { "text": HOSTILE } }],
            "edges": [["start", "note"]],
        });
        let published = builders::publish(&api, tenant, definition).await?;
        let mut event = builders::event("shop", HOSTILE);
        event.source = HOSTILE.to_owned();
        event.subject = Some(HOSTILE.to_owned());
        event.traceparent = Some(HOSTILE.to_owned());
        event.data = json!({ "text": HOSTILE, HOSTILE: [HOSTILE] });
        event.body_hash = body_hash(&event.event_type, event.subject.as_deref(), &event.data);
        let started = builders::run(&worker, tenant, published, event).await?;
        let error = json!({ "code": HOSTILE, "message": HOSTILE });
        let checkpoint = Checkpoint {
            tenant_id: tenant,
            run_id: started.run_id,
            epoch: 1,
            priority: automation_domain::priority::Priority::Medium,
            next: Next::Finished { status: automation_domain::interpreter::EndStatus::Failed },
            state: json!({ "end": { "status": "failed", "node": HOSTILE, "error": error } })
                .to_string()
                .into_bytes(),
            steps: json!([
                { "node": HOSTILE, "action": HOSTILE, "visit": 1, "outcome": "failed", "detail": error },
                { "node": "note", "action": "branch", "visit": 1, "outcome": "completed", "detail": {
                    "case": HOSTILE, "cases": [{ "case": HOSTILE, "holds": true, "comparisons": [
                        { "field": HOSTILE, "op": "equals", "actual": HOSTILE, "expected": HOSTILE, "holds": true },
                    ] }],
                } },
            ])
            .to_string()
            .into_bytes(),
        };
        let letter = NewDeadLetter {
            tenant_id: tenant,
            run_id: started.run_id,
            epoch: 1,
            workflow_id: published.workflow_id,
            version_id: published.version_id,
            step: Some(FailedStep { node: HOSTILE.to_owned(), visit: 1, action: Some(HOSTILE.to_owned()) }),
            code: HOSTILE.to_owned(),
            message: HOSTILE.to_owned(),
            attempts: vec![DeadAttempt {
                at: started.received_at,
                code: HOSTILE.to_owned(),
                message: HOSTILE.to_owned(),
                status: None,
            }],
            request: Some(json!({ "url": HOSTILE, HOSTILE: HOSTILE })),
            response: Some(json!({ "body": HOSTILE })),
            event_id: started.event_id,
            contact_id: Some(started.contact_id),
            run_key: HOSTILE.to_owned(),
        };
        worker
            .tx(Scope::Tenants(&[tenant]), async |connection| {
                runs::claim(connection, &[(tenant, started.run_id)], Duration::from_secs(60)).await?;
                let now = receipts::now(connection).await?;
                checkpoints::settle(connection, now, HOSTILE, &[checkpoint]).await?;
                dead_letters::insert(connection, now, &[letter]).await
            })
            .await?;
        Ok(started)
    }

    /// Records of every other kind.
    async fn records(&self, started: Started) -> anyhow::Result<()> {
        let unicode: String = HOSTILE.chars().map(|c| format!("\\{:04x}", u32::from(c))).collect();
        let hostile = format!("U&'{unicode}'");
        let (tenant, run, contact) = (started.tenant_id, started.run_id, started.contact_id);
        let id = "gen_random_uuid()";
        for sql in [
            format!("UPDATE tenants SET name = {hostile}"),
            format!(
                "UPDATE contacts SET email = {hostile}, phone = {hostile}, owner = {hostile}, tags = ARRAY[{hostile}],
                        segments = ARRAY[{hostile}], fields = jsonb_build_object({hostile}, {hostile})"
            ),
            format!("INSERT INTO notes VALUES ('{tenant}', {id}, '{contact}', '{run}', {hostile}, now())"),
            format!(
                "INSERT INTO tasks (tenant_id, task_id, contact_id, run_id, title, description, assignee, created_at)
                 VALUES ('{tenant}', {id}, '{contact}', '{run}', {hostile}, {hostile}, {hostile}, now())"
            ),
            format!("INSERT INTO publisher_grants VALUES ('{tenant}', {hostile}, ARRAY[{hostile}])"),
            format!(
                "INSERT INTO api_keys VALUES ('{tenant}', {id}, 'shop', {hostile}, sha256('x'), ARRAY[{hostile}])"
            ),
            format!(
                "INSERT INTO hooks VALUES ('{tenant}', 'hk_' || repeat('x', 32), 'shop', 'token', ARRAY[{hostile}],
                                           {hostile})"
            ),
            format!(
                "INSERT INTO credentials (tenant_id, credential_id, key, kind, fields, allowed_hosts, key_id, wrapped_key,
                                          ciphertext)
                 VALUES ('{tenant}', {id}, 'crm', 'header', jsonb_build_object('name', {hostile}),
                         ARRAY['https://crm.example.com'], {hostile}, '', '')"
            ),
            format!(
                "INSERT INTO parked_events (parked_id, reason, detail, queue, routing_key, content_type, amqp_user, headers,
                                            body, first_seen_at, last_seen_at)
                 VALUES ('00000000-0000-0000-0000-000000000001', {hostile}, {hostile}, {hostile}, {hostile}, {hostile},
                         {hostile}, jsonb_build_object({hostile}, {hostile}), convert_to({hostile}, 'UTF8'), now(), now())"
            ),
        ] {
            self.database.execute(&sql).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_is_shown_to_people_and_exact_for_programs() -> anyhow::Result<()> {
    let shell = Shell { database: TestDatabase::create().await? };
    let started = shell.failed_run().await?;
    shell.records(started).await?;
    let (run, event) = (started.run_id.to_string(), started.event_id.to_string());
    let letters: Value = serde_json::from_slice(&shell.call(&["dead", "list", "--json"]).stdout)?;
    let letter = letters["data"][0]["id"].as_str().unwrap();
    let signature = letters["data"][0]["signature"].as_str().unwrap();
    let parked = "00000000-0000-0000-0000-000000000001";
    // These have little to say, and leave something for others to show.
    for arguments in [
        &["dead", "group", signature, "--owner", HOSTILE, "--note", HOSTILE][..],
        &["parked", "discard", parked, "--note", HOSTILE],
        &["dead", "discard", letter, "--note", HOSTILE],
        &["doctor"],
        &["run", "stats"],
        &["schedule", "list"],
        &["credential", "list"],
        &["audit", "verify"],
    ] {
        shell.said(arguments);
    }
    let mut shown = 0;
    for arguments in [
        &["dead", "group", signature][..],
        &["tenant", "list"],
        &["tenant", "grants"],
        &["apikey", "list"],
        &["hook", "list"],
        &["event", "show", &event],
        &["workflow", "list"],
        &["workflow", "show", "hostile"],
        &["workflow", "show", "hostile", "--format", "json"],
        &["run", "list"],
        &["run", "show", &run],
        &["run", "explain", &run],
        &["contact", "show", HOSTILE],
        &["task", "list"],
        &["note", "list"],
        &["credential", "show", "crm"],
        &["dead", "list", "--status", "all"],
        &["dead", "list", "--status", "all", "--group"],
        &["dead", "show", letter],
        &["dead", "show", letter, "--request"],
        &["parked", "list", "--status", "all"],
        &["parked", "show", parked],
        &["audit", "list"],
        // What cannot be meant, or is not there, is quoted.
        &[HOSTILE],
        &["run", "list", HOSTILE],
        &["run", "show", HOSTILE],
        &["run", "list", "--since", HOSTILE],
        &["contact", "show", &format!("{HOSTILE}?")],
        &["workflow", "show", HOSTILE],
        &["workflow", "validate", HOSTILE],
        &["schedule", "next", "--cron", HOSTILE],
        &["tenant", "create", HOSTILE],
        &["dead", "group", HOSTILE],
        &["catalog", "--schemas", HOSTILE],
    ] {
        let said = shell.said(arguments);
        // Not all of it in one piece: YAML has escapes of its own, and cells break.
        shown += usize::from(said.contains("[2J") && said.contains("forged"));
    }
    assert!(shown >= 25, "only {shown} commands had something of others to show");
    assert_eq!(shell.call(&["parked", "show", parked, "--body"]).stdout, HOSTILE.as_bytes());
    exact_for_programs(&shell, letter)
}

/// JSON holds what was written, and so does what can be applied again.
fn exact_for_programs(shell: &Shell, letter: &str) -> anyhow::Result<()> {
    let json = |arguments: &[&str]| serde_json::from_slice::<Value>(&shell.call(arguments).stdout);
    let contact = json(&["contact", "show", HOSTILE, "--json"])?;
    assert_eq!((&contact["email"], &contact["fields"][HOSTILE]), (&json!(HOSTILE), &json!(HOSTILE)));
    let request = json(&["dead", "show", letter, "--request"])?;
    assert_eq!(request["url"], HOSTILE);
    for arguments in
        [&["workflow", "show", "hostile", "--json"][..], &["workflow", "show", "hostile", "--format", "json"]]
    {
        assert_eq!(json(arguments)?["name"], HOSTILE, "{arguments:?}");
    }
    // JSON may hold what YAML has to escape.
    let yaml: Value = yaml_serde::from_slice(&shell.call(&["workflow", "show", "hostile"]).stdout)?;
    assert_eq!(yaml["name"], HOSTILE);
    Ok(())
}
