//! How the examples are started. Their libraries are installed once, under `.automation/tools`; a language that is not
//! installed is left out, loudly, unless `AUTOMATION_TOOLS=required`.

use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    if !is_there("python3", &["-c", "import venv, ensurepip"]) {
        return left_out("Python", "python3 with venv is not installed");
    }
    let tools = Tools::lock("publisher-python")?;
    let interpreter = tools.folder.join("bin/python");
    tools.install(&example("python/requirements.txt"), |requirements| {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&tools.folder))?;
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(pip.arg(requirements))
    })?;
    let mut program = Command::new(interpreter);
    // No folder of compiled files beside the example.
    program.arg("-B").arg(example("python/publish.py"));
    Ok(Some(program))
}

pub fn node() -> anyhow::Result<Option<Command>> {
    if !is_there("node", &["--version"]) || !is_there("npm", &["--version"]) {
        return left_out("Node.js", "node and npm are not installed");
    }
    let tools = Tools::lock("publisher-node")?;
    let script = tools.folder.join("publish.mjs");
    tools.install(&example("node/package-lock.json"), |lock| {
        fs::copy(lock, tools.folder.join("package-lock.json"))?;
        fs::copy(example("node/package.json"), tools.folder.join("package.json"))?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        run(npm.current_dir(&tools.folder))
    })?;
    // Beside its libraries, where Node.js looks for them.
    fs::copy(example("node/publish.mjs"), &script)?;
    let mut program = Command::new("node");
    program.arg(script);
    Ok(Some(program))
}

/// A folder for installed libraries, held against others that install at the same time.
struct Tools {
    folder: PathBuf,
    installed: PathBuf,
    _lock: File,
}

impl Tools {
    fn lock(name: &str) -> anyhow::Result<Self> {
        let home =
            std::env::var_os("AUTOMATION_HOME").map_or_else(|| root().join(".automation"), PathBuf::from);
        let all = home.join("tools");
        let folder = all.join(name);
        fs::create_dir_all(&folder)?;
        let lock = File::create(all.join(format!("{name}.lock")))?;
        lock.lock()?;
        Ok(Self { installed: all.join(format!("{name}.installed")), folder, _lock: lock })
    }

    /// Installs, unless what is installed is what the list says.
    fn install(&self, list: &Path, install: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let wanted = fs::read(list)?;
        if fs::read(&self.installed).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        install(list)?;
        Ok(fs::write(&self.installed, wanted)?)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(path: &str) -> PathBuf {
    root().join("examples/publishers").join(path)
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn is_there(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {out}{error}");
    Ok(())
}

/// Past the harness, which keeps what passing tests print to itself.
fn left_out(language: &str, why: &str) -> anyhow::Result<Option<Command>> {
    let required = std::env::var("AUTOMATION_TOOLS").is_ok_and(|tools| tools == "required");
    ensure!(!required, "{why}, so the example in {language} cannot be tested");
    writeln!(std::io::stderr(), "\nNOT TESTED: the example for publishers in {language}, because {why}.\n")?;
    Ok(None)
}
