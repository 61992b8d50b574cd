//! The command line as people and programs use it: what it prints, where, and with which exit code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod shell;

use serde_json::{Value, json};
use shell::{Called, Shell, WORKFLOW};
use std::process::Command;

#[tokio::test]
async fn tenants_are_made_granted_and_listed() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    assert_eq!(shell.call(&["tenant", "create", "shop", "--name", "The Shop"]).code(), 0);
    shell.call(&["tenant", "create", "shop"]).fails(1, "taken");
    assert_eq!(shell.call(&["tenant", "create", "shop", "--if-not-exists"]).code(), 0);
    shell.call(&["tenant", "create", "The Shop"]).fails(2, "not a tenant's key");
    assert_eq!(
        shell.call(&["tenant", "grant", "shop", "--user", "crm", "--types", "form.*,cart.abandoned"]).code(),
        0
    );
    let version = "SELECT catalogue_version FROM tenants";
    let before = shell.database.count(version).await?;
    let grant = |types| shell.call(&["tenant", "grant", "shop", "--user", "crm", "--types", types]);
    assert_eq!(grant("form.*,cart.abandoned").code(), 0);
    assert_eq!(shell.database.count(version).await?, before, "the same grant changes nothing");
    let odd = grant("form.submited,form.*");
    assert_eq!((odd.code(), odd.error().contains("did you mean \"form.submitted\"?")), (0, true));
    assert_eq!(grant("form.*,cart.abandoned").error(), "");
    for wrong in ["form*submitted", "Order.*", "form.* ", "form.*,order..created"] {
        grant(wrong).fails(2, "no event has a type like");
    }
    shell.call(&["tenant", "grant", "none", "--user", "crm", "--types", "*"]).fails(3, "no tenant \"none\"");
    let listed = shell.call(&["tenant", "list", "--json"]).json();
    assert_eq!(listed["data"][0]["name"], "The Shop");
    assert_eq!(
        listed["data"][0]["grants"],
        json!([{ "user": "crm", "types": ["form.*", "cart.abandoned"], "expires_at": null }])
    );
    assert!(shell.call(&["tenant", "list"]).out().contains("crm: form.* cart.abandoned"));
    assert_eq!(listed["next_cursor"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn a_tenants_zone_is_set_and_shown_and_the_same_zone_changes_nothing() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    assert_eq!(shell.call(&["tenant", "create", "shop"]).code(), 0);
    let zone = || shell.call(&["tenant", "list", "--json"]).json()["data"][0]["timezone"].clone();
    assert_eq!(zone(), "UTC");
    let version = "SELECT catalogue_version FROM tenants";
    let before = shell.database.count(version).await?;
    let set = |zone| shell.call(&["tenant", "set", "shop", "--timezone", zone]);
    assert_eq!(set("Europe/Berlin").code(), 0);
    assert_eq!((zone(), shell.database.count(version).await?), (json!("Europe/Berlin"), before + 1));
    assert_eq!(set("Europe/Berlin").code(), 0);
    assert_eq!(shell.database.count(version).await?, before + 1, "no ingest reads anything anew");
    set("Berlin").fails(2, "did you mean \"Europe/Berlin\"?");
    set("GMT+2").fails(2, "an offset");
    shell.call(&["tenant", "set", "none", "--timezone", "UTC"]).fails(3, "no tenant \"none\"");
    assert_eq!(zone(), "Europe/Berlin");
    Ok(())
}

#[tokio::test]
async fn every_problem_of_a_file_is_a_line_with_its_place_and_code() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let bad = WORKFLOW.replace("add_tag", "add_tags").replace("greater_than", "greater");
    let (good, bad) = (shell.file("good.yaml", WORKFLOW)?, shell.file("bad.yaml", &bad)?);
    assert_eq!(shell.call_with(&["workflow", "validate", &good], &[]).code(), 0);
    let called = shell.call_with(&["workflow", "validate", &good, &bad], &[]);
    called.fails(1, "2 problems");
    let lines: Vec<String> = called.out().lines().map(str::to_owned).collect();
    assert!(lines.iter().all(|line| line.starts_with(&format!("{bad}: "))), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("nodes[0].action: ") && line.ends_with("[unknown_action]")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("did you mean \"add_tag\"?")), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("[unknown_operator]")), "{lines:?}");
    let packed = shell.folder.join("packed.yaml");
    std::fs::write(&packed, b"\x1f\x8b\x08")?;
    let refused = shell.call_with(&["workflow", "validate", packed.to_str().unwrap()], &[]);
    refused.fails(2, "compressed with gzip, and text is read; unpack it");
    let odd = shell.file("odd.yaml", &WORKFLOW.replace("form.submitted", "form.submited"))?;
    let checked = shell.call_with(&["workflow", "validate", &odd, "--json"], &[]).json();
    assert_eq!((&checked["valid"], &checked["problems"]), (&json!(1), &json!([])));
    let warning = &checked["warnings"][0];
    assert_eq!(
        (&warning["file"], &warning["path"], &warning["code"]),
        (&json!(odd), &json!("triggers[0].event"), &json!("unknown_event"))
    );
    Ok(())
}

