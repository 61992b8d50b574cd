//! `automation credential`: a secret goes in by a pipe or a file, and comes out nowhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use automation_domain::credential::{Scheme, Terms};
use automation_domain::id::{CredentialId, TenantId};
use automation_store::Scope;
use automation_store::access::credentials::{self, Setting, StoredSecret};
use automation_store::access::tenants;
use automation_store::role::{Api, Worker};
use automation_test_support::database::TestDatabase;
use automation_vault::{KeyRing, Place, Sealed};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const OLD: &str = "old:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";
const NEW: &str = "new:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const CANARY: &str = "canary-61a9cf5d2f4e";

struct Shell {
    database: TestDatabase,
}

impl Shell {
    async fn new() -> anyhow::Result<Self> {
        let shell = Self { database: TestDatabase::create().await? };
        for tenant in ["shop", "rival"] {
            shell.call(&["tenant", "create", tenant], OLD, "").succeeds();
        }
        Ok(shell)
    }

    /// Calls the binary with these encryption keys and this text on its standard input.
    fn call(&self, arguments: &[&str], keys: &str, stdin: &str) -> Called {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
        command.args(arguments).env_clear();
        command.env("DATABASE_URL", self.database.url()).env("AUTOMATION_TENANT", "shop");
        command.env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS);
        if !keys.is_empty() {
            command.env("AUTOMATION_ENCRYPTION_KEYS", keys);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that does not read closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        Called(child.wait_with_output().unwrap())
    }

    fn set(&self, key: &str, keys: &str, secret: &str) -> Called {
        let arguments = ["credential", "set", key, "--kind", "bearer", "--host", "api.example.com", "--json"];
        self.call(&arguments, keys, secret)
    }

    /// More credentials than are re-wrapped at once.
    async fn seal_many(&self, count: usize) -> anyhow::Result<()> {
        let (ring, api, tenant) = (KeyRing::parse(OLD)?, self.database.store::<Api>(), self.tenant().await?);
        let hosts = ["api.example.com".parse().unwrap()];
        api.tx(Scope::Tenant(tenant), async |connection| {
            for number in 0..count {
                let credential_id = CredentialId(automation_service_kit::ids::new_id());
                let terms = Terms::of_credential(&Scheme::Bearer, &hosts);
                let place = Place { tenant, credential: credential_id, field: "secret", terms };
                let Sealed { key_id, wrapped_key, ciphertext } = ring.seal(place, CANARY.as_bytes())?;
                let secret = StoredSecret { key_id, wrapped_key, ciphertext };
                let setting = Setting {
                    tenant_id: tenant,
                    credential_id,
                    key: &format!("k{number}"),
                    scheme: &Scheme::Bearer,
                    allowed_hosts: &hosts,
                    secret: &secret,
                };
                credentials::set(connection, &setting).await?;
            }
            Ok(())
        })
        .await
    }

    async fn tenant(&self) -> anyhow::Result<TenantId> {
        let worker = self.database.store::<Worker>();
        let names = ["shop".to_owned()];
        let found =
            worker.tx(Scope::Unscoped, async |connection| tenants::by_keys(connection, &names).await).await?;
        Ok(found[0].tenant_id)
    }

    /// What an executor with these keys would send.
    async fn opened(&self, key: &str, keys: &str) -> anyhow::Result<Result<String, automation_vault::Error>> {
        let worker = self.database.store::<Worker>();
        let tenant = self.tenant().await?;
        let wanted = [(tenant, key.to_owned())];
        let mut all = worker
            .tx(Scope::Tenants(&[tenant]), async |connection| credentials::usable(connection, &wanted).await)
            .await?;
        let credential = all.remove(&wanted[0]).unwrap();
        let terms = credential.terms();
        let stored = credential.secret;
        let sealed =
            Sealed { key_id: stored.key_id, wrapped_key: stored.wrapped_key, ciphertext: stored.ciphertext };
        let place = Place { tenant, credential: credential.credential_id, field: "secret", terms };
        let opened = KeyRing::parse(keys)?.open(place, &sealed);
        Ok(opened.map(|plain| String::from_utf8_lossy(&plain).into_owned()))
    }
}

struct Called(Output);

