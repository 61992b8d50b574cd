//! The database roles, as types: a pool, and what its transactions hand out, say in their type who they act as.
//!
//! A function that takes `&mut Conn<Worker>` is for workers; one that takes `&mut Conn<impl OneOf<(Api, Worker)>>` is for
//! the API and for workers. A connection of another role does not compile:
//!
//! ```
//! # use automation_store::{Conn, Error, role::Worker, workflows::catalogue};
//! # async fn shown(connection: &mut Conn<Worker>) -> Result<(), Error> {
//! let (workflows, grants) = catalogue::load(connection).await?;
//! # Ok(())
//! # }
//! ```
//!
//! ```compile_fail,E0308
//! # use automation_store::{Conn, Error, role::Api, workflows::catalogue};
//! # async fn shown(connection: &mut Conn<Api>) -> Result<(), Error> {
//! let (workflows, grants) = catalogue::load(connection).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What a role may do once it is connected is decided by the server: `migrations/` has its policies and grants,
//! `deploy/postgres/roles.sql` makes it.

use std::fmt::Debug;
use std::time::Duration;

/// A database role, and the settings of its connections.
pub trait Role: sealed::Sealed + Copy + Debug + Send + Sync + 'static {
    /// Its name in Postgres.
    const NAME: &'static str;
    /// Most connections of a pool, unless somebody says otherwise.
    const CONNECTIONS: u32 = 8;
    /// Longest that a transaction may take on our side. The server's own time-outs end statements long before; this is
    /// for a server that went away without a word.
    const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
    /// Longest that a transaction may wait for its next statement, as Postgres writes it.
    const IDLE_TIMEOUT: &'static str = "30s";
    /// Longest that a statement may take, as Postgres writes it.
    const STATEMENT_TIMEOUT: &'static str = "30s";
    /// Statements that set the planner's mind, where its own is not right.
    const PLANNER: &'static str = "";
}

mod sealed {
    pub trait Sealed {}
}

/// Migrations.
#[derive(Clone, Copy, Debug)]
pub enum Owner {}

/// One tenant at a time: API and command line.
#[derive(Clone, Copy, Debug)]
pub enum Api {}

/// A batch of tenants at a time: ingest and executor.
#[derive(Clone, Copy, Debug)]
pub enum Worker {}

/// One tenant at a time, read through: for what takes longer than an event.
#[derive(Clone, Copy, Debug)]
pub enum Batch {}

/// What faces the internet: a few functions, and no table.
#[derive(Clone, Copy, Debug)]
pub enum Door {}

/// All tenants, on what is owed only.
#[derive(Clone, Copy, Debug)]
pub enum Scheduler {}

/// Tenants, grants and parked events.
#[derive(Clone, Copy, Debug)]
pub enum Operator {}

impl sealed::Sealed for Owner {}
impl sealed::Sealed for Api {}
impl sealed::Sealed for Worker {}
impl sealed::Sealed for Batch {}
impl sealed::Sealed for Door {}
impl sealed::Sealed for Scheduler {}
impl sealed::Sealed for Operator {}

impl Role for Owner {
    const NAME: &'static str = "automation_owner";
    // Migrations take as long as they take.
    const TRANSACTION_TIMEOUT: Duration = Duration::MAX;
    const STATEMENT_TIMEOUT: &'static str = "0";
}

impl Role for Api {
    const NAME: &'static str = "automation_api";
}

impl Role for Worker {
    const NAME: &'static str = "automation_worker";
    // A worker that hangs inside a transaction holds the runs of a batch.
    const IDLE_TIMEOUT: &'static str = "10s";
    // Its statements look up keys of small arrays: the methods are off that would read whole tables once they are small
    // enough to tempt the planner.
    const PLANNER: &'static str = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; \
         SET enable_bitmapscan = off; SET enable_material = off; SET enable_memoize = off; SET random_page_cost = 0.1; \
         SET plan_cache_mode = force_generic_plan";
}

impl Role for Batch {
    const NAME: &'static str = "automation_batch";
    // However much there is to read, most connections are left to those who work on events.
    const CONNECTIONS: u32 = 2;
}

impl Role for Door {
    const NAME: &'static str = "automation_door";
    // A caller waits for the answer, and others for one of few connections.
    const IDLE_TIMEOUT: &'static str = "10s";
    const STATEMENT_TIMEOUT: &'static str = "5s";
}

impl Role for Scheduler {
    const NAME: &'static str = "automation_scheduler";
    // What is owed stands at the head of an index, in a table that is mostly dead rows at times: read from its beginning,
    // a hundred megabytes of outbox took 0.3 s for the 500 events that were next.
    const PLANNER: &'static str = "SET enable_seqscan = off; SET random_page_cost = 0.1";
}

impl Role for Operator {
    const NAME: &'static str = "automation_operator";
}

/// A role that is one of `Roles`, a tuple of them.
#[diagnostic::on_unimplemented(
    message = "a connection of role `{Self}` may not do this: it is for one of `{Roles}`",
    label = "of role `{Self}`"
)]
pub trait OneOf<Roles>: Role {}

/// Says which roles stand together in a signature.
macro_rules! one_of {
    ($($roles:tt;)+) => { $(one_of!(@each $roles of $roles);)+ };
    (@each ($($role:ident),+) of $roles:tt) => { $(impl OneOf<$roles> for $role {})+ };
}

one_of! {
    (Api, Operator);
    (Api, Worker);
    (Operator, Worker);
    (Operator, Scheduler);
    (Operator, Owner);
    (Scheduler, Worker);
}
