//! What is known of people.

use crate::{Error, Refusal, Session};
use automation_domain::contact::Contact;
use automation_store::records::contacts;

/// The contact with this subject, e-mail address or id.
///
/// # Errors
///
/// [`Refusal::NoContact`]; [`Error::Store`].
pub async fn show(session: &Session, who: &str) -> Result<Contact, Error> {
    let find = async |connection: &mut _| contacts::find(connection, session.tenant, who).await;
    let missing = || Refusal::NoContact { tenant: session.key.clone(), who: who.to_owned() };
    Ok(session.read(find).await?.ok_or_else(missing)?)
}
