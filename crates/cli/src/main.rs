//! The one binary, `automation`: serve the roles, migrate, and look into everything.

#![deny(clippy::print_stdout, clippy::print_stderr, reason = "what is said goes through `output`")]

mod arguments;
mod commands;
mod event_types;
mod exit;
mod expiry;
mod moment;
mod output;
mod refusals;
mod session;
mod terminal;
mod vhost;

use automation_service_kit::terminal::visible;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use commands::{
    apikey, approval, audit, catalog, contact, credential, dead, doctor, event, health, hook, migrate,
    notice, parked, record, run, schedule, serve, tenant, topology, workflow,
};
use output::Output;
use std::ffi::OsString;
use std::process::ExitCode;

/// An event-driven workflow automation engine for marketing, CRM and commerce.
#[derive(Parser, Debug)]
#[command(name = "automation", version, about, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 something is wrong with what was asked about, 2 usage, 3 not found, \
                        4 database or broker unreachable."
)]
struct Cli {
    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run one or more roles of the engine in this process
    Serve(Box<serve::ServeArgs>),
    /// Bring the database's schema up to date, as its owner
    Migrate(migrate::MigrateArgs),
    /// Declare, check or export exchanges, queues and bindings
    #[command(subcommand)]
    Topology(topology::TopologyCommand),
    /// Look whether everything is as it should be, and say what mends what is not
    Doctor(doctor::DoctorArgs),
    /// Ask a role on this machine whether it is ready, as its container's health check does
    Health(health::HealthArgs),
    /// List triggers, actions, conditions and permissions
    Catalog(catalog::CatalogArgs),
    /// Tenants, and who may publish for them
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Keys by which publishers send events over HTTP
    #[command(subcommand)]
    Apikey(apikey::ApikeyCommand),
    /// Webhooks: addresses that other systems call
    #[command(subcommand)]
    Hook(hook::HookCommand),
    /// Publish events, and see what became of them
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Workflow files and published workflows
    #[command(subcommand)]
    Workflow(workflow::WorkflowCommand),
    /// When workflows start by themselves
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// Runs and their history
    #[command(subcommand)]
    Run(run::RunCommand),
    /// What runs ask people to approve
    #[command(subcommand)]
    Approval(approval::ApprovalCommand),
    /// Contacts
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    /// Tasks that workflows gave to people
    #[command(subcommand)]
    Task(record::TaskCommand),
    /// Notes that workflows left on contacts
    #[command(subcommand)]
    Note(record::NoteCommand),
    /// What authorizes requests to the world outside
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    /// Events that were refused
    #[command(subcommand)]
    Parked(parked::ParkedCommand),
    /// Runs that failed for good, and what to do about them
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// What the engine has to tell whoever owns a workflow
    #[command(subcommand)]
    Notice(notice::NoticeCommand),
    /// What people did
    #[command(subcommand)]
    Audit(audit::AuditCommand),
}

fn main() -> ExitCode {
    automation_service_kit::bootstrap();
    let cli = match read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return exit::of_arguments(&with_variable(as_shown(error))),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(format!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let output = Output::new(cli.json);
    match runtime.block_on(run_command(cli.command, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

/// The same error of the same arguments, with what is not shown written out: it quotes them among lines of its own.
fn as_shown(error: clap::Error) -> clap::Error {
    let shown = std::env::args_os().map(|argument| visible(&argument.to_string_lossy()).into_owned().into());
    read(shown).err().unwrap_or(error)
}

fn read(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(arguments)?;
    arguments::refuse_secrets(&command, &matches)?;
    Cli::from_arg_matches(&matches)
}

/// Names the variable that a refused value may have come from.
fn with_variable(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return error };
    let mut command = Cli::command();
    // Until then arguments cannot be shown.
    command.build();
    if let Some(variable) = variable_of(&command, shown) {
        let named = format!("{shown} ({variable})");
        error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    }
    error
}

/// The variable of an argument that shows itself as this.
fn variable_of(command: &clap::Command, shown: &str) -> Option<String> {
    let own = command.get_arguments().find(|argument| argument.to_string() == shown);
    let variable =
        own.and_then(|argument| argument.get_env()).map(|name| name.to_string_lossy().into_owned());
    variable.or_else(|| command.get_subcommands().find_map(|below| variable_of(below, shown)))
}

async fn run_command(command: Command, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Migrate(args) => migrate::run(args, output).await,
        Command::Topology(command) => topology::run(command, output).await,
        Command::Doctor(args) => doctor::run(args, output).await,
        Command::Health(args) => health::run(&args).await,
        Command::Catalog(args) => catalog::run(&args, output),
        Command::Tenant(command) => tenant::run(command, output).await,
        Command::Apikey(command) => apikey::run(command, output).await,
        Command::Hook(command) => hook::run(command, output).await,
        Command::Event(command) => event::run(command, output).await,
        Command::Workflow(command) => workflow::run(command, output).await,
        Command::Schedule(command) => schedule::run(command, output).await,
        Command::Notice(command) => notice::run(command, output).await,
        Command::Run(command) => run::run(command, output).await,
        Command::Approval(command) => approval::run(command, output).await,
        Command::Contact(command) => contact::run(command, output).await,
        Command::Task(command) => record::run_task(command, output).await,
        Command::Note(command) => record::run_note(command, output).await,
        Command::Credential(command) => credential::run(command, output).await,
        Command::Parked(command) => parked::run(command, output).await,
        Command::Dead(command) => dead::run(command, output).await,
        Command::Audit(command) => audit::run(command, output).await,
    }
}
