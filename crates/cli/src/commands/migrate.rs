//! `automation migrate`: bring the schema up to date.

use crate::exit;
use crate::output::{Output, note};
use crate::session;
use automation_service_kit::clock;
use automation_service_kit::config::{Secret, postgres_url, postgres_url_in_file, rule, secret_rule};
use automation_store::role::Owner;
use automation_store::{Db, Error, migrate, migration_status};
use clap::Args;
use serde_json::json;
use std::time::Duration;

/// Arguments of `automation migrate`.
#[derive(Args, Debug)]
pub struct MigrateArgs {
    /// Only say whether migrations are missing (exit code 1 if so)
    #[arg(long)]
    check: bool,
    /// How long to wait for the database, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    /// Postgres as automation_owner [default: DATABASE_URL]
    ///
    /// By the variable or a file: as an argument, which a list of processes shows, it is refused.
    #[arg(long, env = "AUTOMATION_OWNER_DATABASE_URL", hide_env_values = true, value_name = "URL", value_parser = secret_rule(postgres_url))]
    owner_database_url: Option<Secret>,
    /// File that holds that URL
    #[arg(long, env = "AUTOMATION_OWNER_DATABASE_URL_FILE", value_name = "FILE", value_parser = rule(postgres_url_in_file))]
    owner_database_url_file: Option<Secret>,
    /// Postgres, where the owner has no URL of its own
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", value_parser = secret_rule(postgres_url))]
    database_url: Option<Secret>,
    /// File that holds that URL
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = rule(postgres_url_in_file))]
    database_url_file: Option<Secret>,
}

/// Applies what is missing. The login must be, or be a member of, `automation_owner`.
pub async fn run(args: MigrateArgs, output: &Output) -> anyhow::Result<()> {
    let owner = args.owner_database_url.or(args.owner_database_url_file);
    let Some(url) = owner.or(args.database_url).or(args.database_url_file) else {
        return Err(exit::usage(
            "no database is named",
            "set AUTOMATION_OWNER_DATABASE_URL to postgres://automation_owner:password@host:port/name",
        ));
    };
    let db = session::open(url.expose())?;
    wait_for(&db, Duration::from_secs(args.wait)).await?;
    let status = migration_status(&db).await?;
    if args.check {
        let missing = status.known.saturating_sub(status.applied);
        output.one(&json!({ "applied": status.applied, "known": status.known }), || {
            format!("{} of {} migrations are applied", status.applied, status.known)
        });
        return match missing {
            0 => Ok(()),
            _ => Err(exit::wrong(format!("{missing} migrations are missing"), "automation migrate")),
        };
    }
    let made = migrate(&db).await?;
    output.one(&json!({ "applied": made, "known": status.known }), || match made {
        0 => format!("nothing to do: all {} migrations are applied", status.known),
        _ => format!("applied {made} migrations; the schema is up to date"),
    });
    Ok(())
}

async fn wait_for(db: &Db<Owner>, patience: Duration) -> anyhow::Result<()> {
    let begun = clock::now();
    loop {
        match db.ping().await {
            Ok(()) => return Ok(()),
            Err(error @ Error::Transient(_)) if begun.elapsed() < patience => {
                note(format!("waiting for the database: {error}"));
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
