//! How the examples are started.

use crate::languages::{self, root, run};
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Built with the tests of the whole workspace; alone, this test builds it when it is missing or older than its source.
pub fn rust() -> anyhow::Result<Command> {
    let source = example("rust/publish.rs");
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the folder of the build")?;
    let program = folder.join("examples/publish");
    if changed_at(&program) < changed_at(&source) {
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "automation-client",
            "--example",
            "publish",
        ]);
        run(build.current_dir(env!("CARGO_MANIFEST_DIR")))?;
    }
    Ok(Command::new(program))
}

pub fn python() -> anyhow::Result<Option<Command>> {
    languages::python("publisher-python", &example("python/publish.py"))
}

pub fn node() -> anyhow::Result<Option<Command>> {
    languages::node("publisher-node", &example("node/publish.mjs"))
}

fn example(path: &str) -> PathBuf {
    root().join("examples/publishers").join(path)
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
