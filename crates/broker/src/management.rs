//! A small client of the broker's management API: what AMQP itself cannot tell or do.

use crate::permissions::{Permissions, TopicPermissions};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an `http` or `https` URL.
    #[error("the management URL is not an http or https URL")]
    Url,
    /// No answer, or not the one expected.
    #[error("the management API does not answer: {0}")]
    Http(#[source] reqwest::Error),
    /// The broker said no.
    #[error("the management API answers {status} to {request}: {body}")]
    Status {
        /// Status.
        status: StatusCode,
        /// Method and path.
        request: String,
        /// What it said.
        body: String,
    },
}

/// Without the URL, which a person may have given a password in its query.
impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// The management API of one broker.
///
/// The process must have a default crypto provider for rustls installed, also for a plain `http` URL.
#[derive(Clone)]
pub struct Management {
    http: Client,
    base: Url,
}

/// An exchange as the broker knows it.
#[derive(Debug, Deserialize)]
pub struct Exchange {
    /// Name; empty for the default exchange.
    pub name: String,
    /// How it routes.
    #[serde(rename = "type")]
    pub kind: String,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Cannot be published to.
    pub internal: bool,
    /// Arguments.
    #[serde(default, deserialize_with = "object_or_nothing")]
    pub arguments: Map<String, Value>,
}

/// A queue as the broker knows it. Counts are up to five seconds old.
#[derive(Debug, Deserialize)]
pub struct Queue {
    /// Name.
    pub name: String,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// Arguments.
    #[serde(default, deserialize_with = "object_or_nothing")]
    pub arguments: Map<String, Value>,
    /// Messages waiting or delivered; `None` while the broker has not counted them, or the queue is down.
    #[serde(default)]
    pub messages: Option<u64>,
    /// Messages waiting.
    #[serde(default)]
    pub messages_ready: u64,
    /// Messages delivered and not yet acknowledged.
    #[serde(default)]
    pub messages_unacknowledged: u64,
    /// Dead letters that could not be forwarded yet; a person should look when this stays above 0.
    #[serde(default)]
    pub messages_dlx: u64,
    /// Consumers; [`crate::depths`] knows those of this moment.
    #[serde(default)]
    pub consumers: u64,
    /// `running`, or what keeps it from that; `None` while it is not known.
    #[serde(default)]
    pub state: Option<String>,
}

impl Queue {
    /// Whether it is known to hold nothing, dead letters on their way included.
    pub fn is_empty(&self) -> bool {
        self.messages == Some(0) && self.messages_dlx == 0
    }
}

/// A binding as the broker knows it.
#[derive(Debug, Deserialize)]
pub struct Binding {
    /// The exchange; empty for the default exchange.
    pub source: String,
    /// The queue or exchange.
    pub destination: String,
    /// Routing key.
    pub routing_key: String,
    /// Arguments: headers to compare.
    #[serde(default, deserialize_with = "object_or_nothing")]
    pub arguments: Map<String, Value>,
    /// What tells it from other bindings of the same two objects.
    #[serde(default)]
    pub properties_key: String,
}

/// A policy, or an operator's policy: arguments for all objects that match a pattern.
#[derive(Debug, Deserialize)]
pub struct Policy {
    /// Name.
    pub name: String,
    /// The pattern of object names.
    pub pattern: String,
    /// What it sets.
    #[serde(default, deserialize_with = "object_or_nothing")]
    pub definition: Map<String, Value>,
}

/// A feature flag of the broker.
#[derive(Debug, Deserialize)]
pub struct FeatureFlag {
    /// Name.
    pub name: String,
    /// `enabled`, `disabled` or `unavailable`.
    pub state: String,
}

/// A user as the broker knows it.
#[derive(Debug, Deserialize)]
pub struct User {
    /// Name.
    pub name: String,
    /// Tags: `administrator`, `monitoring`, or words of a deployment's own.
    #[serde(default, deserialize_with = "words")]
    pub tags: Vec<String>,
}

/// What a user may do in one virtual host.
#[derive(Debug, Deserialize)]
pub struct UserPermissions {
    /// The virtual host.
    pub vhost: String,
    /// The patterns.
    #[serde(flatten)]
    pub permissions: Permissions,
}

/// A client's connection.
#[derive(Debug, Deserialize)]
pub struct Connection {
    /// The broker's name of it.
    pub name: String,
    /// The name the client gave.
    #[serde(default)]
    pub user_provided_name: Option<String>,
    /// Virtual host; absent while it is being opened.
    #[serde(default)]
    pub vhost: Option<String>,
}

/// A node of the broker.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Whether it is out of memory, and takes no messages.
    #[serde(default)]
    pub mem_alarm: bool,
    /// Whether it is out of disk, and takes no messages.
    #[serde(default)]
    pub disk_free_alarm: bool,
}

#[derive(Deserialize)]
struct Overview {
    rabbitmq_version: String,
}

