//! `automation contact`: what is known of a person.

use crate::output::{Output, to_json, yaml};
use crate::session::TenantArgs;
use automation_operations::contacts;
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
    let contact = contacts::show(&tenant.open().await?, &who).await?;
    output.one(&contact, || yaml(&to_json(&contact)));
    Ok(())
}
