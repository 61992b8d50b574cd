//! Every secret of a deployment is a canary: credentials of each kind, keys, hooks, passwords of both servers. They are used
//! against a server that says them back in every way, through retries, dead letters and replays, and with commands that fail.
//! Then they are looked for in the database, the queues, the logs, the metrics, the traces and everything that was printed.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests wait by the clock, draw names of their own, and say what they saw"
)]

mod canary;
#[path = "../traces/collector.rs"]
#[expect(dead_code, reason = "the test of traces looks at single members of spans")]
mod collector;
mod echo;
mod hunt;
mod site;

use anyhow::Context;
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::EVENTS;
use canary::Canary;
use echo::{Echo, MARKER, WAYS};
use hunt::Kind;
use serde_json::{Value, json};
use site::Site;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

const KINDS: [(&str, &[&str]); 5] = [
    ("bearer", &[]),
    ("basic", &["--username", "shop"]),
    ("header", &["--name", "X-Api-Key"]),
    ("query", &["--name", "key"]),
    ("hmac", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_nowhere_but_where_they_are_said_to_be() -> anyhow::Result<()> {
    let secrets: Vec<Canary> = KINDS
        .iter()
        .map(|(kind, _)| match *kind {
            "hmac" => Canary::signing("credential hmac"),
            kind => Canary::new(&format!("credential {kind}")),
        })
        .collect();
    let echo = Echo::start(vec![secrets[4].text.clone()]).await?;
    let mut site = Site::new(&echo).await?;
    let vhost = site.vhost.name().to_owned();
    site.call(&["topology", "apply", "--vhost", &vhost])?;
    site.call(&["tenant", "create", "acme"])?;
    set_credentials(&mut site, &echo, &secrets)?;
    let ways_in = WaysIn::make(&mut site)?;
    for role in ["door", "ingest", "executor", "scheduler"] {
        site.start(role, role, &[])?;
    }
    site.ready().await?;
    let files = apply_workflows(&mut site)?;
    ways_in.use_well_and_badly(&mut site, &echo).await?;

    let ways = i64::try_from(WAYS.len() * KINDS.len())?;
    let kinds = i64::try_from(KINDS.len())?;
    site.until("SELECT count(*) FROM dead_letters", ways).await?;
    // One more of each kind, and the webhook's calls.
    site.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", kinds + 2).await?;
    site.call(&["dead", "replay", "--all", "--yes", "--reason", "once more", "--rate", "1000"])?;
    // One waits in the broker for its second rung, so that queues are not empty.
    site.until("SELECT count(*) FROM dead_letters WHERE status = 'open'", ways).await?;
    publish_one_that_waits(&site, &ways_in, &echo).await?;
    assert!(echo.arrivals() > WAYS.len() * KINDS.len(), "the server had something to repeat");

    look_at_everything(&mut site).await?;
    edit_a_request(&mut site)?;
    site.until("SELECT count(*) FROM dead_letters WHERE status = 'open'", ways).await?;
    fail_in_every_way(&mut site).await?;
    for file in files {
        std::fs::remove_file(file)?;
    }
    hunt_and_prove_the_hunt(site).await
}

fn set_credentials(site: &mut Site, echo: &Echo, secrets: &[Canary]) -> anyhow::Result<()> {
    let host = format!("http://127.0.0.1:{}", echo.home);
    for ((kind, more), secret) in KINDS.iter().zip(secrets) {
        let fixed = ["credential", "set", *kind, "--kind", *kind, "--host", host.as_str()];
        let first = match *kind {
            "hmac" => Canary::signing("credential hmac before"),
            kind => Canary::new(&format!("credential {kind} before")),
        };
        site.call_with(&[&fixed[..], more].concat(), &first.text)?;
        site.keep(first);
        site.call_with(&["credential", "rotate", kind], &secret.text)?;
        site.keep(secret.clone());
    }
    Ok(())
}

/// What callers prove themselves with.
struct WaysIn {
    api_key: Canary,
    token: Canary,
    token_hook: String,
    signed_hook: String,
    publisher: Canary,
    publisher_name: String,
}

impl WaysIn {
    fn make(site: &mut Site) -> anyhow::Result<Self> {
        // Of an API key the beginning is shown in lists.
        let api_key = site.made("api key", "key", 16, &["apikey", "create", "shop", "--types", "*"])?;
        site.made("webhook's secret", "secret", "whsec_".len(), &["hook", "create", "signed"])?;
        site.made("webhook's next secret", "secret", "whsec_".len(), &["hook", "rotate", "signed"])?;
        let token = site.keep(Canary::new("webhook's token"));
        let file = std::env::temp_dir().join(format!("{}.token", site.database.name()));
        std::fs::write(&file, &token.text)?;
        let path = file.to_str().context("a path")?;
        site.call(&[
            "hook",
            "create",
            "legacy",
            "--verification",
            "token",
            "--header",
            "X-Topic",
            "--secret-file",
            path,
        ])?;
        std::fs::remove_file(&file)?;
        let hooks = site.list(&["hook", "list"])?;
        let address = |name: &str| -> anyhow::Result<String> {
            let hook = hooks.iter().find(|hook| hook["name"] == name).context("a hook")?;
            Ok(hook["path"]
                .as_str()
                .or(hook["url"].as_str())
                .with_context(|| format!("an address in {hook}"))?
                .to_owned())
        };
        let (token_hook, signed_hook) = (address("legacy")?, address("signed")?);
        let publisher_name = site::publisher(&site.database);
        let vhost = site.vhost.name().to_owned();
        let grant = [
            "tenant",
            "grant",
            "acme",
            "--user",
            &publisher_name,
            "--types",
            "*",
            "--create-user",
            "--vhost",
            &vhost,
        ];
        let publisher = site.made("publisher's password", "password", 0, &grant)?;
        Ok(Self { api_key, token, token_hook, signed_hook, publisher, publisher_name })
    }

    /// Everybody comes in once as they should, and in every wrong way.
    async fn use_well_and_badly(&self, site: &mut Site, echo: &Echo) -> anyhow::Result<()> {
        let url = site.vhost.amqp_url_as(&self.publisher_name, &self.publisher.text)?;
        let publisher = Publisher::connect(&url, "crm").await?;
        let mut messages: Vec<Message> = Vec::new();
        for (kind, _) in KINDS {
            let ways = WAYS.iter().chain(&["ok"]);
            messages
                .extend(ways.map(|way| self.message(&event(&format!("{kind}-{way}"), kind, &echo.url(way)))));
        }
        let mut refused = event("refused", "bearer", "x");
        refused["source"] = json!("automation");
        messages.push(self.message(&refused));
        publisher.publish_all(messages).await?;
        publisher.close().await;

        let events = format!("{}/v1/events", site.door);
        let (hook, signed) =
            (format!("{}{}", site.door, self.token_hook), format!("{}{}", site.door, self.signed_hook));
        let (wrong_key, wrong_token) =
            (site.keep(Canary::new("wrong api key")), site.keep(Canary::new("wrong token")));
        let good = event("over-http", "nobody", "x").to_string();
        let http = site.http.clone();
        let post = |url: &str| http.post(url).header("content-type", "application/cloudevents+json");
        let escaped = self.api_key.percent_encoded();
        for (status, request) in [
            (202, post(&events).bearer_auth(&self.api_key.text).body(good.clone())),
            (401, post(&events).bearer_auth(&wrong_key.text).body(good.clone())),
            (401, post(&events).basic_auth(&self.api_key.text, Some(&wrong_key.text)).body(good.clone())),
            (
                401,
                post(&format!("{events}?api_key={escaped}"))
                    .header("x-api-key", &self.api_key.text)
                    .body(good.clone()),
            ),
            (404, post(&format!("{events}/{escaped}")).body(good.clone())),
            (400, post(&events).bearer_auth(&self.api_key.text).body("{broken")),
            (202, http.post(&hook).bearer_auth(&self.token.text).header("x-topic", "t").body("{}")),
            (202, http.post(&hook).header("webhook-token", &self.token.text).body("{}")),
            (401, http.post(&hook).bearer_auth(&wrong_token.text).body("{}")),
            (401, http.post(&signed).bearer_auth(&self.token.text).body("{}")),
            (401, http.post(format!("{hook}?token={}", self.token.percent_encoded())).body("{}")),
        ] {
            let answer = request.send().await?;
            let (actual, place) = (answer.status().as_u16(), answer.url().path().to_owned());
            let headers = format!("{:?}", answer.headers());
            let text = format!("{headers} {}", answer.text().await?);
            assert_eq!(actual, status, "{place}: {text}");
            site.seen.add(Kind::Answer, format!("answer {actual} of {}", &place[..place.len().min(9)]), text);
        }
        Ok(())
    }

    fn message(&self, event: &Value) -> Message {
        Message {
            exchange: EVENTS.to_owned(),
            routing_key: "form.submitted".to_owned(),
            body: event.to_string().into_bytes(),
            content_type: "application/cloudevents+json".to_owned(),
            message_id: event["id"].as_str().unwrap_or_default().to_owned(),
            user_id: Some(self.publisher_name.clone()),
            ..Message::default()
        }
    }
}

fn event(id: &str, kind: &str, url: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "shop", "type": "form.submitted", "time": "2026-11-24T08:00:00Z",
        "tenantid": "acme", "subject": "ada", "data": { "kind": kind, "url": url },
    })
}

