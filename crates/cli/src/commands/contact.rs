//! `automation contact`: what is known of a person.

use crate::exit;
use crate::output::{Output, yaml};
use crate::session::TenantArgs;
use automation_domain::contact::Contact;
use automation_operations::Session;
use automation_store::records::contacts;
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

/// The contact with this subject, e-mail address or id.
pub(super) async fn find(session: &Session, who: &str) -> anyhow::Result<Contact> {
    let found = session
        .db
        .tx(session.scope(), async |connection| contacts::find(connection, session.tenant, who).await)
        .await?;
    found.ok_or_else(|| {
        exit::not_found(
            format!("tenant {} has no contact \"{who}\"", session.key),
            "give the subject that events carry, or an e-mail address",
        )
    })
}

/// Runs the command.
pub async fn run(command: ContactCommand, output: &Output) -> anyhow::Result<()> {
    let ContactCommand::Show { who, tenant } = command;
    let contact = find(&tenant.open().await?, &who).await?;
    let value = serde_json::to_value(&contact)?;
    output.one(&value, || yaml(&value));
    Ok(())
}