impl Called {
    fn succeeds(&self) -> String {
        assert_eq!(self.0.status.code(), Some(0), "{}", self.all());
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.succeeds()).unwrap()
    }

    fn fails(&self, code: i32, what: &str) {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.all());
        assert!(self.all().contains(what) && self.all().contains("next: "), "{}", self.all());
    }

    /// Everything it printed.
    fn all(&self) -> String {
        let Output { stdout, stderr, .. } = &self.0;
        format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
    }
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let mut printed = String::new();
    let called = shell.set("crm", OLD, &format!("{CANARY}\n"));
    assert_eq!(called.json()["version"], 1);
    printed += &called.all();
    assert_eq!(shell.opened("crm", OLD).await?.unwrap(), CANARY);

    let rotated = shell.call(&["credential", "rotate", "crm"], OLD, &format!("{CANARY}-2"));
    printed += &rotated.succeeds();
    assert_eq!(shell.opened("crm", OLD).await?.unwrap(), format!("{CANARY}-2"));

    for arguments in [
        &["credential", "list"][..],
        &["credential", "list", "--json"],
        &["credential", "show", "crm"],
        &["credential", "show", "crm", "--json"],
    ] {
        printed += &shell.call(arguments, "", "").succeeds();
    }
    let shown = shell.call(&["credential", "show", "crm", "--json"], "", "").json();
    assert_eq!(shown["hosts"], serde_json::json!(["api.example.com:443"]));
    assert_eq!(
        (&shown["version"], &shown["kind"], &shown["used_at"]),
        (&2.into(), &"bearer".into(), &Value::Null)
    );
    assert!(!printed.contains("canary") && !printed.contains("YWJjZGVm"), "{printed}");

    let in_the_clear = shell
        .database
        .count("SELECT count(*) FROM credentials c WHERE c::text LIKE '%canary%' OR position('canary'::bytea IN ciphertext) > 0")
        .await?;
    assert_eq!(in_the_clear, 0);
    shell.call(&["credential", "delete", "crm"], "", "").succeeds();
    shell.call(&["credential", "show", "crm"], "", "").fails(3, "no credential \"crm\"");
    shell.call(&["credential", "delete", "crm"], "", "").fails(3, "no credential \"crm\"");
    shell.call(&["credential", "rotate", "crm"], OLD, CANARY).fails(3, "no credential \"crm\"");
    Ok(())
}

#[tokio::test]
async fn whatever_is_changed_the_secret_is_asked_for_again() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    shell.set("crm", OLD, CANARY).succeeds();
    shell.set("crm", OLD, "").fails(2, "[secret_required]");
    shell.set("crm", OLD, "\n").fails(2, "[secret_required]");
    assert_eq!(shell.opened("crm", OLD).await?.unwrap(), CANARY);
    Ok(())
}

#[tokio::test]
async fn a_new_secret_is_not_sealed_for_hosts_that_somebody_put_there() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    shell.set("crm", OLD, CANARY).succeeds();
    // What the database's role of people can do at most: without the secret, it destroys the credential.
    let tenant = shell.tenant().await?;
    shell
        .database
        .execute(&format!(
            "SET ROLE automation_api; SET app.tenant_id = '{tenant}';
             UPDATE credentials SET allowed_hosts = '{{evil.example:443}}', wrapped_key = 'x', ciphertext = 'y'"
        ))
        .await?;
    assert!(shell.opened("crm", OLD).await?.is_err());
    shell.call(&["credential", "rotate", "crm"], OLD, CANARY).fails(1, "[credential_tampered]");
    shell.set("crm", OLD, CANARY).succeeds();
    shell.call(&["credential", "rotate", "crm"], OLD, CANARY).succeeds();
    assert_eq!(shell.opened("crm", OLD).await?.unwrap(), CANARY);
    Ok(())
}

#[tokio::test]
async fn a_secret_may_come_from_a_file() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let file = std::env::temp_dir().join(format!("{}.secret", shell.database.name()));
    std::fs::write(&file, format!("{CANARY}\r\n"))?;
    let path = file.to_str().unwrap();
    let arguments = [
        "credential",
        "set",
        "mail",
        "--kind",
        "basic",
        "--username",
        "shop",
        "--host",
        "http://10.0.0.7:8080",
        "--host",
        "*.example.com:8443",
        "--from-file",
        path,
    ];
    let printed = shell.call(&arguments, OLD, "").succeeds();
    std::fs::remove_file(&file)?;
    assert!(printed.contains("http://10.0.0.7:8080, *.example.com:8443"), "{printed}");
    assert_eq!(shell.opened("mail", OLD).await?.unwrap(), CANARY);
    let gone = shell.call(&arguments, OLD, "");
    gone.fails(2, "cannot be read");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_not_repeated() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    shell.set("The Key", OLD, CANARY).fails(2, "not a credential's key");
    shell.set("crm", "", CANARY).fails(2, "no key to encrypt");
    shell.set("crm", "old:c2hvcnQ=", CANARY).fails(2, "not 32 bytes");
    shell.set("crm", OLD, "short").fails(2, "5 bytes");
    shell.set("crm", OLD, "canary\nwith-a-break").fails(2, "printable ASCII");
    shell.set("crm", OLD, &"canary".repeat(1_000)).fails(2, "8 to 4096");
    for (arguments, problem) in [
        (&["--kind", "oauth", "--host", "a.example"][..], "not a kind"),
        (&["--kind", "basic", "--host", "a.example"], "needs a username"),
        (&["--kind", "header", "--name", "Host", "--host", "a.example"], "cannot be set"),
        (&["--kind", "bearer", "--host", "a.example/path"], "not a host"),
    ] {
        let all = [&["credential", "set", "crm"], arguments].concat();
        let called = shell.call(&all, OLD, CANARY);
        called.fails(2, problem);
        assert!(!called.all().contains("canary"), "{}", called.all());
    }
    assert_eq!(shell.database.count("SELECT count(*) FROM credentials").await?, 0);
    Ok(())
}

