//! Programs in other languages that tests start. Their libraries are installed once, under `.automation/tools`; a language
//! that is not installed is left out, loudly, unless `AUTOMATION_TOOLS=required`.

use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program in Python, with the libraries that `requirements.txt` beside it names; `tools` is the name they are kept under.
pub fn python(tools: &str, program: &Path) -> anyhow::Result<Option<Command>> {
    if !is_there("python3", &["-c", "import venv, ensurepip"]) {
        return left_out("Python", "python3 with venv is not installed");
    }
    let tools = Tools::lock(tools)?;
    let interpreter = tools.folder.join("bin/python");
    tools.install(&program.with_file_name("requirements.txt"), |requirements| {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&tools.folder))?;
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(pip.arg(requirements))
    })?;
    let mut command = Command::new(interpreter);
    // No folder of compiled files beside the program.
    command.arg("-B").arg(program);
    Ok(Some(command))
}

/// A program for Node.js, with the libraries that `package-lock.json` beside it names.
pub fn node(tools: &str, program: &Path) -> anyhow::Result<Option<Command>> {
    if !is_there("node", &["--version"]) || !is_there("npm", &["--version"]) {
        return left_out("Node.js", "node and npm are not installed");
    }
    let tools = Tools::lock(tools)?;
    let script = tools.folder.join("publish.mjs");
    tools.install(&program.with_file_name("package-lock.json"), |lock| {
        fs::copy(lock, tools.folder.join("package-lock.json"))?;
        fs::copy(program.with_file_name("package.json"), tools.folder.join("package.json"))?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        run(npm.current_dir(&tools.folder))
    })?;
    // Beside its libraries, where Node.js looks for them.
    fs::copy(program, &script)?;
    let mut command = Command::new("node");
    command.arg(script);
    Ok(Some(command))
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

/// The folder of the whole project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn is_there(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a command to its end, and fails when it does.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {out}{error}");
    Ok(())
}

/// Past the harness, which keeps what passing tests print to itself.
#[expect(clippy::disallowed_methods, reason = "a test is no command")]
fn left_out(language: &str, why: &str) -> anyhow::Result<Option<Command>> {
    let required = std::env::var("AUTOMATION_TOOLS").is_ok_and(|tools| tools == "required");
    ensure!(!required, "{why}, so the program in {language} cannot be tested");
    writeln!(std::io::stderr(), "\nNOT TESTED: a program in {language}, because {why}.\n")?;
    Ok(None)
}