/// A workflow for each kind of credential, one that tries for longer, and one for webhooks. Gives the files.
fn apply_workflows(site: &mut Site) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let call = |key: &str, kind: &str, retry: Value| {
        json!({
            "apiVersion": "automation/v1", "key": key,
            "triggers": [{ "id": "form", "event": "form.submitted",
                           "where": { "field": "event.data.kind", "op": "equals", "value": key } }],
            "nodes": [
                { "id": "call", "action": "http_request", "retry": retry, "timeout": "5s", "with": {
                    "method": "POST", "url": "{{ event.data.url }}", "body": { "json": { "id": "{{ event.id }}" } },
                    "credential": kind, "redirects": 2, "save": { "echo": "body", "head": "headers.x-echo-plain" } } },
                { "id": "note", "action": "add_note", "with": { "text": "{{ vars.echo }} {{ vars.head }}" } },
            ],
            "edges": [["form", "call"], ["call", "note"]],
        })
    };
    let mut workflows: Vec<Value> =
        KINDS.iter().map(|(kind, _)| call(kind, kind, json!({ "delays": ["0s", "1s"] }))).collect();
    workflows.push(call("patient", "bearer", json!({ "delays": ["0s", "60s"] })));
    workflows.push(json!({
        "apiVersion": "automation/v1", "key": "hooks", "triggers": [{ "id": "hook", "event": "webhook.received" }],
        "nodes": [{ "id": "task", "action": "create_task", "with": { "title": "{{ event.data.name }}" } }],
        "edges": [["hook", "task"]],
    }));
    let mut files = Vec::new();
    for (number, workflow) in workflows.iter().enumerate() {
        let file = std::env::temp_dir().join(format!("{}-{number}.json", site.database.name()));
        std::fs::write(&file, workflow.to_string())?;
        site.call(&["workflow", "apply", file.to_str().context("a path")?])?;
        files.push(file);
    }
    Ok(files)
}

