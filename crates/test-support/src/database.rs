//! One database per test, as a copy of a migrated template, on the server that the test run was given.

use anyhow::Context;
use automation_store::role::{Owner, Role};
use automation_store::{Db, PoolSize, migrate, migrations_fingerprint};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Where tests find Postgres: `postgres://superuser:password@host:port/postgres`.
pub const DATABASE_URL: &str = "AUTOMATION_TEST_DATABASE_URL";

const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");
const TEMPLATE: &str = "automation_template_";
const COPY: &str = "automation_test_";

/// A migrated, empty database of a test's own, dropped with this value.
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    /// Makes a database with a name that no other test has.
    pub async fn create() -> anyhow::Result<Self> {
        let mut admin = connect(&server_url()?).await?;
        // Whoever comes first makes the template; the others wait for it here. The lock ends with the connection.
        sqlx::query("SELECT pg_advisory_lock(hashtext('automation.test_template'))")
            .execute(&mut admin)
            .await?;
        let template = template(&mut admin).await?;
        sqlx::query("SELECT pg_advisory_unlock(hashtext('automation.test_template'))")
            .execute(&mut admin)
            .await?;
        let name = unique_name();
        run(&mut admin, &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER automation_owner"))
            .await?;
        admin.close().await?;
        Ok(Self { url: url_of(&name)?, name })
    }

    /// Makes a database without any table, with the roles that there are: for a binary that migrates it itself.
    pub async fn empty() -> anyhow::Result<Self> {
        let mut admin = connect(&server_url()?).await?;
        let name = unique_name();
        make_empty(&mut admin, &name).await?;
        admin.close().await?;
        Ok(Self { url: url_of(&name)?, name })
    }

    /// Makes another database with all that this one holds. Nobody may be connected to this one meanwhile; whoever still
    /// is, is disconnected.
    pub async fn copy(&self) -> anyhow::Result<Self> {
        let mut admin = connect(&server_url()?).await?;
        disconnect_all(&mut admin, &self.name).await?;
        let (name, original) = (unique_name(), &self.name);
        // File by file: page by page through the log, as by default, a large database takes several times as long.
        let copying =
            format!("CREATE DATABASE {name} TEMPLATE {original} OWNER automation_owner STRATEGY FILE_COPY");
        run(&mut admin, &copying).await?;
        admin.close().await?;
        Ok(Self { url: url_of(&name)?, name })
    }

    /// How to connect to it, as superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A pool of its own that acts as role `R`.
    pub fn store<R: Role>(&self) -> Db<R> {
        self.store_of_size(R::CONNECTIONS)
    }

    /// A pool of at most `connections` that acts as role `R`.
    pub fn store_of_size<R: Role>(&self, connections: u32) -> Db<R> {
        let size = PoolSize { max: connections, acquire_timeout: Duration::from_secs(30) };
        Db::new(&self.url, size).expect("the URL was connected to before")
    }

    /// A connection as superuser, for what no role may do: moving a lease into the past, looking behind the policies.
    pub async fn superuser(&self) -> anyhow::Result<PgConnection> {
        connect(&self.url).await
    }

    /// Runs statements as superuser.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let mut connection = self.superuser().await?;
        run(&mut connection, sql).await?;
        Ok(connection.close().await?)
    }

    /// Asks for one number as superuser.
    pub async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        count(&self.url, sql).await
    }
}

/// Asks the database at `url` for one number.
pub async fn count(url: &str, sql: &str) -> anyhow::Result<i64> {
    let mut connection = connect(url).await?;
    let count = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(count)
}

impl Drop for TestDatabase {
    /// On a thread with a runtime of its own, since a failing test may be unwinding in the middle of its own.
    fn drop(&mut self) {
        let name = self.name.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = connect(&server_url()?).await?;
                run(&mut admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
            })
        });
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("database {} stays behind: {error:#}", self.name),
            Err(_) => eprintln!("database {} stays behind", self.name),
        }
    }
}

/// The name of the template, which is made if it is not there. Its partitions begin with its day, so each day has one.
async fn template(admin: &mut PgConnection) -> anyhow::Result<String> {
    let day: String = sqlx::query_scalar("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
        .fetch_one(&mut *admin)
        .await?;
    let name = format!("{TEMPLATE}{}_{day}", migrations_fingerprint());
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(&name)
        .fetch_one(&mut *admin)
        .await?;
    if exists {
        return Ok(name);
    }
    remove_leftovers(admin, &day).await?;
    run(admin, ROLES).await.context("deploy/postgres/roles.sql")?;
    // It gets its name when it is complete: a test run that was interrupted leaves nothing that looks finished.
    let making = format!("{TEMPLATE}making");
    run(admin, &format!("DROP DATABASE IF EXISTS {making} WITH (FORCE)")).await?;
    make_empty(admin, &making).await?;
    let url = url_of(&making)?;
    let owner = Db::new(&url, PoolSize::of::<Owner>())?;
    migrate(&owner).await.context("migrating the template")?;
    owner.close().await;
    disconnect_all(admin, &making).await?;
    run(admin, &format!("ALTER DATABASE {making} RENAME TO {name}")).await?;
    Ok(name)
}

/// As `deploy/postgres/database.sql` makes it.
async fn make_empty(admin: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    run(admin, &format!("CREATE DATABASE {name} OWNER automation_owner")).await?;
    let mut connection = connect(&url_of(name)?).await?;
    run(
        &mut connection,
        "ALTER SCHEMA public OWNER TO automation_owner; REVOKE ALL ON SCHEMA public FROM PUBLIC",
    )
    .await?;
    Ok(connection.close().await?)
}

/// A backend outlives its connection for a moment, and a template may have none.
async fn disconnect_all(admin: &mut PgConnection, database: &str) -> anyhow::Result<()> {
    sqlx::query("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1")
        .bind(database)
        .execute(admin)
        .await?;
    Ok(())
}

/// Drops what test runs left behind that were killed: copies older than an hour, templates of other days.
async fn remove_leftovers(admin: &mut PgConnection, day: &str) -> anyhow::Result<()> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname FROM pg_database WHERE datname LIKE 'automation\\_te%' ORDER BY datname",
    )
    .fetch_all(&mut *admin)
    .await?;
    for name in names {
        let template = name.strip_prefix(TEMPLATE).is_some_and(|rest| !rest.ends_with(day));
        let copy = name.strip_prefix(COPY).and_then(|rest| rest.split('_').next()?.parse::<u64>().ok());
        if template || copy.is_some_and(|made_at| made_at + 3_600 < seconds()) {
            run(admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        }
    }
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    PgConnectOptions::from_str(url)?
        .application_name("automation tests")
        .options([("client_min_messages", "warning")])
        .connect()
        .await
        .with_context(|| format!("connecting to the server in {DATABASE_URL}"))
}

async fn run(connection: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    connection.execute(AssertSqlSafe(sql.to_owned())).await.with_context(|| sql.to_owned())?;
    Ok(())
}

fn server_url() -> anyhow::Result<String> {
    std::env::var(DATABASE_URL).with_context(|| {
        format!(
            "{DATABASE_URL} is not set: this test needs Postgres. Use `./dev test`, which starts the servers"
        )
    })
}

/// The server's URL with another database.
fn url_of(database: &str) -> anyhow::Result<String> {
    let mut url = reqwest::Url::parse(&server_url()?)?;
    url.set_path(database);
    Ok(url.into())
}

/// Processes of one machine run at the same time with different ids, and one after another at different times.
fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{COPY}{}_{}_{}", seconds(), std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
