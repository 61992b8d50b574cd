//! `automation contact`: what is known of a person.

use crate::exit;
use crate::output::Output;
use crate::session::TenantArgs;
use automation_store::contacts;
use clap::Subcommand;

/// What to do with contacts.
#[derive(Subcommand, Debug)]
pub enum ContactCommand {
    /// Show one contact
    Show {
        /// Subject, e-mail address or id
        who: String,
        #[command(flatten)]
        tenant: TenantArgs,
    },
}

/// Runs the command.
pub async fn run(command: ContactCommand, output: &Output) -> anyhow::Result<()> {
    let ContactCommand::Show { who, tenant } = command;
    let session = tenant.open().await?;
    let found = session
        .db
        .tx(session.scope(), async |connection| contacts::find(connection, session.tenant, &who).await)
        .await?;
    let Some(contact) = found else {
        return Err(exit::not_found(
            format!("tenant {} has no contact \"{who}\"", session.key),
            "give the subject that events carry, or an e-mail address",
        ));
    };
    let value = serde_json::to_value(&contact)?;
    output.one(&value, || yaml_serde::to_string(&value).unwrap_or_else(|_| value.to_string()));
    Ok(())
}
