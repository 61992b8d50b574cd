//! TLS to both servers, which are private ones of this test with certificates of an authority of this test's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[path = "chaos_kill_nine/servers.rs"]
#[expect(dead_code, reason = "nothing is killed here")]
mod servers;

use anyhow::Context;
use automation_test_support::ports::free_port;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use servers::Servers;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The longest to wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

const WORKFLOW: &str = "
apiVersion: automation/v1
key: notes
name: Notes
triggers: [{ id: form, event: form.submitted }]
nodes: [{ id: note, action: add_note, with: { text: over TLS } }]
edges: [[form, note]]
";

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A folder with `ca.crt`, `server.crt` and `server.key`, for a server called `localhost`.
fn certificates(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("automation-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut authority = CertificateParams::default();
    // What tells one authority from another.
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let root = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    std::fs::write(folder.join("ca.crt"), pem("CERTIFICATE", root.der()))?;
    std::fs::write(folder.join("server.crt"), pem("CERTIFICATE", server.der()))?;
    std::fs::write(folder.join("server.key"), pem("PRIVATE KEY", &key.serialize_der()))?;
    Ok(folder)
}

/// Both servers with TLS, and where they answer.
struct Secured {
    servers: Servers,
    trusted: PathBuf,
    stranger: PathBuf,
    amqps_port: u16,
}

impl Secured {
    async fn start() -> anyhow::Result<Self> {
        let (trusted, stranger) = (certificates("trusted")?, certificates("stranger")?);
        let amqps_port = free_port()?;
        let file = |name: &str| trusted.join(name).display().to_string();
        let servers = Servers::start_with(&format!(
            "listeners.ssl.1 = 127.0.0.1:{amqps_port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
            file("ca.crt"),
            file("server.crt"),
            file("server.key"),
        ))
        .await?;
        let data = std::fs::canonicalize(servers.home().join("postgres"))?.join("data");
        let owner = std::fs::metadata(&data)?;
        for name in ["server.crt", "server.key"] {
            let place = data.join(name);
            std::fs::copy(trusted.join(name), &place)?;
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600))?;
            chown(&place, Some(owner.uid()), Some(owner.gid()))?;
        }
        let auto = data.join("postgresql.auto.conf");
        std::fs::write(&auto, std::fs::read_to_string(&auto)? + "ssl = on\n")?;
        // Certificates are read again without a restart.
        let pid = std::fs::read_to_string(data.join("postmaster.pid"))?;
        Command::new("kill").args(["-HUP", pid.lines().next().context("a pid")?]).status()?;
        Ok(Self { servers, trusted, stranger, amqps_port })
    }

    /// Calls the binary, at these names of the servers, trusting the authority of a folder.
    fn command(&self, arguments: &[&str], host: &str, trust: &Path) -> Command {
        let authority = trust.join("ca.crt").display().to_string();
        let database = self.servers.database_url().replace("127.0.0.1", host);
        let amqp = self.servers.amqp_url();
        let (user, _) = amqp.trim_start_matches("amqp://").split_once('@').unwrap();
        let mut command = Command::new(self.servers.program());
        command
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", format!("{database}?sslmode=verify-full&sslrootcert={authority}"))
            .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
            .env("AMQP_URL", format!("amqps://{user}@{host}:{}/automation", self.amqps_port))
            .env("SSL_CERT_FILE", authority)
            .env("AUTOMATION_TENANT", "acme");
        command
    }

    fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments, "localhost", &self.trusted).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// All roles in one process, which is killed when it is dropped.
    fn serve(&self) -> anyhow::Result<Roles> {
        let mut command = self.command(&["serve"], "localhost", &self.trusted);
        command.env("AUTOMATION_ADMIN_ADDR", "127.0.0.1:0").env("AUTOMATION_HTTP_ADDR", "127.0.0.1:0");
        let log = std::fs::File::create(self.servers.home().join("roles.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Roles(command.spawn()?))
    }

    fn is_refused(&self, host: &str, trust: &Path, why: &str) {
        for arguments in [["tenant", "list"], ["topology", "apply"]] {
            let output = self.command(&arguments, host, trust).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(4), "{arguments:?}: {said}");
            assert!(said.contains(why), "{arguments:?}: {why} is missing in {said}");
        }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.trusted);
        let _ = std::fs::remove_dir_all(&self.stranger);
    }
}

struct Roles(Child);

impl Roles {
    /// SIGTERM; they must end well.
    fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.0.id().to_string()).status()?;
        let status = self.0.wait()?;
        anyhow::ensure!(status.success(), "the roles ended with {status}");
        Ok(())
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_works_over_tls_and_trusts_nobody_else() -> anyhow::Result<()> {
    let secured = Secured::start().await?;
    eventually("Postgres speaks TLS", || secured.call(&["migrate"]).status.success());
    secured.done(&["topology", "apply"]);
    secured.done(&["tenant", "create", "acme"]);
    let file = secured.servers.home().join("notes.yaml");
    std::fs::write(&file, WORKFLOW)?;
    secured.done(&["workflow", "apply", file.to_str().context("a path")?]);
    let roles = secured.serve()?;
    secured.done(&["tenant", "grant", "acme", "--user", "admin", "--types", "form.*"]);
    secured.done(&["event", "publish", "--type", "form.submitted", "--subject", "ada"]);
    let completed = ["run", "list", "--status", "completed", "--json"];
    eventually("the run", || secured.done(&completed).contains("\"workflow\":\"notes\""));
    roles.stop()?;

    // A server with a certificate of another authority, and one that answers under another name.
    secured.is_refused("localhost", &secured.stranger, "UnknownIssuer");
    secured.is_refused("127.0.0.1", &secured.trusted, "not valid for name");
    Ok(())
}
