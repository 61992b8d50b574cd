//! Configuration: flags, each with an environment variable, read once at start.
//!
//! A wrong value ends the process with code 2 and one line that names the flag, the variable, the value and the rule;
//! a secret's value is never named.

mod audit;
mod encryption;
mod http;
mod ladder;
mod limits;
mod outbound;
pub(crate) mod plaintext;
mod rule;
mod secret;
mod url;

pub use audit::AuditConfig;
pub use encryption::{DoorKeysConfig, EncryptionConfig};
pub use http::HttpConfig;
pub use ladder::LadderConfig;
pub use limits::LimitsConfig;
pub use outbound::OutboundConfig;
pub use rule::{Rule, rule, secret_rule};
pub use secret::Secret;
pub use url::{postgres as postgres_url, postgres_in_file as postgres_url_in_file};

use automation_domain::event::admission::BrokerUsers;
use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

/// What every role is configured with; flatten it into a command's arguments.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// Postgres, from `DATABASE_URL` or the file that `DATABASE_URL_FILE` names.
    pub database_url: Secret,
    /// RabbitMQ, from `AMQP_URL` or the file that `AMQP_URL_FILE` names.
    pub amqp_url: Secret,
    /// RabbitMQ's management API, from `AUTOMATION_AMQP_MANAGEMENT_URL` or the file that `AUTOMATION_AMQP_MANAGEMENT_URL_FILE` names.
    pub amqp_management_url: Option<Secret>,
    /// Broker users who may publish for others. As the engine: the user of `amqp_url` by default; for callers of the door:
    /// none.
    pub users: BrokerUsers,
    /// Where `/livez`, `/readyz` and `/metrics` are served; port 0 takes a free one. Default 127.0.0.1:9600.
    pub admin_addr: SocketAddr,
    /// How long the process may drain after SIGTERM, in seconds. Default 25.
    pub drain_seconds: u64,
    /// How logs are written. Default: text on a terminal, else JSON.
    pub log_format: LogFormat,
    /// Which logs are written, from `RUST_LOG`. Default `info`.
    pub log_filter: String,
}

/// How to reach Postgres, for commands that need nothing else.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Postgres, from `DATABASE_URL` or the file that `DATABASE_URL_FILE` names.
    pub database_url: Secret,
}

/// How to reach RabbitMQ, for commands that need nothing else.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// RabbitMQ, from `AMQP_URL` or the file that `AMQP_URL_FILE` names.
    pub amqp_url: Secret,
    /// RabbitMQ's management API, from `AUTOMATION_AMQP_MANAGEMENT_URL` or the file that `AUTOMATION_AMQP_MANAGEMENT_URL_FILE` names.
    pub amqp_management_url: Option<Secret>,
    /// Broker users who may publish for others. As the engine: the user of `amqp_url` by default; for callers of the door:
    /// none.
    pub users: BrokerUsers,
}

/// Whom to believe for whom they publish, for commands that do not reach the broker.
#[derive(Clone, Debug)]
pub struct SpeakersConfig {
    /// Broker users who may publish for others. As the engine: the user of `AMQP_URL` by default.
    pub users: BrokerUsers,
}

/// How to reach RabbitMQ's management API, for commands that need nothing else of the broker.
#[derive(Clone, Debug)]
pub struct ManagementConfig {
    /// From `AUTOMATION_AMQP_MANAGEMENT_URL` or the file that `AUTOMATION_AMQP_MANAGEMENT_URL_FILE` names.
    pub amqp_management_url: Option<Secret>,
}

/// How a log line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// A JSON object, for machines.
    Json,
    /// Words, for people.
    Text,
}

#[derive(Args)]
#[command(next_help_heading = "Database")]
struct DatabaseArgs {
    /// Postgres, as postgres://user:password@host:port/name
    ///
    /// By the variable or a file: as an argument, which a list of processes shows, it is refused.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", value_parser = secret_rule(url::postgres))]
    #[arg(required_unless_present = "database_url_file", conflicts_with = "database_url_file")]
    database_url: Option<Secret>,
    /// File that holds the URL of Postgres
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = rule(|file| url::in_file(file, url::postgres)))]
    database_url_file: Option<Secret>,
}

