//! Against a real broker: each test in a virtual host of its own.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod consuming;
mod depths;
mod permissions;
mod publishing;
mod retrying;
mod support;
mod topology;