#[tokio::test]
async fn the_limits_of_the_roles_hold_for_files_too() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    assert_eq!(shell.call(&["tenant", "create", "shop"]).code(), 0);
    let two = WORKFLOW
        .replace("tag: seen } }", "tag: seen } }\n  - { id: end, action: stop_workflow }")
        .replace("[start, tag]", "[start, tag]\n  - [tag, end]");
    let file = shell.file("two.yaml", &two)?;
    for arguments in [["workflow", "validate", &file], ["workflow", "apply", &file]] {
        let variables = |nodes| {
            let url = ("DATABASE_URL", shell.database.url());
            [url, ("AUTOMATION_TENANT", "shop"), ("AUTOMATION_MAX_NODES", nodes)]
        };
        let called = shell.call_with(&arguments, &variables("1"));
        called.fails(1, "1 problem");
        assert!(called.out().contains("at most 1 nodes"), "{}", called.out());
        assert_eq!(shell.call_with(&arguments, &variables("2")).code(), 0);
    }
    Ok(())
}

/// What ingest has no room for would start nothing: it is not published.
#[tokio::test]
async fn what_would_take_more_memory_than_ingest_has_for_a_tenant_is_not_published() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let cache = |bytes| {
        let url = ("DATABASE_URL", shell.database.url());
        [url, ("AUTOMATION_TENANT", "shop"), ("AUTOMATION_CACHE_BYTES", bytes)]
    };
    let second = shell.file("second.yaml", &WORKFLOW.replace("key: welcome", "key: second"))?;
    let bytes: i64 = shell.database.count("SELECT entry_bytes FROM workflow_versions").await?;
    assert!((100..100_000).contains(&bytes), "{bytes}");
    let (short, enough) = ((2 * bytes - 1).to_string(), (2 * bytes).to_string());
    let called = shell.call_with(&["workflow", "apply", &second], &cache(&short));
    called.fails(1, "entry_too_large");
    assert_eq!(shell.database.count("SELECT count(*) FROM workflows").await?, 1);
    assert_eq!(shell.call_with(&["workflow", "apply", &second], &cache(&enough)).code(), 0);
    Ok(())
}