async fn publish_one_that_waits(site: &Site, ways_in: &WaysIn, echo: &Echo) -> anyhow::Result<()> {
    let url = site.vhost.amqp_url_as(&ways_in.publisher_name, &ways_in.publisher.text)?;
    let publisher = Publisher::connect(&url, "crm").await?;
    publisher.publish_all(vec![ways_in.message(&event("waits", "patient", &echo.url("text")))]).await?;
    publisher.close().await;
    site.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 1).await
}

/// Everything that a person can ask for.
async fn look_at_everything(site: &mut Site) -> anyhow::Result<()> {
    let mut calls: Vec<String> = Vec::new();
    for letter in site.list(&["dead", "list", "--limit", "1000"])? {
        let event = letter["event"]["id"].as_str().unwrap_or_default();
        let (id, run) = (letter["id"].as_str().context("an id")?, letter["run"].as_str().context("a run")?);
        if event.starts_with("basic") || event.starts_with("query") {
            calls.extend([format!("dead show {id}"), format!("run explain {run}")]);
        }
        if event.ends_with("-json") {
            calls.extend([format!("dead show {id} --json"), format!("run explain {run} --json")]);
            calls.push(format!("dead show {id} --request"));
        }
    }
    for group in site.list(&["dead", "list", "--group"])? {
        let signature = group["signature"].as_str().context("a signature")?;
        calls.extend(["", " --json"].map(|more| format!("dead group {signature}{more}")));
    }
    for run in site.list(&["run", "list", "--status", "completed"])? {
        calls.push(format!("run explain {}", run["id"].as_str().context("an id")?));
    }
    for parked in site.list(&["parked", "list"])? {
        let id = parked["id"].as_str().context("an id")?;
        calls.extend(["", " --json", " --body"].map(|more| format!("parked show {id}{more}")));
    }
    for (kind, _) in KINDS {
        calls.extend([format!("credential show {kind}"), format!("workflow show {kind}")]);
    }
    let vhost = site.vhost.name();
    calls.push(format!("topology check --vhost {vhost}"));
    for words in [
        "dead list --group",
        "dead list",
        "run list",
        "run stats",
        "credential list",
        "hook list",
        "apikey list",
        "tenant list",
        "tenant grants",
        "audit list",
        "audit list --no-tenant",
        "audit verify",
        "contact show ada",
        "credential rekey",
    ] {
        calls.extend([words.to_owned(), format!("{words} --json")]);
    }
    let calls: Vec<Vec<String>> =
        calls.iter().map(|call| call.split(' ').map(str::to_owned).collect()).collect();
    site.call_all(&calls)?;
    let vhost = site.vhost.name().to_owned();
    for more in [&[][..], &["--json"]] {
        site.try_call(&[&["doctor", "--vhost", &vhost][..], more].concat(), "", &[])?;
    }
    site.look_at_metrics().await
}

