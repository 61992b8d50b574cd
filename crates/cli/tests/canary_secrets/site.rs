//! A deployment whose every password is a canary: servers, command line, and each role in a process of its own.

use crate::canary::Canary;
use crate::collector::Collector;
use crate::echo::Echo;
use crate::hunt::{Haystack, Kind};
use anyhow::{Context, bail};
use automation_broker::management::Management;
use automation_test_support::broker::TestVhost;
use automation_test_support::database::TestDatabase;
use automation_test_support::ports::free_port;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Everything we say, and what the libraries say to find errors in them.
const LOG: &str = "debug,automation=trace,automation_door=trace,automation_http_server=trace,automation_ingest=trace,automation_executor=trace,\
                   automation_scheduler=trace,\
                   automation_store=trace,automation_broker=trace,automation_connectors=trace,automation_vault=trace,\
                   automation_service_kit=trace,automation_actions=trace,automation_domain=trace";

pub struct Site {
    pub database: TestDatabase,
    pub vhost: TestVhost,
    pub canaries: Vec<Canary>,
    pub seen: Haystack,
    pub http: reqwest::Client,
    pub door: String,
    management: Management,
    user: String,
    variables: Vec<(String, String)>,
    roles: Vec<Role>,
    collector: Collector,
}

/// A role's process.
struct Role {
    name: &'static str,
    admin: String,
    child: Child,
    log: PathBuf,
}

