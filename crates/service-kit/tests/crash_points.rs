//! A real abort of a real process.
#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use automation_service_kit::crash_point;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

const CHILD: &str = "AUTOMATION_TEST_CRASH_CHILD";
const SIGABRT: i32 = 6;

/// The child: passes the point three times.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        for _ in 0..3 {
            crash_point!("ingest.after_commit");
        }
    }
}

fn run(armed: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact"])
        .env(CHILD, "1")
        .env("AUTOMATION_CRASH_POINT", armed)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn the_named_point_aborts_the_process() {
    assert_eq!(run("ingest.after_commit").signal(), Some(SIGABRT));
    assert_eq!(run("ingest.after_commit:3").signal(), Some(SIGABRT));
}

#[test]
fn other_points_and_later_hits_do_not() {
    assert!(run("ingest.before_ack").success());
    assert!(run("ingest.after_commit:4").success());
}
