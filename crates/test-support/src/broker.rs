//! One virtual host per test, on the broker that the test run was given.

use anyhow::{Context, bail};
use reqwest::{Client, Method, StatusCode, Url};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Where tests find the broker: `amqp://user:password@host:port`, without a virtual host.
pub const AMQP_URL: &str = "AUTOMATION_TEST_AMQP_URL";
/// Where tests find its management API: `http://user:password@host:port`.
pub const MANAGEMENT_URL: &str = "AUTOMATION_TEST_AMQP_MANAGEMENT_URL";

/// A virtual host of a test's own, deleted when it is closed or dropped.
pub struct TestVhost {
    name: String,
    amqp_url: String,
    management_url: String,
    deleted: bool,
}

impl TestVhost {
    /// Makes a virtual host with a name that no other test has.
    pub async fn create() -> anyhow::Result<Self> {
        // A second installation fails, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = variable(AMQP_URL)?;
        let management_url = variable(MANAGEMENT_URL)?;
        let name = unique_name();
        let amqp_url = format!("{}/{name}", base.trim_end_matches('/'));
        call(&management_url, Method::PUT, &name).await?;
        Ok(Self { name, amqp_url, management_url, deleted: false })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect to it as the administrator.
    pub fn amqp_url(&self) -> &str {
        &self.amqp_url
    }

    /// How to connect to it as another user.
    pub fn amqp_url_as(&self, user: &str, password: &str) -> anyhow::Result<String> {
        let mut url = Url::parse(&self.amqp_url)?;
        if url.set_username(user).is_err() || url.set_password(Some(password)).is_err() {
            bail!("{AMQP_URL} cannot carry a user");
        }
        Ok(url.into())
    }

    /// The management API of the broker.
    pub fn management_url(&self) -> &str {
        &self.management_url
    }

    /// Deletes it, with all its queues and connections.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.deleted = true;
        call(&self.management_url, Method::DELETE, &self.name).await
    }
}

impl Drop for TestVhost {
    /// On a thread with a runtime of its own, since a failing test may be unwinding in the middle of its own.
    fn drop(&mut self) {
        if self.deleted {
            return;
        }
        let (url, name) = (self.management_url.clone(), self.name.clone());
        let deletion = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(call(&url, Method::DELETE, &name))
        });
        match deletion.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("virtual host {} stays behind: {error:#}", self.name),
            Err(_) => eprintln!("virtual host {} stays behind", self.name),
        }
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| {
        format!("{name} is not set: this test needs a broker. Use `./dev test`, which starts the servers")
    })
}

/// Processes of one machine run at the same time with different ids, and one after another at different times.
fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{}-{count}", std::process::id(), now.as_micros())
}

async fn call(management_url: &str, method: Method, vhost: &str) -> anyhow::Result<()> {
    let url = format!("{}/api/vhosts/{vhost}", management_url.trim_end_matches('/'));
    let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
    let status = client.request(method, url).send().await.context("the broker's management API")?.status();
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    bail!("the management API answers {status} for the virtual host {vhost}")
}