#[tokio::test]
async fn keys_are_changed_in_three_steps_without_touching_a_secret() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let count = 203;
    shell.set("k", OLD, CANARY).succeeds();
    shell.seal_many(count - 2).await?;
    // What was sealed for one record does not open in another.
    shell
        .database
        .execute(
            "INSERT INTO credentials (tenant_id, credential_id, key, kind, allowed_hosts, key_id, wrapped_key, ciphertext)
             SELECT tenant_id, gen_random_uuid(), 'copy', kind, allowed_hosts, key_id, wrapped_key, ciphertext
               FROM credentials WHERE key = 'k'",
        )
        .await?;
    let both = format!("{NEW},{OLD}");
    let first = shell.call(&["credential", "rekey", "--json"], &both, "");
    assert_eq!(first.0.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&first.0.stdout)?;
    assert_eq!((&told["rewrapped"], &told["unreadable"]), (&(count - 1).into(), &1.into()));
    assert!(first.all().contains("shop/copy: the secret does not decrypt"), "{}", first.all());
    assert_eq!(shell.opened("k", NEW).await?.unwrap(), CANARY);
    shell.call(&["credential", "delete", "copy"], "", "").succeeds();
    let second = shell.call(&["credential", "rekey", "--json"], &both, "").json();
    assert_eq!(second["rewrapped"], 0);
    assert!(shell.opened("k", OLD).await?.is_err());
    // Without the old key, what it wrapped would be lost: the command says so.
    shell.set("late", OLD, CANARY).succeeds();
    shell.call(&["credential", "rekey"], NEW, "").fails(1, "could not be opened");
    Ok(())
}

const WORKFLOW: &str = "
apiVersion: automation/v1
key: deals
triggers: [{ id: start, event: form.submitted }]
nodes:
  - { id: wait, action: delay, with: { for: 1m } }
  - id: call
    action: http_request
    with:
      method: POST
      url: https://api.example.com/deals
      query: { tag: [a, '{{ event.data.tag }}'] }
      headers: { X-Region: eu }
      body: { json: { total: '{{ event.data.total }}', lines: [1, 2] } }
      credential: crm
      redirects: 1
      save: { deal: body.id, page: headers.x-page }
edges: [[start, wait], [wait, call]]
";

#[tokio::test]
async fn a_workflow_that_names_a_missing_credential_is_published_with_a_warning() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let file = std::env::temp_dir().join(format!("{}.yaml", shell.database.name()));
    std::fs::write(&file, WORKFLOW)?;
    let apply = ["workflow", "apply", file.to_str().unwrap()];
    let first = shell.call(&apply, "", "");
    first.succeeds();
    let warning = "warning: nodes[1].with.credential: there is no credential \"crm\" [unknown_credential]";
    assert!(first.all().contains(warning), "{}", first.all());
    shell.set("crm", OLD, CANARY).succeeds();
    let second = shell.call(&apply, "", "");
    second.succeeds();
    assert!(!second.all().contains("warning"), "{}", second.all());
    std::fs::remove_file(&file)?;
    Ok(())
}

#[tokio::test]
async fn what_a_request_cannot_have_is_found_before_it_is_published() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let file = std::env::temp_dir().join(format!("{}-bad.yaml", shell.database.name()));
    for (good, bad, place) in [
        ("method: POST", "method: TRACE", "nodes[1].with.method"),
        ("headers: { X-Region: eu }", "headers: { Authorization: x }", "nodes[1].with.headers"),
        ("headers: { X-Region: eu }", "headers: { aUTHORIZATION: x }", "nodes[1].with.headers"),
        ("url: https://api.example.com/deals", "url: ftp://api.example.com/", "nodes[1].with.url"),
        ("credential: crm", "credential: The CRM", "nodes[1].with.credential"),
        ("redirects: 1", "redirects: 11", "nodes[1].with.redirects"),
        ("deal: body.id", "deal: cookies.id", "nodes[1].with.save.deal"),
        ("deal: body.id", "'a b': body.id", "nodes[1].with.save"),
        ("body: { json: {", "body: { text: a, json: {", "nodes[1].with.body"),
        ("credential: crm", "credentials: crm", "nodes[1].with.credentials"),
        ("url: https://api.example.com/deals", "verb: GET", "nodes[1].with: http_request needs"),
    ] {
        let text = WORKFLOW.replace(good, bad);
        assert_ne!(text, WORKFLOW, "{good}");
        std::fs::write(&file, text)?;
        let called = shell.call(&["workflow", "validate", file.to_str().unwrap()], "", "");
        called.fails(1, place);
    }
    std::fs::remove_file(&file)?;
    Ok(())
}