#[tokio::test]
async fn workflows_are_applied_shown_paused_and_resumed() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let file = shell.file("again.yaml", WORKFLOW)?;
    let again = shell.call(&["workflow", "apply", &file, "--json"]).json();
    assert_eq!((&again["data"][0]["result"], &again["data"][0]["version"]), (&json!("unchanged"), &json!(1)));
    let file = shell.file("next.yaml", &WORKFLOW.replace("tag: seen", "tag: met"))?;
    assert_eq!(shell.call(&["workflow", "apply", &file, "--json"]).json()["data"][0]["version"], 2);
    // What is shown can be applied, and is what was published.
    let shown = shell.file("shown.yaml", &shell.call(&["workflow", "show", "welcome"]).out())?;
    assert_eq!(shell.call(&["workflow", "apply", &shown, "--json"]).json()["data"][0]["result"], "unchanged");
    assert_eq!(shell.call(&["workflow", "pause", "welcome"]).code(), 0);
    assert_eq!(shell.call(&["workflow", "list", "--json"]).json()["data"][0]["state"], "paused");
    assert_eq!(shell.call(&["workflow", "resume", "welcome"]).code(), 0);
    shell.call(&["workflow", "show", "none"]).fails(3, "no workflow \"none\"");
    let schema = shell.call_with(&["workflow", "schema"], &[]);
    assert_eq!(serde_json::from_str::<Value>(&schema.out())?["type"], "object");
    Ok(())
}

#[tokio::test]
async fn runs_are_listed_page_by_page_with_the_members_that_programs_rely_on() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    for id in ["1", "2", "3"] {
        shell.completed(id).await?;
    }
    let queued = shell.queued("4").await?;
    let first = shell.call(&["run", "list", "--json", "--limit", "3"]).json();
    assert_eq!(first["data"].as_array().unwrap().len(), 3);
    let cursor = first["next_cursor"].as_str().unwrap();
    let last = shell.call(&["run", "list", "--json", "--limit", "3", "--cursor", cursor]).json();
    assert_eq!((last["data"].as_array().unwrap().len(), &last["next_cursor"]), (1, &Value::Null));
    let exact = shell.call(&["run", "list", "--json", "--limit", "4"]).json();
    assert_eq!(exact["next_cursor"], Value::Null);

    let done = shell.call(&["run", "list", "--status", "completed", "--json"]).json();
    assert_eq!(done["data"].as_array().unwrap().len(), 3);
    let of_event =
        shell.call(&["run", "list", "--event", "test/4", "--workflow", "welcome", "--json"]).json();
    let run = &of_event["data"][0];
    assert_eq!(run["id"], queued.run_id.to_string());
    assert_eq!(
        (&run["workflow"], &run["status"], &run["version"]),
        (&json!("welcome"), &json!("queued"), &json!(1))
    );
    assert_eq!((&run["contact"], &run["trigger"]), (&json!("ada"), &json!("start")));
    assert_eq!(run["event"], json!({ "source": "test", "id": "4", "type": "form.submitted" }));
    assert!(run["received_at"].is_string() && run["finished_at"].is_null() && run["error"].is_null());
    assert_eq!(
        shell.call(&["run", "list", "--contact", "ada", "--json"]).json()["data"].as_array().unwrap().len(),
        4
    );

    let slashed = shell.queued("orders/5").await?;
    let found = shell.call(&["run", "list", "--event", "test/orders/5", "--json"]).json();
    assert_eq!(found["data"][0]["id"], slashed.run_id.to_string());
    shell.call(&["run", "list", "--workflow", "none"]).fails(3, "no workflow");
    shell.call(&["run", "list", "--event", "test/9"]).fails(3, "test/9");
    shell.call(&["run", "list", "--status", "done"]).fails(2, "not a status");
    shell.call(&["run", "list", "--tenant", "none"]).fails(3, "no tenant");
    Ok(())
}

#[tokio::test]
async fn a_run_is_explained_with_both_values_of_each_comparison() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let run = shell.completed("1").await?.run_id.to_string();
    let story = shell.call(&["run", "explain", &run]).out();
    for part in [
        "form.submitted from test, id 1",
        "trigger condition holds",
        "yes  event.data.total greater_than 50, is 80",
        "claim 1 by worker-1",
        "tag add_tag: completed",
        "completed at ",
    ] {
        assert!(story.contains(part), "{part} is missing in:\n{story}");
    }
    let shown = shell.call(&["run", "show", &run, "--json"]).json();
    assert_eq!((&shown["status"], &shown["steps"][1]["action"]), (&json!("completed"), &json!("add_tag")));
    shell.call(&["run", "show", "00000000-0000-7000-8000-000000000000"]).fails(3, "no run");
    Ok(())
}

