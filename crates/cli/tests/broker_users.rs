//! `tenant grant --create-user`: a user of the broker that can publish its types, and do nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use automation_broker::management::Management;
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::{EVENTS, Topology};
use automation_test_support::broker::TestVhost;
use automation_test_support::database::TestDatabase;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

struct Shell {
    database: TestDatabase,
    vhost: TestVhost,
    management: Management,
    /// Users belong to the whole broker, so each test has its own.
    user: String,
}

impl Shell {
    async fn new() -> anyhow::Result<Self> {
        let (database, vhost) = (TestDatabase::create().await?, TestVhost::create().await?);
        Topology::standard().apply(vhost.amqp_url()).await?;
        let management = Management::new(vhost.management_url())?;
        let user = format!("crm-{}", vhost.name());
        let shell = Self { database, vhost, management, user };
        for key in ["acme", "rival"] {
            shell.call(&["tenant", "create", key]).succeeds();
        }
        Ok(shell)
    }

    fn call(&self, arguments: &[&str]) -> Called {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
        command.args(arguments).env_clear().env("DATABASE_URL", self.database.url());
        command.env("AUTOMATION_AMQP_MANAGEMENT_URL", self.vhost.management_url());
        command.env("AMQP_URL", self.vhost.amqp_url());
        command.env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS);
        Called(command.output().unwrap())
    }

    fn grant(&self, tenant: &str, types: &str, more: &[&str]) -> Called {
        let arguments = ["tenant", "grant", tenant, "--user", &self.user, "--types", types, "--json"];
        self.call(&[&arguments[..], &["--create-user"], more].concat())
    }

    fn revoke(&self, tenant: &str) -> Called {
        let host = ["--vhost", self.vhost.name(), "--json"];
        self.call(&[&["tenant", "revoke", tenant, "--user", &self.user][..], &host].concat())
    }

    /// Whether the user may publish with this routing key to this exchange.
    async fn may(&self, password: &str, exchange: &str, routing_key: &str) -> anyhow::Result<bool> {
        let publisher = Publisher::connect(&self.vhost.amqp_url_as(&self.user, password)?, "crm").await?;
        let message = Message {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            body: b"{}".to_vec(),
            user_id: Some(self.user.clone()),
            ..Message::default()
        };
        let outcome = publisher.publish_all(vec![message]).await;
        publisher.close().await;
        match outcome {
            Ok(()) => Ok(true),
            Err(error) if error.to_string().contains("ACCESS_REFUSED") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

struct Called(Output);

impl Called {
    #[track_caller]
    fn succeeds(&self) -> Value {
        assert!(self.0.status.success(), "{}", self.error());
        serde_json::from_slice(&self.0.stdout).unwrap_or_default()
    }

    #[track_caller]
    fn fails(&self, code: i32, what: &str) {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.error());
        assert!(self.error().contains(what) && self.error().contains("next: "), "{}", self.error());
    }

    fn error(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

#[tokio::test]
async fn a_user_that_a_grant_makes_can_publish_its_types_and_nothing_else() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let made = shell.grant("acme", "deal.*,order.created", &[]).succeeds();
    assert_eq!(made["created"], true);
    let password = made["password"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 32);
    for (exchange, routing_key, expected) in [
        (EVENTS, "deal.won", true),
        (EVENTS, "order.created", true),
        (EVENTS, "order.created.twice", false),
        (EVENTS, "orders", false),
        (EVENTS, "form.submitted", false),
        ("automation.work", "high", false),
        ("automation.dlx", "parking", false),
        ("automation.custom", "", false),
        ("", "automation.ingest.high", false),
        ("amq.topic", "deal.won", false),
    ] {
        assert_eq!(shell.may(&password, exchange, routing_key).await?, expected, "{exchange} {routing_key}");
    }
    let url = shell.vhost.amqp_url_as(&shell.user, &password)?;
    assert!(Topology::standard().apply(&url).await.is_err(), "it may not declare");

    // Another tenant's grant adds to what the broker lets through, and does not make another password.
    let updated = shell.grant("rival", "form.submitted", &[]).succeeds();
    assert_eq!((&updated["created"], updated.get("password")), (&json!(false), None));
    assert!(shell.may(&password, EVENTS, "form.submitted").await?);
    assert!(shell.may(&password, EVENTS, "deal.won").await?);
    let listed = shell.call(&["tenant", "grants", "--json"]).succeeds();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
    let listed = shell.call(&["tenant", "grants", "rival", "--json"]).succeeds();
    assert_eq!(listed["data"][0]["types"], json!(["form.submitted"]), "{listed}");

    let deeds = "SELECT count(*) FROM audit_links JOIN audit_words USING (tenant_id, seq)
                  WHERE action = 'grant.give' AND subject LIKE 'publisher crm-%'";
    assert_eq!(shell.database.count(deeds).await?, 2);

    // What is taken is taken on both sides, and the user goes with its last grant.
    let revoked = shell.revoke("acme").succeeds();
    assert_eq!(revoked["types_left"], json!(["form.submitted"]));
    assert!(shell.may(&password, EVENTS, "form.submitted").await?);
    assert!(!shell.may(&password, EVENTS, "deal.won").await?);
    shell.revoke("acme").fails(3, "has no grant");
    assert_eq!(shell.revoke("rival").succeeds()["broker"], "is deleted");
    assert!(shell.management.user(&shell.user).await?.is_none());
    shell.vhost.close().await
}

#[tokio::test]
async fn users_that_were_made_elsewhere_are_left_alone() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    shell.management.create_user(&shell.user, "theirs").await?;
    shell.grant("acme", "deal.*", &[]).fails(1, "was not made by this command");
    let grants = "SELECT count(*) FROM publisher_grants";
    assert_eq!(shell.database.count(grants).await?, 0, "nothing is granted when the user cannot be made");
    shell.call(&["tenant", "grant", "acme", "--user", &shell.user, "--types", "deal.*"]).succeeds();
    let revoked = shell.revoke("acme").succeeds();
    assert_eq!(revoked["broker"], "was not made by --create-user, and stays as it is");
    assert!(shell.management.user(&shell.user).await?.is_some());
    shell.management.delete_user(&shell.user).await?;
    shell.vhost.close().await
}

#[tokio::test]
async fn a_password_goes_to_a_file_of_its_owner_alone() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    let file = std::env::temp_dir().join(format!("password-{}", shell.vhost.name()));
    let path = file.to_str().unwrap().to_owned();
    let made = shell.grant("acme", "deal.*", &["--password-file", &path]);
    assert_eq!(made.succeeds().get("password"), None);
    let password = std::fs::read_to_string(&file)?;
    assert!(!String::from_utf8_lossy(&made.0.stdout).contains(password.trim()));
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    assert!(shell.may(password.trim(), EVENTS, "deal.won").await?);
    // A file that exists is not written over, and then nothing is changed.
    shell.grant("rival", "form.*", &["--password-file", &path]).fails(2, "cannot make");
    assert!(!shell.may(password.trim(), EVENTS, "form.submitted").await?);
    shell.revoke("acme").succeeds();
    std::fs::remove_file(file)?;
    shell.vhost.close().await
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused_with_the_rule() -> anyhow::Result<()> {
    let shell = Shell::new().await?;
    shell.grant("acme", "Deal.*", &[]).fails(2, "no event has a type like");
    shell.grant("none", "deal.*", &[]).fails(3, "no tenant");
    let call = |user: &str| shell.call(&["tenant", "grant", "acme", "--user", user, "--types", "*"]);
    call("apikey:shop").fails(2, "is an API key or a webhook");
    call("hook:shop").fails(2, "is an API key or a webhook");
    call("").fails(2, "1 to 255 bytes");
    shell.vhost.close().await
}
