//! For how many days a tenant's history is kept.

use crate::{Auditor, Error, Page, Refusal, session, transaction};
use automation_store::audit::Deed;
use automation_store::role::Operator;
use automation_store::upkeep::retention::{self, Days, KEEP_DAYS, Subject};
use automation_store::{Db, Scope};
use serde::Serialize;
use serde_json::json;

/// For how many days a tenant keeps something.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// `events`, `runs`, `run_logs` or `dead_letters`.
    pub subject: &'static str,
    /// Days; `None` where a setting of the scheduler's says it.
    pub days: Option<i32>,
    /// `own`, or `default` where the tenant has none of its own.
    pub retention: &'static str,
}

/// A retention as set.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Retention {
    /// The tenant's key.
    pub key: String,
    /// What, as [`Kept::subject`] names it.
    pub subject: String,
    /// Days; `None` for what holds for tenants without a retention of their own.
    pub days: Option<i32>,
    /// Whether events may be kept for less time than published workflows count them: their figures become smaller.
    #[serde(skip)]
    pub force: bool,
}

/// For how many days a tenant keeps what.
///
/// # Errors
///
/// [`Refusal::NoTenant`]; [`Error::Store`].
pub async fn show(operator: &Db<Operator>, tenant: &str) -> Result<Page<Kept>, Error> {
    let tenant = session::find(operator, tenant).await?.tenant_id;
    let of_tenant = async |connection: &mut _| retention::of_tenant(connection, tenant).await;
    let days = operator.read(Scope::Unscoped, of_tenant).await?;
    Ok(Page::whole(days.into_iter().map(of_subject).collect()))
}

/// Has a tenant keep something for so many days. Fewer than before delete what is older, within hours; more than before bring
/// nothing back.
///
/// # Errors
///
/// [`Refusal::NoTenant`], [`Refusal::NoRetention`], [`Refusal::RetentionDays`], [`Refusal::RetentionCounted`]; [`Error::Store`].
pub async fn set(
    operator: &Db<Operator>,
    auditor: &Auditor,
    retention: Retention,
) -> Result<Retention, Error> {
    let Retention { key, subject, days, force } = &retention;
    let known = Subject::ALL.into_iter().find(|known| known.as_str() == subject);
    let known = known.ok_or_else(|| Refusal::NoRetention(subject.clone()))?;
    if let Some(days) = days.filter(|days| !KEEP_DAYS.contains(days)) {
        return Err(Refusal::RetentionDays { days, least: *KEEP_DAYS.start(), most: *KEEP_DAYS.end() }.into());
    }
    let tenant = session::find(operator, key).await?.tenant_id;
    transaction::change(operator, tenant, auditor, async |connection| {
        if known == Subject::Events && !force {
            let counting = retention::counting_beyond(connection, tenant, *days).await?;
            if !counting.is_empty() {
                return Err(Refusal::RetentionCounted(counting).into());
            }
        }
        let before = retention::set(connection, tenant, known, *days).await?;
        let detail = json!({ "subject": subject, "days": days, "before": before });
        let deed = Deed { action: "tenant.retention", subject: format!("tenant {key}"), detail };
        Ok(((), (before != *days).then_some(deed)))
    })
    .await?;
    Ok(retention)
}

fn of_subject(days: Days) -> Kept {
    Kept {
        subject: days.subject.as_str(),
        days: days.own.or(days.of_all),
        retention: if days.own.is_some() { "own" } else { "default" },
    }
}