impl Site {
    /// Makes users of both servers whose passwords are canaries.
    pub async fn new(echo: &Echo) -> anyhow::Result<Self> {
        let (database, vhost) = (TestDatabase::create().await?, TestVhost::create().await?);
        let management = Management::new(vhost.management_url())?;
        let user = format!("canary_{}", database.name());
        let canaries =
            ["database password", "broker password", "encryption key", "door key"].map(Canary::new).to_vec();
        let (login, broker) = (canaries[0].text.clone(), canaries[1].text.clone());
        database
            .execute(&format!(
                "CREATE ROLE {user} LOGIN NOINHERIT PASSWORD '{login}' IN ROLE automation_owner, automation_api,
                 automation_worker, automation_door, automation_scheduler, automation_operator"
            ))
            .await?;
        management.create_tagged_user(&user, &broker, &["administrator"]).await?;
        let permissions = serde_json::json!({ "configure": ".*", "write": ".*", "read": ".*" });
        let of = |url: &str, password: &str| -> anyhow::Result<String> {
            let mut url = reqwest::Url::parse(url)?;
            let set = url.set_username(&user).and_then(|()| url.set_password(Some(password)));
            set.map_err(|()| anyhow::anyhow!("{url} takes no user"))?;
            Ok(url.into())
        };
        let administration = of(vhost.management_url(), &broker)?;
        let http = reqwest::Client::new();
        let rights = format!("{}/api/permissions/{}/{user}", vhost.management_url(), vhost.name());
        http.put(rights).json(&permissions).send().await?.error_for_status()?;
        let door = format!("127.0.0.1:{}", free_port()?);
        // A key is 32 bytes: the canary's first.
        let [key, door_key] = [2, 3].map(|canary: usize| {
            let bytes = &canaries[canary].text.as_bytes()[..32];
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
        });
        let collector = Collector::start().await?;
        let variables = [
            ("DATABASE_URL", of(database.url(), &login)?),
            ("AMQP_URL", of(vhost.amqp_url(), &broker)?),
            ("AUTOMATION_AMQP_MANAGEMENT_URL", administration),
            ("AUTOMATION_ENCRYPTION_KEYS", format!("k1:{key}")),
            ("AUTOMATION_DOOR_KEYS", format!("d1:{door_key}")),
            ("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS.to_owned()),
            ("AUTOMATION_TENANT", "acme".to_owned()),
            ("AUTOMATION_RETRY_RUNGS", "200ms,60s".to_owned()),
            ("AUTOMATION_OUTBOUND_ALLOW", format!("127.0.0.1:{},127.0.0.1:{}", echo.home, echo.abroad)),
            ("AUTOMATION_HTTP_ADDR", door.clone()),
            ("AUTOMATION_LEASE_MS", "2000".to_owned()),
            ("AUTOMATION_FIRST_LOOK_MS", "500".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
            ("RUST_LOG", LOG.to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
            ("USER", "ada".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let (seen, roles, door) = (Haystack::default(), Vec::new(), format!("http://{door}"));
        Ok(Self {
            database,
            vhost,
            canaries,
            seen,
            http,
            door,
            management,
            user,
            variables,
            roles,
            collector,
        })
    }

    /// One more secret to be looked for.
    pub fn keep(&mut self, canary: Canary) -> Canary {
        self.canaries.push(canary.clone());
        canary
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
        command.args(arguments).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls the command line; what it prints is looked through. Gives its standard output, or what it says is wrong, and
    /// whether it ended well.
    pub fn try_call(
        &mut self,
        arguments: &[&str],
        stdin: &str,
        changed: &[(&str, &str)],
    ) -> anyhow::Result<(String, bool)> {
        let mut child = self.command(arguments).envs(changed.iter().copied()).spawn()?;
        // A command that does not read closes the pipe.
        let _ = child.stdin.take().context("a pipe")?.write_all(stdin.as_bytes());
        self.finish(arguments, child)
    }

    /// Calls the command line many times at once, each with one variable changed; each has to fail.
    pub fn try_all(&mut self, calls: &[(&[&str], &str, &str)]) -> anyhow::Result<()> {
        let started: Vec<_> = calls
            .iter()
            .map(|(arguments, name, value)| {
                Ok((arguments, self.command(arguments).env(name, value).spawn()?))
            })
            .collect::<anyhow::Result<_>>()?;
        for (arguments, child) in started {
            let (said, succeeded) = self.finish(arguments, child)?;
            anyhow::ensure!(!succeeded, "automation {} should fail: {said}", arguments.join(" "));
        }
        Ok(())
    }

    /// Calls the command line many times, some at once; each has to succeed.
    pub fn call_all(&mut self, calls: &[Vec<String>]) -> anyhow::Result<()> {
        for some in calls.chunks(8) {
            let started: Vec<_> = some
                .iter()
                .map(|call| call.iter().map(String::as_str).collect::<Vec<_>>())
                .map(|arguments| Ok((self.command(&arguments).spawn()?, arguments)))
                .collect::<anyhow::Result<_>>()?;
            for (child, arguments) in started {
                let (said, succeeded) = self.finish(&arguments, child)?;
                anyhow::ensure!(succeeded, "automation {} failed: {said}", arguments.join(" "));
            }
        }
        Ok(())
    }

    fn finish(&mut self, arguments: &[&str], child: Child) -> anyhow::Result<(String, bool)> {
        let output = child.wait_with_output()?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let place = format!("automation {}", arguments.join(" "));
        self.seen.add(Kind::Output, &place, &*out);
        self.seen.add(Kind::Output, format!("{place} (errors)"), &*err);
        let said = if output.status.success() { out } else { err };
        Ok((said.into_owned(), output.status.success()))
    }

    /// The same for what has to succeed.
    pub fn call(&mut self, arguments: &[&str]) -> anyhow::Result<String> {
        self.call_with(arguments, "")
    }

    /// The same with this on standard input.
    pub fn call_with(&mut self, arguments: &[&str], stdin: &str) -> anyhow::Result<String> {
        match self.try_call(arguments, stdin, &[])? {
            (out, true) => Ok(out),
            (out, false) => bail!("automation {} failed: {out}", arguments.join(" ")),
        }
    }

    /// The list that a command printed as JSON.
    pub fn list(&mut self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let printed: Value = serde_json::from_str(&self.call(&[arguments, &["--json"]].concat())?)?;
        Ok(printed["data"].as_array().context("a list")?.clone())
    }

    /// A secret that a command shows once, as its documentation says.
    pub fn made(
        &mut self,
        name: &str,
        member: &str,
        hidden: usize,
        arguments: &[&str],
    ) -> anyhow::Result<Canary> {
        let arguments = [arguments, &["--json"]].concat();
        let made: Value = serde_json::from_str(&self.call(&arguments)?)?;
        let text = made[member].as_str().with_context(|| format!("{member} in {made}"))?;
        // The secret without what every secret of its kind begins with, or what lists may show of it.
        let mut canary = Canary::of(name, &text[hidden..]);
        text.clone_into(&mut canary.text);
        self.seen.documents(&canary, &format!("automation {}", arguments.join(" ")));
        Ok(self.keep(canary))
    }

    /// Starts a role, with some variables changed; its log becomes part of what is looked through at the end.
    pub fn start(&mut self, name: &'static str, log: &str, changed: &[(&str, &str)]) -> anyhow::Result<()> {
        let admin = format!("127.0.0.1:{}", free_port()?);
        let log = std::env::temp_dir().join(format!("{}-{log}.log", self.database.name()));
        // Appending, so that what others add to it stays.
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = self.command(&["serve", "--roles", name]);
        command.env("AUTOMATION_ADMIN_ADDR", &admin).envs(changed.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        self.roles.push(Role { name, admin, child, log });
        Ok(())
    }

    /// Waits until every role is ready.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        for role in &self.roles {
            loop {
                let answer = self.http.get(format!("http://{}/readyz", role.admin)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                if begun.elapsed() > PATIENCE {
                    bail!("{} is not ready: {}", role.name, std::fs::read_to_string(&role.log)?);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Waits until the log of the last role that was started says this, or the role ended.
    pub async fn until_logged(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let role = self.roles.last_mut().context("a role")?;
        let begun = Instant::now();
        loop {
            let ended = role.child.try_wait()?.is_some();
            let log = std::fs::read_to_string(&role.log)?.to_lowercase();
            if ended || words.iter().any(|word| log.contains(word)) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} says none of {words:?}: {log}", role.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a count is reached.
    pub async fn until(&self, sql: &str, expected: i64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let actual = self.database.count(sql).await?;
            if actual == expected {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{sql}: {actual}, expected {expected}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the roles answer on their addresses for operators.
    pub async fn look_at_metrics(&mut self) -> anyhow::Result<()> {
        for role in &self.roles {
            for path in ["metrics", "readyz", "livez"] {
                let text =
                    self.http.get(format!("http://{}/{path}", role.admin)).send().await?.text().await?;
                self.seen.add(Kind::Metrics, format!("{} /{path}", role.name), text);
            }
        }
        Ok(())
    }

    /// The file that a role logs to.
    pub fn log_of(&self, name: &str) -> Option<&PathBuf> {
        self.roles.iter().find(|role| role.name == name).map(|role| &role.log)
    }

    /// Ends the roles, and reads their logs and all spans that they sent.
    pub fn end_roles(&mut self) -> anyhow::Result<()> {
        for mut role in self.roles.drain(..) {
            let pid = role.child.id().to_string();
            Command::new("kill").arg(pid).stderr(Stdio::null()).status()?;
            role.child.wait()?;
            self.seen.add(Kind::Log, role.log.display().to_string(), std::fs::read_to_string(&role.log)?);
        }
        for span in self.collector.spans() {
            self.seen.add(Kind::Span, format!("span {}", span.name), span.whole);
        }
        Ok(())
    }

    /// The variables that hold secrets, with something else in their place of the password.
    pub fn with_password(&self, variable: &str, password: &Canary) -> anyhow::Result<String> {
        let (_, url) = self.variables.iter().find(|(name, _)| name == variable).context("a variable")?;
        let mut url = reqwest::Url::parse(url)?;
        url.set_password(Some(&password.text))
            .map_err(|()| anyhow::anyhow!("{variable} takes no password"))?;
        Ok(url.into())
    }
}

impl Drop for Site {
    /// Removes what the servers share with others, on a thread with a runtime of its own.
    fn drop(&mut self) {
        self.roles.clear();
        let (user, management, database) = (&self.user, &self.management, &self.database);
        let removing = std::thread::scope(|scope| {
            let removal = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    database.execute(&format!("DROP ROLE {user}")).await?;
                    management.delete_user(user).await?;
                    anyhow::Ok(management.delete_user(&publisher(database)).await?)
                })
            });
            removal.join()
        });
        if !matches!(removing, Ok(Ok(()))) {
            eprintln!("user {user} stays behind: {removing:?}");
        }
    }
}

/// The broker's user that a grant makes.
pub fn publisher(database: &TestDatabase) -> String {
    format!("crm-{}", database.name())
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}