#[derive(Args)]
#[command(next_help_heading = "Broker")]
struct BrokerArgs {
    /// RabbitMQ, as amqp://user:password@host:port/vhost
    ///
    /// By the variable or a file: as an argument, which a list of processes shows, it is refused.
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL", value_parser = secret_rule(url::amqp))]
    #[arg(required_unless_present = "amqp_url_file", conflicts_with = "amqp_url_file")]
    amqp_url: Option<Secret>,
    /// File that holds the URL of RabbitMQ
    #[arg(long, env = "AMQP_URL_FILE", value_name = "FILE", value_parser = rule(|file| url::in_file(file, url::amqp)))]
    amqp_url_file: Option<Secret>,
    #[command(flatten)]
    management: ManagementArgs,
    #[command(flatten)]
    users: UsersArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Broker")]
struct UsersArgs {
    /// Broker users who may speak as the engine, comma-separated [default: the user of AMQP_URL]
    #[arg(long, env = "AUTOMATION_ENGINE_USERS", value_name = "USERS", value_delimiter = ',', value_parser = rule(user_name))]
    engine_users: Vec<String>,
    /// Broker users who may speak for API keys and webhooks, comma-separated [default: those who may speak as the engine]
    #[arg(long, env = "AUTOMATION_DOOR_USERS", value_name = "USERS", value_delimiter = ',', value_parser = rule(user_name))]
    door_users: Vec<String>,
}

#[derive(Args)]
#[command(next_help_heading = "Broker")]
struct SpeakersArgs {
    #[command(flatten)]
    users: UsersArgs,
    /// Names the engine's user where nothing else does; the broker is not asked
    #[arg(long, env = "AMQP_URL", hide = true, hide_env_values = true, value_parser = secret_rule(url::amqp))]
    amqp_url: Option<Secret>,
    /// The same in a file
    #[arg(long, env = "AMQP_URL_FILE", hide = true, value_parser = rule(|file| url::in_file(file, url::amqp)))]
    amqp_url_file: Option<Secret>,
}

#[derive(Args)]
#[command(next_help_heading = "Broker")]
struct ManagementArgs {
    /// RabbitMQ's management API, as http://user:password@host:port [default: none]
    #[arg(long, env = "AUTOMATION_AMQP_MANAGEMENT_URL", hide_env_values = true, value_name = "URL", value_parser = secret_rule(url::http))]
    #[arg(conflicts_with = "amqp_management_url_file")]
    amqp_management_url: Option<Secret>,
    /// File that holds the URL of RabbitMQ's management API
    #[arg(long, env = "AUTOMATION_AMQP_MANAGEMENT_URL_FILE", value_name = "FILE", value_parser = rule(|file| url::in_file(file, url::http)))]
    amqp_management_url_file: Option<Secret>,
}

#[derive(Args)]
#[command(next_help_heading = "Process")]
struct ProcessArgs {
    /// Where /livez, /readyz and /metrics are served; port 0 takes a free one
    #[arg(
        long,
        env = "AUTOMATION_ADMIN_ADDR",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9600"
    )]
    #[arg(value_parser = rule(address))]
    admin_addr: SocketAddr,
    /// How long the process may drain after SIGTERM, in seconds
    #[arg(long, env = "AUTOMATION_DRAIN_SECONDS", value_name = "SECONDS", default_value = "25")]
    #[arg(value_parser = rule(drain_seconds))]
    drain_seconds: u64,
    /// How logs are written: json or text [default: text on a terminal, else json]
    #[arg(long, env = "AUTOMATION_LOG_FORMAT", value_name = "FORMAT", value_parser = rule(log_format))]
    log_format: Option<LogFormat>,
    /// Which logs are written, such as info,automation_ingest=debug
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info", value_parser = rule(log_filter))]
    log_filter: String,
}

#[derive(Args)]
struct CommonArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    process: ProcessArgs,
}