#[tokio::test]
async fn an_open_run_is_cancelled_once() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let run = shell.queued("1").await?.run_id.to_string();
    assert_eq!(shell.call(&["run", "cancel", &run, "--reason", "wrong list"]).code(), 0);
    shell.call(&["run", "cancel", &run]).fails(1, "cancelled");
    assert!(shell.call(&["run", "explain", &run]).out().contains("because: wrong list"));
    Ok(())
}

#[tokio::test]
async fn numbers_are_given_when_nothing_more_is_to_be_expected() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    shell.completed("1").await?;
    let stats = shell.call(&["run", "stats", "--wait", "1", "--json"]).json();
    assert_eq!(stats["events"], 1);
    assert_eq!(stats["runs"][0], json!({ "workflow": "welcome", "status": "completed", "runs": 1 }));
    let told = shell.call(&["run", "stats"]).out();
    assert!(told.contains("add_tag") && told.contains("p95 ms"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_contact_is_found_by_its_subject() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    shell.queued("1").await?;
    let shown = shell.call(&["contact", "show", "ada", "--json"]).json();
    assert_eq!((&shown["subject"], &shown["score"]), (&json!("ada"), &json!(0)));
    shell.call(&["contact", "show", "eve"]).fails(3, "no contact \"eve\"");
    shell.call(&["task", "list", "--contact", "eve"]).fails(3, "no contact \"eve\"");
    Ok(())
}

#[tokio::test]
async fn migrations_run_as_the_owner_and_are_checked() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let owner = [("AUTOMATION_OWNER_DATABASE_URL", shell.database.url())];
    assert_eq!(shell.call_with(&["migrate"], &owner).code(), 0);
    assert_eq!(shell.call_with(&["migrate", "--check"], &owner).code(), 0);
    shell.database.execute("DELETE FROM _sqlx_migrations WHERE version = 6").await?;
    shell.call_with(&["migrate", "--check"], &owner).fails(1, "1 migrations are missing");
    shell.call_with(&["migrate"], &[]).fails(2, "no database");
    Ok(())
}

