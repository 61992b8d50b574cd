//! The user of the broker who publishes the load.

use automation_broker::management::Management;
use automation_broker::permissions;
use automation_service_kit::ids::new_id;
use automation_test_support::broker::{MANAGEMENT_URL, TestVhost};

/// What it logs in with.
const PASSWORD: &str = "bench";

/// A user who may publish, as a publisher of another service may, where it is admitted.
pub(crate) struct PublishingUser {
    management: Management,
    name: String,
}

impl PublishingUser {
    /// Makes a user with a name of its own.
    pub(crate) async fn create() -> anyhow::Result<Self> {
        let management = Management::new(&std::env::var(MANAGEMENT_URL)?)?;
        let name = format!("bench-{}", new_id().simple());
        management.create_user(&name, PASSWORD).await?;
        Ok(Self { management, name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lets the user publish in a virtual host; gives the URL to do it with.
    pub(crate) async fn admit(&self, vhost: &TestVhost) -> anyhow::Result<String> {
        let (general, topic) = permissions::publisher(".*");
        self.management.set_permissions(vhost.name(), &self.name, &general).await?;
        self.management.set_topic_permissions(vhost.name(), &self.name, &topic).await?;
        vhost.amqp_url_as(&self.name, PASSWORD)
    }

    /// Forgets the user.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        Ok(self.management.delete_user(&self.name).await?)
    }
}
