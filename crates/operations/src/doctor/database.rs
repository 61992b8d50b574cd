//! The database: whether it answers, its schema, what the fleet owes.

use super::{Finding, lag, publishers};
use automation_service_kit::clock;
use automation_store::blame::suspended_parts;
use automation_store::role::Operator;
use automation_store::upkeep::partitions;
use automation_store::{Db, Scope, migration_status};

/// Without an answer, one finding; otherwise one for each check.
pub(super) async fn findings(db: &Db<Operator>) -> Vec<Finding> {
    if let Err(error) = db.ping().await {
        return vec![Finding::wrong(
            "database",
            error.to_string(),
            "start Postgres, or correct DATABASE_URL",
        )];
    }
    let mut findings = vec![Finding::well("database", "answers"), migrations(db).await, ahead(db).await];
    match db.read(Scope::Unscoped, automation_store::upkeep::lag::read).await {
        Ok(lag) => findings.extend(lag::findings(&lag, clock::wall_clock())),
        Err(error) => findings.push(Finding::wrong("wakeups", error.to_string(), "automation migrate")),
    }
    findings.push(suspended(db).await);
    findings.push(publishers::finding(db).await);
    findings
}

async fn migrations(db: &Db<Operator>) -> Finding {
    match migration_status(db).await {
        Ok(status) if status.applied == status.known => {
            Finding::well("migrations", format!("all {} are applied", status.known))
        }
        Ok(status) if status.applied > status.known => Finding::wrong(
            "migrations",
            format!("{} are applied, this binary knows {}", status.applied, status.known),
            "upgrade this binary",
        ),
        Ok(status) => Finding::wrong(
            "migrations",
            format!("{} of {} are applied", status.applied, status.known),
            "automation migrate",
        ),
        Err(error) => Finding::wrong("migrations", error.to_string(), "automation migrate"),
    }
}

/// A part that is suspended is an author's to mend; until then its workflow does less than it says.
async fn suspended(db: &Db<Operator>) -> Finding {
    match db.read(Scope::Unscoped, suspended_parts::of_fleet).await {
        Ok((0, _)) => Finding::well("suspended parts", "no part of a published workflow is suspended"),
        Ok((count, age)) => Finding::wrong(
            "suspended parts",
            format!("{count} of published workflows, the first for {} s", age.as_secs()),
            "automation workflow list --tenant <tenant>; docs/runbooks/suspended-parts.md",
        ),
        Err(error) => Finding::wrong("suspended parts", error.to_string(), "automation migrate"),
    }
}

async fn ahead(db: &Db<Operator>) -> Finding {
    let ahead = db.read(Scope::Unscoped, async |connection| partitions::days_ahead(connection).await).await;
    match ahead {
        Ok(days) if days >= 2 => Finding::well("partitions", format!("made for {days} days from today on")),
        Ok(days) => Finding::wrong(
            "partitions",
            format!("made for {days} days from today on"),
            "start a scheduler, which makes them ahead: automation serve --roles scheduler; in a checkout ./dev up",
        ),
        Err(error) => Finding::wrong("partitions", error.to_string(), "automation migrate"),
    }
}
