//! What arrived, in a file of its own: on disk before it is answered, and read back from there.

use crate::recorder::Arrival;
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

/// A request as it stands in the file.
#[derive(PartialEq, Eq, Debug)]
pub struct Entry {
    /// Since 1970.
    pub at: Duration,
    pub path: String,
    pub body: Vec<u8>,
}

impl Ledger {
    pub fn create() -> anyhow::Result<Self> {
        let name = format!("retry-ladder-{}.arrivals", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        Ok(Self { file: Mutex::new(File::create(&path)?), path })
    }

    /// Adds a request; returns when the disk has it.
    pub fn add(&self, arrival: &Arrival) -> anyhow::Result<()> {
        let body = STANDARD.encode(&arrival.body);
        let line = format!("{} {} {} {body}\n", now()?.as_micros(), arrival.key, arrival.path);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())?;
        Ok(file.sync_data()?)
    }

    /// What the file has, by key, in order.
    pub fn by_key(&self) -> anyhow::Result<BTreeMap<String, Vec<Entry>>> {
        let mut by_key: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for line in std::fs::read_to_string(&self.path)?.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [at, key, path, body] = words[..] else { anyhow::bail!("not an entry: {line}") };
            let entry = Entry {
                at: Duration::from_micros(at.parse().context("a time")?),
                path: path.to_owned(),
                body: STANDARD.decode(body)?,
            };
            by_key.entry(key.to_owned()).or_default().push(entry);
        }
        Ok(by_key)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Since 1970.
pub fn now() -> anyhow::Result<Duration> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)
}
