//! The pool, and the one way to open a transaction.

use crate::Error;
use crate::role::Role;
use automation_domain::id::TenantId;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Postgres, Transaction};
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Whose rows a transaction may touch.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// One tenant's: roles api, batch and operator.
    Tenant(TenantId),
    /// These tenants': role worker.
    Tenants(&'a [TenantId]),
    /// These tenants', to take events in: role worker. Whoever changes what is to be done with events waits for the end of
    /// those that began before ([`all_taken_in`](crate::workflows::watched::all_taken_in)).
    Intake(&'a [TenantId]),
    /// Whatever the role's policies give without a tenant: roles owner, door, scheduler, operator.
    Unscoped,
}

/// Whoever takes events in shares this lock; it is in memory alone.
pub(crate) const INTAKE: i64 = 0x6175_746f_0001;

/// What a transaction may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Read and write.
    Write,
    /// Read alone: the server refuses the rest.
    Read,
}

impl Access {
    fn begin(self) -> &'static str {
        match self {
            Self::Write => "BEGIN",
            Self::Read => "BEGIN READ ONLY",
        }
    }
}

impl Scope<'_> {
    /// The statements that open a transaction with this scope, in one round trip.
    fn begin(self, access: Access) -> String {
        let mut sql = access.begin().to_owned();
        match self {
            Self::Tenant(tenant) => {
                let _ = write!(sql, "; SELECT set_config('app.tenant_id', '{tenant}', true)");
            }
            Self::Tenants(tenants) | Self::Intake(tenants) => {
                sql.push_str("; SELECT set_config('app.tenant_ids', '{");
                for (position, tenant) in tenants.iter().enumerate() {
                    let _ = write!(sql, "{}{tenant}", if position == 0 { "" } else { "," });
                }
                sql.push_str("}', true)");
                if let Self::Intake(_) = self {
                    // A statement of its own: what is read after it is not older than the lock.
                    let _ = write!(sql, "; SELECT pg_advisory_xact_lock_shared({INTAKE})");
                }
            }
            Self::Unscoped => {}
        }
        sql
    }
}

/// A connection that rested no longer than this is taken for alive. One that is not gives a transient error.
const TRUSTED: Duration = Duration::from_secs(1);
/// Longest that cleaning a connection may take before it is given up.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest that a server may take to let somebody in who knocks.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolSize {
    /// Most connections.
    pub max: u32,
    /// Longest wait for a free one.
    pub acquire_timeout: Duration,
}

impl PoolSize {
    /// What a pool of this role has, unless somebody says otherwise.
    pub fn of<R: Role>() -> Self {
        Self { max: R::CONNECTIONS, acquire_timeout: Duration::from_secs(10) }
    }
}

/// A pool of connections that act as role `R`.
#[derive(Clone, Debug)]
pub struct Db<R> {
    pool: PgPool,
    /// Host and port, unless it is a socket.
    place: Option<(String, u16)>,
    is_impatient: bool,
    role: PhantomData<R>,
}

/// A connection in a transaction, as role `R`. [`Db::tx`] and [`Db::read`] lend it.
#[derive(Debug)]
pub struct Conn<R> {
    transaction: Transaction<'static, Postgres>,
    role: PhantomData<R>,
}