/// Sends an edited request, which the server repeats once more, and tries one with a secret in it, which is refused.
fn edit_a_request(site: &mut Site) -> anyhow::Result<()> {
    let letters = site.list(&["dead", "list", "--limit", "1000"])?;
    let letter = letters.iter().find(|letter| letter["event"]["id"] == "bearer-json").context("a letter")?;
    let id = letter["id"].as_str().context("an id")?;
    let mut request: Value = serde_json::from_str(&site.call(&["dead", "show", id, "--request"])?)?;
    let file = std::env::temp_dir().join(format!("{}.request", site.database.name()));
    let path = file.to_str().context("a path")?;
    let replay = ["dead", "replay", id, "--edit", path, "--new-key", "--yes", "--reason", "corrected"];
    let wrong = site.keep(Canary::new("secret in an edited request"));
    let headers = request["headers"].clone();
    request["headers"] = json!([["Authorization", format!("Bearer {}", wrong.text)]]);
    std::fs::write(&file, request.to_string())?;
    let (said, is_sent) = site.try_call(&replay, "", &[])?;
    assert!(!is_sent && said.contains("carries a secret"), "{said}");
    request["headers"] = headers;
    request["body"] = json!("{\"id\": \"corrected\"}");
    std::fs::write(&file, request.to_string())?;
    site.call(&replay)?;
    Ok(std::fs::remove_file(&file)?)
}

/// Commands and roles that cannot do what they are asked, with a secret in what they were given.
async fn fail_in_every_way(site: &mut Site) -> anyhow::Result<()> {
    let wrong = site.keep(Canary::new("wrong password"));
    let escaped = wrong.percent_encoded();
    let broken = [
        ("unreachable", format!("SCHEME://shop:{escaped}@127.0.0.1:1/x")),
        ("unknown host", format!("SCHEME://shop:{escaped}@no-such-host.invalid:5/x")),
        ("no port", format!("SCHEME://shop:{escaped}@127.0.0.1:port/x")),
        ("no scheme", format!("shop:{escaped}@127.0.0.1/x")),
        ("other scheme", format!("ftp://shop:{escaped}@127.0.0.1/x")),
        ("unescaped", format!("SCHEME://shop:{}@127.0.0.1/x", wrong.text)),
        ("in the query", format!("SCHEME://127.0.0.1:1/x?password={escaped}")),
    ];
    for (variable, scheme) in
        [("DATABASE_URL", "postgres"), ("AMQP_URL", "amqp"), ("AUTOMATION_AMQP_MANAGEMENT_URL", "http")]
    {
        let mut values: Vec<String> = broken.iter().map(|(_, url)| url.replace("SCHEME", scheme)).collect();
        values.push(site.with_password(variable, &wrong)?);
        let mut calls = Vec::new();
        for value in &values {
            let more: &[&str] = match variable {
                "DATABASE_URL" => &["dead", "list"],
                "AMQP_URL" => &["event", "publish", "--type", "order.created"],
                _ => &["topology", "check"],
            };
            calls.extend([&["doctor"][..], more].map(|arguments| (arguments, variable, value.as_str())));
        }
        site.try_all(&calls)?;
        // Roles start without the management API.
        if variable != "AUTOMATION_AMQP_MANAGEMENT_URL" {
            for (number, value) in [&values[0], values.last().context("a value")?].into_iter().enumerate() {
                site.start("executor", &format!("{variable}-{number}"), &[(variable, value)])?;
                site.until_logged(&["\"error\"", "\"warn\""]).await?;
            }
        }
    }
    let keys = format!("k1:{},k2", wrong.text);
    for keys in [keys.as_str(), &wrong.text, "k1:c2hvcnQ="] {
        let changed = [("AUTOMATION_ENCRYPTION_KEYS", keys), ("AUTOMATION_DOOR_KEYS", keys)];
        let host = ["--host", "example.com"];
        let (_, set) = site.try_call(
            &[&["credential", "set", "x", "--kind", "bearer"], &host[..]].concat(),
            &wrong.text,
            &changed,
        )?;
        let (_, made) = site.try_call(&["hook", "create", "x"], "", &changed)?;
        assert!(!set && !made, "{keys}");
    }
    for secret in
        [format!("{}\n{}", wrong.text, wrong.text), wrong.text.repeat(200), format!("{}\u{e4}", wrong.text)]
    {
        let (_, set) = site.try_call(
            &["credential", "set", "x", "--kind", "bearer", "--host", "example.com"],
            &secret,
            &[],
        )?;
        let (_, signing) = site.try_call(&["credential", "rotate", "hmac"], &secret, &[])?;
        assert!(!set && !signing);
    }
    Ok(())
}