impl BrokerConfig {
    /// The user of the broker's URL: whom the broker vouches for.
    pub fn amqp_user(&self) -> String {
        url::user(self.amqp_url.expose())
    }
}

impl CommonConfig {
    /// The user of the broker's URL: whom the broker vouches for.
    pub fn amqp_user(&self) -> String {
        url::user(self.amqp_url.expose())
    }

    /// How long the process may drain.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

impl From<DatabaseArgs> for DatabaseConfig {
    fn from(args: DatabaseArgs) -> Self {
        let url = args.database_url.or(args.database_url_file);
        Self { database_url: url.expect("clap requires one of the two") }
    }
}

impl From<BrokerArgs> for BrokerConfig {
    fn from(args: BrokerArgs) -> Self {
        let amqp_url = args.amqp_url.or(args.amqp_url_file).expect("clap requires one of the two");
        let ManagementConfig { amqp_management_url } = args.management.into();
        let users = args.users.settled(Some(&amqp_url));
        Self { amqp_url, amqp_management_url, users }
    }
}

impl UsersArgs {
    fn settled(self, amqp_url: Option<&Secret>) -> BrokerUsers {
        let engine = match amqp_url {
            Some(url) if self.engine_users.is_empty() => vec![url::user(url.expose())],
            Some(_) | None => self.engine_users,
        };
        BrokerUsers { engine, door: self.door_users }
    }
}

impl From<SpeakersArgs> for SpeakersConfig {
    fn from(args: SpeakersArgs) -> Self {
        Self { users: args.users.settled(args.amqp_url.or(args.amqp_url_file).as_ref()) }
    }
}

impl From<ManagementArgs> for ManagementConfig {
    fn from(args: ManagementArgs) -> Self {
        Self { amqp_management_url: args.amqp_management_url.or(args.amqp_management_url_file) }
    }
}

impl From<CommonArgs> for CommonConfig {
    fn from(args: CommonArgs) -> Self {
        let DatabaseConfig { database_url } = args.database.into();
        let BrokerConfig { amqp_url, amqp_management_url, users } = args.broker.into();
        let ProcessArgs { admin_addr, drain_seconds, log_format, log_filter } = args.process;
        let log_format = log_format.unwrap_or_else(LogFormat::for_standard_error);
        Self {
            database_url,
            amqp_url,
            amqp_management_url,
            users,
            admin_addr,
            drain_seconds,
            log_format,
            log_filter,
        }
    }
}

impl LogFormat {
    /// Text where a person is likely to read it, JSON elsewhere.
    pub fn for_standard_error() -> Self {
        #[expect(clippy::disallowed_methods, reason = "nothing is said")]
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Makes a settled configuration usable with `#[command(flatten)]`, by the arguments it is built from.
macro_rules! flattened {
    ($config:ty, $args:ty) => {
        impl clap::FromArgMatches for $config {
            fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
                <$args>::from_arg_matches(matches).map(Self::from)
            }

            fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl clap::Args for $config {
            fn augment_args(command: clap::Command) -> clap::Command {
                <$args>::augment_args(command)
            }

            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                <$args>::augment_args_for_update(command)
            }
        }
    };
}
use flattened;

flattened!(CommonConfig, CommonArgs);
flattened!(DatabaseConfig, DatabaseArgs);
flattened!(BrokerConfig, BrokerArgs);
flattened!(ManagementConfig, ManagementArgs);
flattened!(SpeakersConfig, SpeakersArgs);

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:9600 or [::]:9600".to_owned())
}

fn drain_seconds(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds) if seconds <= 86_400 => Ok(seconds),
        Ok(_) | Err(_) => Err("must be a whole number of seconds from 0 to 86400".to_owned()),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    <LogFormat as ValueEnum>::from_str(text, true).map_err(|_| "must be json or text".to_owned())
}

fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("must be a filter such as info,automation_ingest=debug ({error})")),
    }
}

fn user_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must be names separated by commas, none of them empty".to_owned()),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests;
