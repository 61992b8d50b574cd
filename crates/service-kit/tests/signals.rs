//! Real signals to a real process: the test starts itself as the child.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use automation_service_kit::shutdown::{Shutdown, Tasks};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const CHILD: &str = "AUTOMATION_TEST_SIGNAL_CHILD";

/// The child: drains at once (`quick`), or never (`stuck`, under a deadline that no test waits for).
#[tokio::test]
async fn child() {
    let Ok(kind) = std::env::var(CHILD) else { return };
    let shutdown = Shutdown::install().unwrap();
    let mut tasks = Tasks::new();
    let token = shutdown.token();
    tasks.spawn("worker", async move {
        println!("child is up");
        token.cancelled().await;
        println!("child drains");
        if kind == "stuck" {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let code = i32::from(shutdown.run_until_drained(tasks, Duration::from_secs(300)).await.is_err());
    #[expect(clippy::disallowed_methods, reason = "the code is what is tested")]
    std::process::exit(code);
}

fn start(kind: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(CHILD, kind)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

fn wait_for(lines: &mut BufReader<ChildStdout>, word: &str) {
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended before it said {word}");
    }
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_process_drains_at_sigterm_and_ends_well() {
    let (mut child, mut lines) = start("quick");
    wait_for(&mut lines, "child is up");
    send("-TERM", &child);
    wait_for(&mut lines, "child drains");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_stuck_process_at_once() {
    let (mut child, mut lines) = start("stuck");
    wait_for(&mut lines, "child is up");
    send("-INT", &child);
    wait_for(&mut lines, "child drains");
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