/// Looks for every secret, and for one that was put into each kind of place on purpose.
async fn hunt_and_prove_the_hunt(mut site: Site) -> anyhow::Result<()> {
    let planted = Canary::new("planted");
    let text = &planted.text;
    site.database
        .execute(&format!(
            "CREATE TABLE planted (plain text, list text[], json jsonb, bytes bytea, all_bytes bytea[]);
             INSERT INTO planted VALUES ('{text}'), (NULL), (NULL);
             INSERT INTO planted (list) VALUES (ARRAY['a', '{text}']);
             INSERT INTO planted (json) VALUES (jsonb_build_object('a', jsonb_build_array('{text}'::text)));
             INSERT INTO planted (bytes) VALUES (convert_to('{{\"a\": \"{}\"}}', 'UTF8'));
             INSERT INTO planted (all_bytes) VALUES (ARRAY['x'::bytea, convert_to('{text}', 'UTF8')])",
            Canary::echoes(text)[1].1
        ))
        .await?;
    let administrator = Publisher::connect(site.vhost.amqp_url(), "planter").await?;
    let bytes = Canary::echoes(text)[7].1.clone().into_bytes();
    let message = Message {
        exchange: String::new(),
        routing_key: "automation.wait.60000".to_owned(),
        body: bytes,
        ..Message::default()
    };
    administrator.publish_all(vec![message]).await?;
    administrator.close().await;
    let log = site.log_of("executor").context("a log")?.clone();
    writeln!(
        std::fs::OpenOptions::new().append(true).open(log)?,
        "{{\"message\":\"{}\"}}",
        Canary::echoes(text)[4].1
    )?;
    site.seen.add(Kind::Metrics, "planted", format!("up{{x=\"{}\"}} 1", Canary::echoes(text)[2].1));
    site.seen.add(Kind::Span, "planted", Canary::echoes(text)[3].1.as_str());
    site.seen.add(Kind::Answer, "planted", Canary::echoes(text)[6].1.as_str());
    // The parser says back what it does not know: a real way out.
    site.try_call(&["catalog", text], "", &[])?;

    hunt::database(&site.database, &mut site.seen).await?;
    // A waiting nudge and the planted message; the nudge may be on its way from one rung to the next.
    let begun = Instant::now();
    while hunt::queues(&site.vhost, &mut site.seen).await? < 2 {
        anyhow::ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "no nudge waits beside the planted message"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    site.end_roles()?;
    println!("looked through (places, bytes): {:?}; for {} secrets", site.seen.sizes(), site.canaries.len());

    let kinds: BTreeSet<Kind> = site.seen.places_of(&planted).into_iter().map(|(kind, _)| kind).collect();
    let all = [Kind::Database, Kind::Queue, Kind::Log, Kind::Metrics, Kind::Span, Kind::Output, Kind::Answer];
    assert_eq!(kinds, BTreeSet::from(all), "the hunt finds what is there");
    let spans = site.seen.places_with("event_id");
    assert!(spans.contains("span process automation.events"), "{spans:?}");
    let columns = ["public.planted", "public.planted.bytes", "public.planted.all_bytes"];
    let places: BTreeSet<&str> = site.seen.places_of(&planted).into_iter().map(|(_, place)| place).collect();
    assert!(columns.iter().all(|column| places.contains(column)), "{places:?}");
    // What stood beside the secrets is kept, so the places were reached.
    let beside = site.seen.places_with(MARKER);
    for place in [
        "effects",
        "dead_letters",
        "workflow_run_logs",
        "notes",
        "automation dead show",
        "automation run explain",
    ] {
        assert!(beside.iter().any(|known| known.contains(place)), "{place} is not in {beside:?}");
    }
    let found = site.seen.find(&site.canaries);
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
    Ok(())
}
