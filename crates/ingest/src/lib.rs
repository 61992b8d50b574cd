//! Turns events into recorded facts and runs.