impl<R: Role> Conn<R> {
    /// What runs statements: in this crate alone, whose functions say which roles they are for.
    pub(crate) fn sql(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// The same for tests that ask the server what it refuses a role.
    #[doc(hidden)]
    pub fn bare(&mut self) -> &mut PgConnection {
        self.sql()
    }
}

impl<R: Role> Db<R> {
    /// Makes a pool; connects at first use, so that a database which is not there yet is waited for by the caller.
    ///
    /// The login of `url` must be the role itself or a member of it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when `url` is not a Postgres URL.
    pub fn new(url: &str, size: PoolSize) -> Result<Self, Error> {
        // A login that may not have the role is refused by the server while it connects, with the reason. A statement
        // afterwards would be repeated by the pool until time is up, and the reason lost.
        let options = PgConnectOptions::from_str(url)?.application_name(R::NAME).options([("role", R::NAME)]);
        let place =
            options.get_socket().is_none().then(|| (options.get_host().to_owned(), options.get_port()));
        // Settings of a role come with a login alone, so each connection gets them here.
        let settings = format!(
            "SET idle_in_transaction_session_timeout = '{}'; SET statement_timeout = '{}'; \
             SET lock_timeout = '10s'; SET timezone = 'UTC'; SET jit = off; {}",
            R::IDLE_TIMEOUT,
            R::STATEMENT_TIMEOUT,
            R::PLANNER,
        );
        let pool = PgPoolOptions::new()
            .max_connections(size.max)
            .acquire_timeout(size.acquire_timeout)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move {
                    connection.execute(AssertSqlSafe(settings)).await?;
                    Ok(())
                })
            })
            // The pool asks a connection whether it lives when it comes back; asked again before its next use, a
            // transaction of a busy worker would cost two questions.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            // A future dropped at the wrong moment may leave a transaction open: it must not be the next user's. Without
            // the BEGIN, the server would log a warning each time there is none.
            .after_release(|connection, _| {
                Box::pin(async move {
                    if !connection.is_in_transaction() {
                        return Ok(true);
                    }
                    let cleaned =
                        tokio::time::timeout(RELEASE_TIMEOUT, connection.execute("BEGIN; ROLLBACK")).await;
                    cleaned.map_or(Ok(false), |done| done.map(|_| true))
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, place, is_impatient: false, role: PhantomData })
    }

    /// Has the first transaction fail at once when nothing listens there, and say so: for a person who waits. A role waits
    /// for its database instead.
    #[must_use]
    pub fn impatient(self) -> Self {
        Self { is_impatient: true, ..self }
    }

    /// Runs `work` in one transaction and commits it when `work` succeeds.
    ///
    /// # Errors
    ///
    /// What `work` returns, or an [`Error`] of beginning or committing. After a failed commit the outcome is unknown:
    /// callers write statements that can be repeated.
    pub async fn tx<T, E>(
        &self,
        scope: Scope<'_>,
        work: impl AsyncFnOnce(&mut Conn<R>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        self.within(Access::Write, scope, work).await
    }

    /// Runs `work` in one transaction that can change nothing: the server refuses it, and locking rows too.
    ///
    /// # Errors
    ///
    /// As [`Db::tx`].
    pub async fn read<T, E>(
        &self,
        scope: Scope<'_>,
        work: impl AsyncFnOnce(&mut Conn<R>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        self.within(Access::Read, scope, work).await
    }

    async fn within<T, E>(
        &self,
        access: Access,
        scope: Scope<'_>,
        work: impl AsyncFnOnce(&mut Conn<R>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        let bounded = tokio::time::timeout(R::TRANSACTION_TIMEOUT, async {
            if self.is_impatient && self.pool.size() == 0 {
                self.knock().await?;
            }
            let transaction = self.begin(access, scope).await?;
            let mut connection = Conn { transaction, role: PhantomData };
            match work(&mut connection).await {
                Ok(done) => {
                    connection.transaction.commit().await.map_err(Error::from)?;
                    Ok(done)
                }
                Err(error) => {
                    // The error at hand matters more than a failure to roll back, which the pool repairs.
                    let _ = connection.transaction.rollback().await;
                    Err(error)
                }
            }
        });
        match bounded.await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let silent =
                    std::io::Error::new(std::io::ErrorKind::TimedOut, "the database does not answer");
                Err(Error::Transient(sqlx::Error::Io(silent)).into())
            }
        }
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    ///
    /// [`Error::Transient`] when it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.tx(Scope::Unscoped, async |connection| {
            sqlx::query("SELECT 1").execute(connection.sql()).await?;
            Ok::<_, Error>(())
        })
        .await
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Connections that are in use, and those that are open and idle.
    pub fn connections(&self) -> (u64, u64) {
        let idle = u64::try_from(self.pool.num_idle()).unwrap_or(u64::MAX);
        (u64::from(self.pool.size()).saturating_sub(idle), idle)
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether somebody listens. The pool would try again until its time is up, and then tell of that alone.
    async fn knock(&self) -> Result<(), Error> {
        let Some((host, port)) = &self.place else { return Ok(()) };
        let address = host.trim_matches(['[', ']']);
        let knocked = tokio::time::timeout(KNOCK_TIMEOUT, TcpStream::connect((address, *port))).await;
        let error = match knocked {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"),
        };
        let told = format!("nothing listens at {host}:{port}: {error}");
        Err(Error::Transient(sqlx::Error::Io(std::io::Error::new(error.kind(), told))))
    }

    /// Begins on a task of its own: a caller that goes away must not drop the future half-way through BEGIN, which
    /// would give the pool back a connection with an open transaction.
    pub(crate) async fn begin(
        &self,
        access: Access,
        scope: Scope<'_>,
    ) -> Result<Transaction<'static, Postgres>, Error> {
        let pool = self.pool.clone();
        let begin = scope.begin(access);
        let started = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(begin)).await }).await;
        match started {
            Ok(transaction) => Ok(transaction?),
            Err(_panicked_or_shut_down) => Err(Error::Transient(sqlx::Error::WorkerCrashed)),
        }
    }
}