impl Management {
    /// A client for `url`: `http(s)://user:password@host:port`.
    pub fn new(url: &str) -> Result<Self, Error> {
        let base = Url::parse(url).map_err(|_| Error::Url)?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Error::Url);
        }
        #[expect(clippy::disallowed_methods, reason = "the broker is ours, and no tenant says where it is")]
        let http = Client::builder().timeout(PATIENCE).build()?;
        Ok(Self { http, base })
    }

    /// The broker's version: `3.10.8`.
    pub async fn version(&self) -> Result<String, Error> {
        Ok(self.get::<Overview>(&["overview"]).await?.rabbitmq_version)
    }

    /// The broker's nodes, with their alarms.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.get(&["nodes"]).await
    }

    /// Makes a virtual host; no change when it exists.
    pub async fn create_vhost(&self, vhost: &str) -> Result<(), Error> {
        self.put(&["vhosts", vhost], &json!({})).await
    }

    /// Deletes a virtual host with everything in it.
    pub async fn delete_vhost(&self, vhost: &str) -> Result<(), Error> {
        self.delete(&["vhosts", vhost]).await
    }

    /// Makes a user without tags, or changes its password.
    pub async fn create_user(&self, name: &str, password: &str) -> Result<(), Error> {
        self.put(&["users", name], &json!({ "password": password, "tags": "" })).await
    }

    /// Makes a user with these tags, or changes the password and the tags of one that exists.
    pub async fn create_tagged_user(&self, name: &str, password: &str, tags: &[&str]) -> Result<(), Error> {
        self.put(&["users", name], &json!({ "password": password, "tags": tags.join(",") })).await
    }

    /// A user; `None` when there is no such user.
    pub async fn user(&self, name: &str) -> Result<Option<User>, Error> {
        match self.get(&["users", name]).await {
            Ok(user) => Ok(Some(user)),
            Err(Error::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a user may do, in every virtual host that it may enter.
    pub async fn permissions_of(&self, user: &str) -> Result<Vec<UserPermissions>, Error> {
        self.get(&["users", user, "permissions"]).await
    }

    /// Deletes a user.
    pub async fn delete_user(&self, name: &str) -> Result<(), Error> {
        self.delete(&["users", name]).await
    }

    /// Sets what a user may do in a virtual host.
    pub async fn set_permissions(
        &self,
        vhost: &str,
        user: &str,
        permissions: &Permissions,
    ) -> Result<(), Error> {
        self.put(&["permissions", vhost, user], &json!(permissions)).await
    }

    /// Sets which routing keys a user may use on a topic exchange.
    pub async fn set_topic_permissions(
        &self,
        vhost: &str,
        user: &str,
        permissions: &TopicPermissions,
    ) -> Result<(), Error> {
        self.put(&["topic-permissions", vhost, user], &json!(permissions)).await
    }

    /// Imports definitions; see [`crate::topology::Topology::export`] for what an import does not do.
    pub async fn import(&self, definitions: &Value) -> Result<(), Error> {
        let request = self.http.post(self.url(&["definitions"])).json(definitions);
        self.send(Method::POST, &["definitions"], request).await?;
        Ok(())
    }

    /// The exchanges of a virtual host.
    pub async fn exchanges(&self, vhost: &str) -> Result<Vec<Exchange>, Error> {
        self.get(&["exchanges", vhost]).await
    }

    /// The queues of a virtual host, with their depths.
    pub async fn queues(&self, vhost: &str) -> Result<Vec<Queue>, Error> {
        self.get(&["queues", vhost]).await
    }

    /// The bindings of a virtual host.
    pub async fn bindings(&self, vhost: &str) -> Result<Vec<Binding>, Error> {
        self.get(&["bindings", vhost]).await
    }

    /// Removes a binding of a queue.
    pub async fn unbind(&self, vhost: &str, binding: &Binding) -> Result<(), Error> {
        let (source, queue) = (&binding.source, &binding.destination);
        self.delete(&["bindings", vhost, "e", source, "q", queue, &binding.properties_key]).await
    }

    /// Deletes a queue with everything in it.
    pub async fn delete_queue(&self, vhost: &str, queue: &str) -> Result<(), Error> {
        self.delete(&["queues", vhost, queue]).await
    }

    /// The policies of a virtual host, operators' policies too.
    pub async fn policies(&self, vhost: &str) -> Result<Vec<Policy>, Error> {
        let mut policies: Vec<Policy> = self.get(&["policies", vhost]).await?;
        policies.extend(self.get::<Vec<Policy>>(&["operator-policies", vhost]).await?);
        Ok(policies)
    }

    /// The broker's feature flags.
    pub async fn feature_flags(&self) -> Result<Vec<FeatureFlag>, Error> {
        self.get(&["feature-flags"]).await
    }

    /// The connections to a virtual host. A connection appears here up to five seconds after it was opened.
    pub async fn connections(&self, vhost: &str) -> Result<Vec<Connection>, Error> {
        self.get(&["vhosts", vhost, "connections"]).await
    }

    /// Closes a client's connection.
    pub async fn close_connection(&self, name: &str) -> Result<(), Error> {
        self.delete(&["connections", name]).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        Ok(self.send(Method::GET, path, self.http.get(self.url(path))).await?.json().await?)
    }

    async fn put(&self, path: &[&str], body: &Value) -> Result<(), Error> {
        self.send(Method::PUT, path, self.http.put(self.url(path)).json(body)).await?;
        Ok(())
    }

    async fn delete(&self, path: &[&str]) -> Result<(), Error> {
        self.send(Method::DELETE, path, self.http.delete(self.url(path))).await?;
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        request: reqwest::RequestBuilder,
    ) -> Result<Response, Error> {
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await?;
        Err(Error::Status { status, request: format!("{method} /api/{}", path.join("/")), body })
    }

    /// Each part of the path is escaped: a virtual host may be called `/`.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        url
    }
}

/// A list, or, from brokers before 3.9, words with commas between them.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::List(words) => words,
        Words::Text(text) => text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
    })
}

/// The broker writes an empty table as `{}`, `[]`, `""` or null, depending on version and place.
fn object_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Ok(Map::new())
        }
    }
}
