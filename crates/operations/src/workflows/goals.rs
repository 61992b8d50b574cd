//! How often runs met what their workflow is for.

use super::find;
use crate::{Error, Page, Session};
use automation_store::runs::goals::{self, Counts};
use serde::Serialize;

/// The runs of a version with a goal.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Conversion {
    /// The version's number.
    pub version: i32,
    /// Runs that began with it.
    pub entered: i64,
    /// Those that met the goal.
    pub converted: i64,
    /// The one as a part of the other, in per cent.
    pub rate: String,
}

/// How many runs each version had, and how many of them met its goal; the latest version first. Versions without a goal are left out.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`](crate::Refusal::NoWorkflow); [`Error::Store`].
pub async fn goals(session: &Session, key: &str) -> Result<Page<Conversion>, Error> {
    let workflow = find(session, key).await?.workflow_id;
    let found =
        session.read(async |connection| goals::counts(connection, session.tenant, workflow).await).await?;
    Ok(Page::whole(found.into_iter().map(conversion).collect()))
}

fn conversion(counts: Counts) -> Conversion {
    let Counts { version, entered, converted } = counts;
    let rate = format!("{:.1} %", converted as f64 * 100.0 / entered.max(1) as f64);
    Conversion { version, entered, converted, rate }
}