#[tokio::test]
async fn schedules_are_listed_and_their_slots_told() -> anyhow::Result<()> {
    let shell = Shell::with_a_workflow().await?;
    let text = "
apiVersion: automation/v1
key: timed
triggers:
  - { id: nightly, schedule: { cron: '30 2 * * *', timezone: Europe/Berlin } }
  - { id: often, schedule: { every: 15m, anchor: '2026-01-01T00:05:00Z' } }
nodes: [{ id: call, action: create_task, with: { title: Look } }]
edges: [[nightly, call], [often, call]]
";
    let file = shell.file("timed.yaml", text)?;
    assert_eq!(shell.call(&["workflow", "apply", &file]).code(), 0);
    let listed = shell.call(&["schedule", "list", "--json"]).json();
    let shown: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([
                row["workflow"],
                row["trigger"],
                row["schedule"],
                row["timezone"],
                row["state"],
                row["fired"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!(["timed", "nightly", "30 2 * * *", "Europe/Berlin", "active", 0]),
            json!(["timed", "often", "15m", null, "active", 0]),
        ]
    );
    assert!(listed["data"][0]["next_slot_at"].is_string() && listed["data"][0]["last_slot_at"].is_null());
    let table = shell.call(&["schedule", "list"]).out();
    assert!(table.contains("At 02:30") && table.contains("Every 15m."), "{table}");
    assert_eq!(shell.call(&["workflow", "pause", "timed"]).code(), 0);
    assert_eq!(shell.call(&["schedule", "list", "--json"]).json()["data"][1]["state"], "paused");

    let slots = |called: Called| {
        let rows = called.json()["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row["local"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let from = ["--from", "2026-03-28T00:00:00Z", "--json"];
    let nightly = [&["schedule", "next", "timed/nightly", "--count", "3"][..], &from].concat();
    let expected = ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"];
    assert_eq!(slots(shell.call(&nightly)), expected);
    let often = [&["schedule", "next", "timed/often", "--count", "2"][..], &from].concat();
    assert_eq!(slots(shell.call(&often)), ["2026-03-28T00:05:00+00:00", "2026-03-28T00:20:00+00:00"]);
    shell.call(&["schedule", "next", "timed/noon"]).fails(3, "no schedule \"timed/noon\"");
    Ok(())
}

#[test]
fn slots_of_an_expression_are_told_without_a_server() {
    let call = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
        for variable in ["DATABASE_URL", "DATABASE_URL_FILE", "AUTOMATION_TENANT"] {
            command.env_remove(variable);
        }
        Called(command.args(["schedule", "next"]).args(arguments).output().unwrap())
    };
    let told = call(&[
        "--cron",
        "0 9 13 * +FRI",
        "--timezone",
        "Asia/Tokyo",
        "--from",
        "2026-01-01T00:00:00Z",
        "--count",
        "3",
    ]);
    assert_eq!(told.code(), 0, "{}", told.error());
    let days = ["2026-02-13T09:00:00+09:00", "2026-03-13T09:00:00+09:00", "2026-11-13T09:00:00+09:00"];
    assert!(days.iter().all(|day| told.out().contains(day)), "{}", told.out());
    call(&["--cron", "0 25 * * *"]).fails(1, "the hour \"25\" is not valid");
    call(&["--cron", "0 9 * * *", "--timezone", "Tokyo"]).fails(1, "did you mean \"Asia/Tokyo\"?");
    for (arguments, missing) in [(&[][..], "<SCHEDULE>"), (&["welcome/start"], "--tenant")] {
        let refused = call(arguments);
        assert_eq!((refused.code(), refused.error().contains(missing)), (2, true), "{}", refused.error());
    }
}

#[tokio::test]
async fn nobody_at_home_is_a_code_of_its_own() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    // Nothing listens on port 1.
    let away = [("DATABASE_URL", "postgres://u:p@127.0.0.1:1/x"), ("AUTOMATION_TENANT", "shop")];
    let called = shell.call_with(&["run", "list"], &away);
    called.fails(4, "nothing listens at 127.0.0.1:1: Connection refused");
    assert_eq!(called.error().matches("database is busy or unreachable").count(), 1, "{}", called.error());
    let broker = [("AMQP_URL", "amqp://u:p@127.0.0.1:1/x"), ("AUTOMATION_TENANT", "shop")];
    let publish = ["event", "publish", "--type", "form.submitted"];
    shell.call_with(&publish, &broker).fails(4, "no broker at 127.0.0.1:1: IO error: Connection refused");
    let wrong = [("DATABASE_URL", "mysql://u:secret@host/x"), ("AUTOMATION_TENANT", "shop")];
    let called = shell.call_with(&["run", "list"], &wrong);
    assert_eq!(called.code(), 2);
    assert!(
        called.error().contains("postgres://") && !called.error().contains("secret"),
        "{}",
        called.error()
    );
    Ok(())
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_by_code_and_next_step() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let own = shell.database.url();
    let (server, _) = own.rsplit_once('/').unwrap();
    let (_, place) = server.rsplit_once('@').unwrap();
    // A login that may not have the role is told so, and not that the server is away.
    let login = format!("{}_login", shell.database.name());
    shell.database.execute(&format!("CREATE ROLE {login} LOGIN PASSWORD 'secret'")).await?;
    let stranger = format!("postgres://{login}:secret@{place}/{}", shell.database.name());
    let called = shell.call_with(&["tenant", "list"], &[("DATABASE_URL", &*stranger)]);
    shell.database.execute(&format!("DROP ROLE {login}")).await?;
    called.fails(2, "permission denied to set role");
    // A database that nobody migrated, and one that is not there.
    let empty = [("DATABASE_URL", &*format!("{server}/postgres"))];
    let called = shell.call_with(&["tenant", "list"], &empty);
    called.fails(1, "tenants");
    assert!(called.error().contains("automation migrate"), "{}", called.error());
    let nowhere = [("DATABASE_URL", &*format!("{server}/no_such_database"))];
    shell.call_with(&["tenant", "list"], &nowhere).fails(2, "no_such_database");
    let wrong = [("DATABASE_URL", "postgres://u:secret@host:notaport/x")];
    let called = shell.call_with(&["tenant", "list"], &wrong);
    assert_eq!(called.code(), 2);
    assert!(called.error().contains("port") && !called.error().contains("secret"), "{}", called.error());
    // The broker knows neither this user nor this virtual host.
    let amqp = std::env::var("AUTOMATION_TEST_AMQP_URL")?;
    let (_, place) = amqp.rsplit_once('@').unwrap();
    for url in [format!("amqp://nobody:wrong@{place}"), format!("{amqp}/no_such_vhost")] {
        let broker = [("AMQP_URL", url.as_str()), ("AUTOMATION_TENANT", "shop")];
        for arguments in [&["event", "publish", "--type", "form.submitted"][..], &["topology", "apply"]] {
            let called = shell.call_with(arguments, &broker);
            called.fails(2, "refuses this login");
            assert!(
                called.error().contains("AMQP_URL") && !called.error().contains("wrong"),
                "{}",
                called.error()
            );
        }
    }
    // A value that is none is traced to the variable, and commands are named as they are typed.
    let workers = [("DATABASE_URL", own), ("AMQP_URL", &*amqp), ("AUTOMATION_WORKERS", "many")];
    let called = shell.call_with(&["serve"], &workers);
    assert_eq!(
        (called.code(), called.error().contains("AUTOMATION_WORKERS")),
        (2, true),
        "{}",
        called.error()
    );
    let typed = [("DATABASE_URL", own), ("AUTOMATION_PROGRAM", "./dev cli")];
    shell
        .call_with(&["tenant", "grant", "none", "--user", "crm", "--types", "*"], &typed)
        .fails(3, "next: ./dev cli tenant list");
    // The management API says no.
    let management = std::env::var("AUTOMATION_TEST_AMQP_MANAGEMENT_URL")?;
    let (_, place) = management.rsplit_once('@').unwrap();
    let stranger = format!("http://nobody:wrong@{place}");
    let broker = [("AMQP_URL", "amqp://u:p@127.0.0.1:1/x"), ("AUTOMATION_AMQP_MANAGEMENT_URL", &*stranger)];
    shell.call_with(&["topology", "check"], &broker).fails(2, "401");
    Ok(())
}

#[tokio::test]
async fn an_event_that_would_be_parked_is_not_sent() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    // Nothing listens on port 1: what is refused was refused before anything was sent.
    let publish = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["event", "publish"].iter().chain(arguments).copied().collect();
        let broker = [("AMQP_URL", "amqp://u:p@127.0.0.1:1/x"), ("AUTOMATION_TENANT", "shop")];
        shell.call_with(&arguments, &broker)
    };
    let form = ["--type", "form.submitted"];
    for (more, code) in [
        (["--data", "[1]"], "data_not_object"),
        (["--data", "{\"a\":1,\"a\":2}"], "stands twice"),
        (["--subject", ""], "attribute_invalid"),
        (["--source", "automation"], "reserved_source"),
        (["--tenant", "Shop"], "attribute_invalid"),
        (["--id", &"i".repeat(257)], "attribute_too_long"),
    ] {
        publish(&[form, more].concat()).fails(2, code);
    }
    publish(&["--type", "Order.Created"]).fails(2, "attribute_invalid");
    for time in ["yesterday", "2026-11-30T08:00:00"] {
        let refused = publish(&[form, ["--time", time]].concat());
        assert!(
            refused.code() == 2 && refused.error().contains("a date (2026-11-30,"),
            "{}",
            refused.error()
        );
    }
    publish(&[form, ["--time", "2026-11-30"]].concat()).fails(4, "broker");
    publish(&["--type", "schedule.cron"]).fails(2, "reserved_type");
    publish(&form).fails(4, "broker");
    publish(&[form, ["--id", &"i".repeat(256)]].concat()).fails(4, "broker");
    Ok(())
}

