//! Where a secret could lie, and the search for it.

use crate::canary::Canary;
use anyhow::Context;
use automation_test_support::broker::TestVhost;
use automation_test_support::database::TestDatabase;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A kind of place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Database,
    Queue,
    Log,
    Metrics,
    Span,
    Output,
    Answer,
}

/// Texts by where they were found.
#[derive(Default)]
pub struct Haystack {
    texts: BTreeMap<(Kind, String), String>,
    /// Where a secret has to be, by its name: it is shown once, when it is made.
    documented: BTreeSet<(String, String)>,
}

impl Haystack {
    /// One more text. Another exporter is one more kind, and a call of this for each thing it sent.
    pub fn add(&mut self, kind: Kind, place: impl Into<String>, text: impl AsRef<str>) {
        let all = self.texts.entry((kind, place.into())).or_default();
        all.push_str(text.as_ref());
        all.push('\n');
    }

    /// Says that this secret is shown at this place, as its documentation says.
    pub fn documents(&mut self, canary: &Canary, place: &str) {
        self.documented.insert((canary.name.clone(), place.to_owned()));
    }

    /// Each secret that was found where it should not be, or was not where it should.
    pub fn find(&self, canaries: &[Canary]) -> Vec<String> {
        let mut found = Vec::new();
        for canary in canaries {
            for ((kind, place), text) in &self.texts {
                let needle = canary.is_in(text);
                let documented = self.documented.contains(&(canary.name.clone(), place.clone()));
                match needle {
                    Some(needle) if !documented => {
                        found.push(format!(
                            "{} as {needle} in {kind:?} {place}: {}",
                            canary.name,
                            around(text, needle)
                        ));
                    }
                    None if documented => found.push(format!("{} is not in {place}", canary.name)),
                    Some(_) | None => {}
                }
            }
        }
        found
    }

    /// The places of one secret.
    pub fn places_of(&self, canary: &Canary) -> Vec<(Kind, &str)> {
        let has = self.texts.iter().filter(|(_, text)| canary.is_in(text).is_some());
        has.map(|((kind, place), _)| (*kind, place.as_str())).collect()
    }

    /// Places that say this.
    pub fn places_with(&self, words: &str) -> BTreeSet<&str> {
        self.texts
            .iter()
            .filter(|(_, text)| text.contains(words))
            .map(|((_, place), _)| place.as_str())
            .collect()
    }

    /// How much there is of each kind: places and bytes.
    pub fn sizes(&self) -> BTreeMap<Kind, (usize, usize)> {
        let mut sizes = BTreeMap::new();
        for ((kind, _), text) in &self.texts {
            let (places, bytes) = sizes.entry(*kind).or_insert((0, 0));
            *places += 1;
            *bytes += text.len();
        }
        sizes
    }
}

/// A line's worth of text beside a finding.
fn around(text: &str, needle: &str) -> String {
    let at = text.find(needle).unwrap_or_default();
    let (from, to) = (text.floor_char_boundary(at.saturating_sub(200)), text.floor_char_boundary(at + 200));
    text[from..to].replace('\n', " ")
}

/// Every value of every table: rows as text, and binary values as what they hold.
pub async fn database(database: &TestDatabase, into: &mut Haystack) -> anyhow::Result<()> {
    for (place, text) in database.everything().await? {
        into.add(Kind::Database, place, text);
    }
    Ok(())
}

/// Every message of every queue, its properties and headers too. The messages stay.
pub async fn queues(vhost: &TestVhost, into: &mut Haystack) -> anyhow::Result<usize> {
    let http = reqwest::Client::new();
    let url = |path: &str| format!("{}/api/queues/{}{path}", vhost.management_url(), vhost.name());
    let queues: Vec<Value> = http.get(url("")).send().await?.error_for_status()?.json().await?;
    let mut count = 0;
    for queue in queues {
        let name = queue["name"].as_str().context("a queue's name")?;
        let ask = json!({ "count": 100_000, "ackmode": "ack_requeue_true", "encoding": "base64" });
        let request = http.post(url(&format!("/{name}/get"))).json(&ask);
        let messages: Vec<Value> = request.send().await?.error_for_status()?.json().await?;
        count += messages.len();
        for message in messages {
            let body = STANDARD.decode(message["payload"].as_str().unwrap_or_default())?;
            into.add(
                Kind::Queue,
                name,
                format!("{} {}", message["properties"], String::from_utf8_lossy(&body)),
            );
        }
    }
    Ok(count)
}
