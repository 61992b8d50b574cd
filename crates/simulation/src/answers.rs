//! What requests come to that are not sent.

use automation_connectors::Supposed;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a try of a request comes to.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// The server answers.
    Status {
        /// 200 to 299, or 400 to 599.
        status: u16,
        /// By name.
        headers: BTreeMap<String, String>,
        /// A text as it is, anything else as JSON; null for none.
        body: Value,
    },
    /// None comes.
    Failure(Failure),
}

/// What keeps an answer from coming.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The server does not answer in time.
    TimedOut,
    /// There is no connection to it.
    NotConnected,
    /// The connection breaks before it answers.
    ConnectionLost,
}

impl Failure {
    /// All, with their words.
    pub const ALL: [(&'static str, Self); 3] = [
        ("timeout", Self::TimedOut),
        ("no_connection", Self::NotConnected),
        ("connection_lost", Self::ConnectionLost),
    ];
}

/// Success, and nothing more to say.
pub const DEFAULT: Answer = Answer::Status { status: 200, headers: BTreeMap::new(), body: Value::Null };

impl Answer {
    /// As connectors read it.
    pub(crate) fn supposed(&self) -> Supposed {
        let (status, headers, body) = match self {
            Self::Status { status, headers, body } => (*status, headers, body),
            Self::Failure(Failure::TimedOut) => return Supposed::TimedOut,
            Self::Failure(Failure::NotConnected) => return Supposed::NotConnected,
            Self::Failure(Failure::ConnectionLost) => return Supposed::ConnectionLost,
        };
        let mut headers: Vec<(String, String)> = headers.clone().into_iter().collect();
        let body = match body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                    headers.push(("content-type".to_owned(), "application/json".to_owned()));
                }
                body.to_string().into_bytes()
            }
        };
        Supposed::Answer { status, headers, body }
    }

    /// In a few words.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Status { status, .. } => status.to_string(),
            Self::Failure(failure) => {
                let word = Failure::ALL.iter().find(|(_, one)| one == failure).map(|(word, _)| *word);
                word.unwrap_or_default().to_owned()
            }
        }
    }
}

/// The answers by node. The nth request that a run sends from the node gets the nth, and all that follow the last one.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Answers {
    by_node: BTreeMap<(String, String), Vec<Answer>>,
}

impl Answers {
    pub(crate) fn set(&mut self, workflow: &str, node: &str, answers: Vec<Answer>) {
        self.by_node.insert((workflow.to_owned(), node.to_owned()), answers);
    }

    /// That for the request that the run sends from the node after so many.
    pub(crate) fn after(&self, workflow: &str, node: &str, sent: usize) -> Answer {
        let answers = self.by_node.get(&(workflow.to_owned(), node.to_owned()));
        let answer = answers.and_then(|answers| answers.get(sent).or(answers.last()));
        answer.cloned().unwrap_or(DEFAULT)
    }
}