#[tokio::test]
async fn the_catalogue_tells_what_is_available() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let actions = shell.call_with(&["catalog", "actions", "--json"], &[]).json();
    let available = |key: &str| {
        let mut all = actions["data"].as_array().unwrap().iter();
        all.find(|entry| entry["key"] == key).unwrap()["available"].clone()
    };
    assert_eq!((available("add_tag"), available("send_email")), (json!(true), json!(false)));
    let conditions = shell.call_with(&["catalog", "conditions", "--json"], &[]).json();
    let of = |is: bool| {
        let all = conditions["data"].as_array().unwrap().iter().filter(move |entry| entry["available"] == is);
        all.map(|entry| entry["key"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(of(true).len(), 20, "{conditions}");
    assert_eq!(of(false), ["crm", "subscription"]);
    let triggers = shell.call_with(&["catalog", "triggers", "--json"], &[]).json();
    let order = triggers["data"].as_array().unwrap().iter().find(|entry| entry["key"] == "order.created");
    assert_eq!(order.unwrap()["available"], true);
    assert!(shell.call_with(&["catalog", "permissions"], &[]).out().contains("workflow.create"));
    Ok(())
}

#[tokio::test]
async fn the_topology_is_declared_by_an_administrators_management_api() -> anyhow::Result<()> {
    use automation_test_support::broker::TestVhost;
    let (shell, vhost) = (Shell::new().await?, TestVhost::create().await?);
    let variables =
        [("AMQP_URL", vhost.amqp_url()), ("AUTOMATION_AMQP_MANAGEMENT_URL", vhost.management_url())];
    // The virtual host is that of AMQP_URL.
    let call = |command| shell.call_with(&["topology", command], &variables);
    call("check").fails(1, "topology differs");
    assert_eq!(call("apply").code(), 0);
    assert_eq!(call("apply").code(), 0);
    assert_eq!(call("check").code(), 0);
    // Another ladder is other queues; those of the old one are taken out of use.
    let shorter = [variables[0], variables[1], ("AUTOMATION_RETRY_RUNGS", "1m,5m")];
    let applied = shell.call_with(&["topology", "apply", "--json"], &shorter).json();
    assert_eq!(applied["retired"]["draining"].as_array().unwrap().len(), 3, "{applied}");
    let checked = shell.call_with(&["topology", "check"], &shorter);
    checked.fails(1, "topology differs");
    assert!(checked.out().contains("unexpected: queue automation.wait.900000"), "{}", checked.out());
    // One that is named comes first.
    let elsewhere = shell.call_with(&["topology", "check", "--vhost", "no-such-host"], &variables);
    elsewhere.fails(1, "no-such-host");
    let unreadable = [variables[0], ("AUTOMATION_RETRY_RUNGS", "1m,soon")];
    let refused = shell.call_with(&["topology", "apply"], &unreadable);
    assert_eq!(refused.code(), 2);
    assert!(refused.error().contains("AUTOMATION_RETRY_RUNGS") && refused.error().contains("soon"));
    let exported = shell.call_with(&["topology", "export"], &[]).out();
    assert_eq!(serde_json::from_str::<Value>(&exported)?["vhosts"][0]["name"], "automation");
    assert!(!exported.contains("password") && !exported.contains("\"users\""));
    vhost.close().await
}
