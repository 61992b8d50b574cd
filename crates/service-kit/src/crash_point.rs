//! Places where a fault test may kill the process.
//!
//! [`crash_point!`](macro@crate::crash_point) is compiled into debug builds only, and does nothing there unless the
//! environment names the point: `AUTOMATION_CRASH_POINT=ingest.after_commit` aborts at the first hit, `…=ingest.after_commit:3`
//! at the third. The process dies as by `kill -9`: no destructor, no flush, no goodbye to the broker.
//!
//! What is [in hand](crate::in_hand) may be deadly as well, every time it is taken: `AUTOMATION_DEADLY=trigger/asked` aborts,
//! `AUTOMATION_HANGING=node/tag` never comes back.

/// Every crash point, with what has and has not happened when it is hit. A test compares it with the sources.
pub const CRASH_POINTS: &[(&str, &str)] = &[
    (
        "executor.after_claim",
        "runs are claimed, mostly in a transaction that is open; the nudge is not acknowledged, and no step has run",
    ),
    ("executor.before_checkpoint", "steps have run; nothing of what they did is committed"),
    ("executor.after_checkpoint", "the checkpoint is committed"),
    ("executor.before_send", "requests are stored and their tries recorded as started; nothing is sent"),
    ("executor.after_send", "a request has been sent and its outcome is known; nothing of that is committed"),
    ("executor.before_retry_publish", "the time of another try is committed; its nudge is not published"),
    (
        "ingest.after_commit",
        "events and runs are committed; no nudge is published, and nothing is acknowledged",
    ),
    ("ingest.before_ack", "nudges are confirmed; the events are not acknowledged"),
    ("outbox.after_lease", "rows are leased; nothing of them is published"),
    ("outbox.after_publish", "events are confirmed; their rows are still in the outbox"),
    ("schedules.before_commit", "slots are in the outbox and schedules moved on; nothing of it is committed"),
    ("sweep.after_commit", "wakeups are moved ahead; no nudge of them is published"),
];

/// Marks a place where the process may be made to die; see [`crash_point`](mod@crate::crash_point).
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        $crate::crash_point::hit($name)
    };
}

/// What [`crash_point!`](macro@crate::crash_point) calls.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// What [`crash_point!`](macro@crate::crash_point) calls.
#[cfg(debug_assertions)]
pub fn hit(name: &str) {
    use std::sync::LazyLock;
    static ARMED: LazyLock<Option<armed::Armed>> = LazyLock::new(|| {
        std::env::var("AUTOMATION_CRASH_POINT").ok().map(|value| armed::Armed::parse(&value))
    });
    if let Some(armed) = ARMED.as_ref()
        && armed.is_fatal(name)
    {
        abort(format_args!("crash point {name}"));
    }
}

/// Dies as by `kill -9`.
#[cfg(debug_assertions)]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a fault test wants no destructor to run"
)]
fn abort(why: std::fmt::Arguments<'_>) -> ! {
    // Straight to the descriptor: a log line might still be on its way when the process is gone.
    eprintln!("{why}: aborting");
    std::process::abort()
}

/// Never comes back.
#[cfg(debug_assertions)]
#[expect(clippy::print_stderr, reason = "as for what aborts")]
fn hang(what: std::fmt::Arguments<'_>) -> ! {
    eprintln!("{what} hangs");
    loop {
        std::thread::park();
    }
}

/// What [`in_hand::take`](crate::in_hand::take) calls.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn in_hand(_kind: &str, _id: &str) {}

/// What [`in_hand::take`](crate::in_hand::take) calls.
#[cfg(debug_assertions)]
pub(crate) fn in_hand(kind: &str, id: &str) {
    use std::sync::LazyLock;
    fn named(variable: &str) -> Option<(String, String)> {
        let value = std::env::var(variable).ok()?;
        value.split_once('/').map(|(kind, id)| (kind.to_owned(), id.to_owned()))
    }
    static DEADLY: LazyLock<Option<(String, String)>> = LazyLock::new(|| named("AUTOMATION_DEADLY"));
    static HANGING: LazyLock<Option<(String, String)>> = LazyLock::new(|| named("AUTOMATION_HANGING"));
    let is = |armed: &Option<(String, String)>| armed.as_ref().is_some_and(|(k, i)| k == kind && i == id);
    if is(&DEADLY) {
        abort(format_args!("{kind} {id} is deadly"));
    }
    if is(&HANGING) {
        hang(format_args!("{kind} {id}"));
    }
}

/// Which point is armed, and how many hits are left.
#[cfg(any(debug_assertions, test))]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    pub(super) struct Armed {
        name: String,
        fatal_hit: u64,
        hits: AtomicU64,
    }

    impl Armed {
        /// Reads `name` or `name:n`; a count that is no number belongs to the name, which then matches nothing.
        pub(super) fn parse(value: &str) -> Self {
            let (name, fatal_hit) = match value.rsplit_once(':').map(|(name, n)| (name, n.parse())) {
                Some((name, Ok(n))) => (name, n),
                Some((_, Err(_))) | None => (value, 1),
            };
            Self { name: name.to_owned(), fatal_hit, hits: AtomicU64::new(0) }
        }

        /// Counts a hit of `name` and tells whether it is the one to die at.
        pub(super) fn is_fatal(&self, name: &str) -> bool {
            self.name == name && self.hits.fetch_add(1, Ordering::SeqCst) + 1 == self.fatal_hit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn only_the_named_hit_of_the_named_point_is_fatal() {
        let armed = armed::Armed::parse("ingest.after_commit:2");
        assert!(!armed.is_fatal("ingest.before_commit"));
        assert!(!armed.is_fatal("ingest.after_commit"));
        assert!(armed.is_fatal("ingest.after_commit"));
        assert!(!armed.is_fatal("ingest.after_commit"));
    }

    #[test]
    fn without_a_count_the_first_hit_is_fatal() {
        assert!(armed::Armed::parse("ingest.after_commit").is_fatal("ingest.after_commit"));
    }

    #[test]
    fn every_crash_point_of_the_sources_is_in_the_list() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut missing = Vec::new();
        for name in names_below(crates) {
            if !CRASH_POINTS.iter().any(|(known, _)| *known == name) {
                missing.push(name);
            }
        }
        assert!(
            missing.is_empty(),
            "add to CRASH_POINTS, with what has happened when it is hit: {missing:?}"
        );
    }

    fn names_below(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                names.extend(names_below(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.split("crash_point!(\"").skip(1);
                names.extend(calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
        names.retain(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        names
    }
}
