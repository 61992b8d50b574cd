//! The broker's side of a grant: a user that may write its types to `automation.events`, and do nothing else.
//!
//! Users belong to the whole broker, so nobody's but our own are changed: ours carry a tag.

use crate::shown_once::random;
use crate::{Error, Refusal, ShownOnce};
use automation_broker::management::Management;
use automation_broker::permissions::{PUBLISHER_TAG, publisher_of};
use automation_domain::api_key::base64url;

/// The broker's users, seen from one virtual host.
pub struct BrokerUsers {
    management: Management,
    vhost: String,
}

/// What became of a user.
pub(super) enum Made {
    /// It is new.
    New {
        /// Known here and nowhere else.
        password: ShownOnce,
    },
    /// It existed, and has other permissions.
    Updated,
}

impl BrokerUsers {
    /// By an administrator's management API.
    ///
    /// # Errors
    ///
    /// [`Error::Management`] when `url` cannot be one.
    pub fn new(url: &str, vhost: &str) -> Result<Self, Error> {
        Ok(Self { management: Management::new(url)?, vhost: vhost.to_owned() })
    }

    /// Refuses users that were not made here, before anything is changed.
    pub(super) async fn check_own_or_new(&self, user: &str) -> Result<(), Error> {
        match self.management.user(user).await? {
            Some(found) if !found.tags.iter().any(|tag| tag == PUBLISHER_TAG) => {
                Err(Refusal::ForeignBrokerUser(user.to_owned()).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Makes the user, or gives one that was made here the permissions of these types.
    pub(super) async fn allow(&self, user: &str, types: &[String]) -> Result<Made, Error> {
        self.check_own_or_new(user).await?;
        if self.management.user(user).await?.is_some() {
            self.set_permissions(user, types).await?;
            return Ok(Made::Updated);
        }
        let password = ShownOnce::new(base64url(random::<24>()?.as_slice()));
        self.management.create_tagged_user(user, password.expose(), &[PUBLISHER_TAG]).await?;
        if let Err(error) = self.set_permissions(user, types).await {
            // Otherwise the next try would find a user whose password nobody knows.
            self.management.delete_user(user).await?;
            return Err(error);
        }
        Ok(Made::New { password })
    }

    /// Leaves a user that was made here only these types; without any it is deleted. Says what became of it.
    pub(super) async fn narrow(&self, user: &str, types: &[String]) -> Result<&'static str, Error> {
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

    async fn set_permissions(&self, user: &str, types: &[String]) -> Result<(), Error> {
        let (permissions, topic) = publisher_of(types);
        // The narrow one first: without it, writing to the exchange would for a moment mean any type.
        self.management.set_topic_permissions(&self.vhost, user, &topic).await?;
        self.management.set_permissions(&self.vhost, user, &permissions).await?;
        Ok(())
    }
}
