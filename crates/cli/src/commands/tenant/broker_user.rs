//! The broker's side of a grant: a user that may write its types to `automation.events`, and do nothing else.
//!
//! Users belong to the whole broker, so nobody's but our own are changed: ours carry a tag.

use crate::exit;
use automation_broker::management::Management;
use automation_broker::permissions::{PUBLISHER_TAG, publisher_of};
use automation_domain::api_key::base64url;
use automation_service_kit::random::random_bytes;

/// The broker's users, seen from one virtual host.
pub struct BrokerUsers {
    management: Management,
    vhost: String,
}

/// What became of a user.
pub enum Made {
    /// It is new.
    New {
        /// Known here and nowhere else.
        password: Password,
    },
    /// It existed, and has other permissions.
    Updated,
}

/// A password, which does not print.
pub struct Password(String);

impl Password {
    /// The password itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BrokerUsers {
    /// By an administrator's management API.
    pub fn new(url: &str, vhost: &str) -> anyhow::Result<Self> {
        Ok(Self { management: Management::new(url)?, vhost: vhost.to_owned() })
    }

    /// Refuses users that were not made here, before anything is changed.
    pub async fn check_own_or_new(&self, user: &str) -> anyhow::Result<()> {
        match self.management.user(user).await? {
            Some(found) if !found.tags.iter().any(|tag| tag == PUBLISHER_TAG) => Err(exit::wrong(
                format!(
                    "the broker has a user \"{user}\" that was not made by this command, and it stays as it is"
                ),
                "choose another name, or grant without --create-user and set its permissions yourself: docs/events.md",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes the user, or gives one that was made here the permissions of these types.
    pub async fn allow(&self, user: &str, types: &[String]) -> anyhow::Result<Made> {
        self.check_own_or_new(user).await?;
        if self.management.user(user).await?.is_some() {
            self.set_permissions(user, types).await?;
            return Ok(Made::Updated);
        }
        let password = Password(base64url(&random_bytes::<24>()?));
        self.management.create_tagged_user(user, password.as_str(), &[PUBLISHER_TAG]).await?;
        if let Err(error) = self.set_permissions(user, types).await {
            // Otherwise the next try would find a user whose password nobody knows.
            self.management.delete_user(user).await?;
            return Err(error);
        }
        Ok(Made::New { password })
    }

    /// Leaves a user that was made here only these types; without any it is deleted. Says what became of it.
    pub async fn narrow(&self, user: &str, types: &[String]) -> anyhow::Result<&'static str> {
        let Some(found) = self.management.user(user).await? else { return Ok("does not exist") };
        if !found.tags.iter().any(|tag| tag == PUBLISHER_TAG) {
            return Ok("was not made by --create-user, and stays as it is");
        }
        if types.is_empty() {
            self.management.delete_user(user).await?;
            return Ok("is deleted");
        }
        self.set_permissions(user, types).await?;
        Ok("has the permissions of its other grants")
    }

    async fn set_permissions(&self, user: &str, types: &[String]) -> anyhow::Result<()> {
        let (permissions, topic) = publisher_of(types);
        // The narrow one first: without it, writing to the exchange would for a moment mean any type.
        self.management.set_topic_permissions(&self.vhost, user, &topic).await?;
        self.management.set_permissions(&self.vhost, user, &permissions).await?;
        Ok(())
    }
}
