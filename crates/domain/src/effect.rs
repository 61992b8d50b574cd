//! Effects outside: complete requests, stored before their first try, and what a try came to.

use crate::interpreter::StepError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A complete request to the world outside: rendered once, stored, and the same bytes for every try of its step, over
/// crashes, takeovers and replays. It names credentials and never holds their values.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Request {
    /// An HTTP request.
    Http(HttpRequest),
}

impl Request {
    /// Key of the credential that authorizes it.
    pub fn credential(&self) -> Option<&str> {
        match self {
            Self::Http(request) => request.credential.as_deref(),
        }
    }

    /// Gives the whole exchange this long.
    pub fn set_timeout(&mut self, timeout: Duration) {
        match self {
            Self::Http(request) => {
                request.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
            }
        }
    }

    /// What is asked of the other side, in a word of its protocol: the method of an HTTP request.
    pub fn method(&self) -> &str {
        match self {
            Self::Http(request) => &request.method,
        }
    }

    /// About how many bytes it takes to keep it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Http(HttpRequest { url, headers, body, .. }) => {
                url.len() + headers_bytes(headers) + body.as_ref().map_or(0, String::len)
            }
        }
    }
}

/// An HTTP request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HttpRequest {
    /// In upper case.
    pub method: String,
    /// Absolute, `http` or `https`.
    pub url: String,
    /// In the order they are sent; the idempotency key is one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body as it goes over the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Key of the credential that authorizes it; its value is added at the moment of sending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// For the whole exchange.
    pub timeout_ms: u32,
    /// Redirects to follow at most.
    #[serde(default)]
    pub redirects: u8,
    /// Variable of the run to path in the response (`status`, `headers.<name>`, `body.<path>`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub save: BTreeMap<String, String>,
}

/// One try of a request.
#[derive(Clone, PartialEq, Debug)]
pub struct Attempt {
    /// What it came to.
    pub outcome: Outcome,
    /// What came back, if anything did.
    pub response: Option<Response>,
    /// How long it took.
    pub took: Duration,
}

/// What a try came to; whoever sends decides, nobody guesses from text.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// The other side did it.
    Done {
        /// What later steps see as `steps.<node>.output`.
        output: Value,
        /// Variables of the run to set.
        vars: Map<String, Value>,
    },
    /// It may work later.
    Retry {
        /// Why not this time.
        error: StepError,
        /// How long the other side asked to be left alone.
        after: Option<Duration>,
        /// Whether the other side may have acted on the request: false only when it certainly never got it.
        reached: bool,
    },
    /// Trying again cannot help.
    Failed {
        /// Why.
        error: StepError,
    },
}

/// A command for the module that owns a screen: published on `automation.commands` under its type, once the step is stored.
#[derive(Clone, PartialEq, Debug)]
pub struct Directive {
    /// What the module is to do, such as `popup.show`: also the routing key.
    pub command_type: String,
    /// Whom it is for, as the module knows them.
    pub subject: Option<String>,
    /// What the module has to know.
    pub data: Value,
}

/// What came back, cut to what history keeps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers, in order, without cookies and authentication.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Beginning of the body as text.
    pub body: String,
    /// Whether more of the body was left out.
    #[serde(default)]
    pub truncated: bool,
}

impl Response {
    /// About how many bytes it takes to keep it.
    pub fn bytes(&self) -> usize {
        headers_bytes(&self.headers) + self.body.len()
    }
}

fn headers_bytes(headers: &[(String, String)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}
