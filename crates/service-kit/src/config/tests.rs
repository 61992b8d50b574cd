use super::*;
use automation_domain::limits::Limits;
use automation_domain::outbound::Outbound;
use clap::{CommandFactory, FromArgMatches, Parser};

#[derive(Parser, Debug)]
#[command(name = "automation")]
struct Cli {
    #[command(flatten)]
    common: CommonConfig,
    #[command(flatten)]
    http: HttpConfig,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    outbound: OutboundConfig,
    #[command(flatten)]
    encryption: EncryptionConfig,
    #[command(flatten)]
    ladder: LadderConfig,
}

const SERVERS: [&str; 3] = [
    "automation",
    "--database-url=postgres://me:pw@localhost/engine",
    "--amqp-url=amqp://shop%40eu:pw@localhost/automation",
];

fn parse(more: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(SERVERS.iter().chain(more))
}

/// As on a machine where no variable is set.
fn parse_without_variables(arguments: &[&str]) -> Result<Cli, clap::Error> {
    let command = Cli::command().mut_args(|argument| argument.env(clap::builder::Resettable::Reset));
    Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn refusal(arguments: &[&str]) -> String {
    let error = Cli::try_parse_from(arguments).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let Cli { common, http, limits, outbound, encryption, ladder } =
        parse_without_variables(&SERVERS).unwrap();
    assert_eq!(common.admin_addr.to_string(), "127.0.0.1:9600");
    assert_eq!(common.drain(), Duration::from_secs(25));
    assert_eq!(common.log_filter, "info");
    assert_eq!(common.amqp_management_url, None);
    assert_eq!(http.addr.to_string(), "127.0.0.1:9610");
    assert_eq!((http.events_per_second, http.burst, http.requests), (500, 5_000, 256));
    assert_eq!((http.per_peer, http.per_tenant, http.bytes_per_second), (32, 64, 1_024));
    assert_eq!(http.trusted_proxies, []);
    assert_eq!(http.timeout, Duration::from_secs(30));
    assert_eq!(format!("{:?}", limits.limits), format!("{:?}", Limits::default()));
    assert_eq!(format!("{:?}", outbound.outbound), format!("{:?}", Outbound::default()));
    assert_eq!(encryption.encryption_keys, None);
    assert_eq!(ladder.retry_rungs.to_string(), "1m,5m,15m,1h,6h");
}

#[test]
fn engine_users_default_to_the_user_of_the_broker_url() {
    assert_eq!(parse_without_variables(&SERVERS).unwrap().common.users.engine, ["shop@eu"]);
    assert_eq!(parse(&["--engine-users=engine, relay"]).unwrap().common.users.engine, ["engine", "relay"]);
    assert_eq!(url::user("amqp://localhost:5672"), "guest");
    assert_eq!(url::user("amqps://%C3%A4rger:p@w@localhost/a?heartbeat=1@2"), "ärger");
}

#[test]
fn a_wrong_value_is_refused_with_flag_variable_value_and_rule() {
    let message = parse(&["--drain-seconds=soon"]).unwrap_err().to_string();
    assert!(
        message.contains(
            "invalid value 'soon' for --drain-seconds (AUTOMATION_DRAIN_SECONDS): \
             must be a whole number of seconds from 0 to 86400"
        ),
        "{message}"
    );
    for (argument, rule) in [
        ("--admin-addr=localhost", "must be an IP address and a port"),
        ("--log-format=xml", "must be json or text"),
        ("--log-filter=info,=", "must be a filter"),
        ("--engine-users=a,,b", "none of them empty"),
        ("--max-json-depth=127", "must be a whole number from 1 to 126"),
        ("--http-trusted-proxies=proxy", "must be networks or addresses"),
        ("--http-addr=localhost", "127.0.0.1:9610 or [::]:9610"),
        ("--http-burst=0", "from 1 to 1000000"),
        ("--max-nodes=0", "must be a whole number, at least 1"),
        ("--max-causation-depth=70000", "must be a whole number, at least 1"),
        ("--retry-rungs=1m,soon", "(\"soon\" is not a delay"),
        ("--retry-rungs=0s", "must be delays separated by commas"),
    ] {
        let error = parse(&[argument]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(rule), "{argument}: {error}");
    }
}

#[test]
fn a_wrong_url_is_refused_without_showing_it() {
    let message = refusal(&["automation", "--database-url=mysql://me:hunter2@db/engine", SERVERS[2]]);
    assert!(message.contains(
        "--database-url (DATABASE_URL): must begin with postgres:// or postgresql://, not mysql://"
    ));
    assert!(!message.contains("hunter2"), "{message}");
    let message = refusal(&["automation", SERVERS[1], "--amqp-url=hunter2"]);
    assert!(message.contains("--amqp-url (AMQP_URL): must be a URL that begins with amqp:// or amqps://"));
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_url_whose_port_is_no_number_is_refused_before_anything_connects() {
    for url in [
        "postgres://me:hunter2@host:notaport/x",
        "postgres://host:0/x",
        "postgres://host:70000/x",
        "postgres://me@[::1]5432/x",
        "postgres://me@[::1/x",
    ] {
        let message = refusal(&["automation", &format!("--database-url={url}"), SERVERS[2]]);
        assert!(message.contains("(DATABASE_URL): must have a number from 1 to 65535 as port"), "{message}");
        assert!(!message.contains("hunter"), "{message}");
    }
    for url in [
        "postgres://localhost",
        "postgres://u:p%40@localhost:5432/x",
        "postgres:///x?host=/run",
        "postgres://[::1]:5432/x",
    ] {
        assert!(
            parse_without_variables(&["automation", &format!("--database-url={url}"), SERVERS[2]]).is_ok()
        );
    }
}

#[test]
fn a_start_that_would_speak_without_tls_to_another_host_is_refused() {
    for (argument, other, variable) in [
        ("--database-url=postgres://me:hunter2@db/engine", SERVERS[2], "(DATABASE_URL): must speak TLS"),
        ("--amqp-url=amqp://me:hunter2@mq/automation", SERVERS[1], "(AMQP_URL): must speak TLS"),
        (
            "--amqp-management-url=http://me:hunter2@mq:15672",
            "--log-filter=info",
            "(AUTOMATION_AMQP_MANAGEMENT_URL): must speak TLS",
        ),
    ] {
        let mut arguments = vec!["automation", argument, other];
        if other == "--log-filter=info" {
            arguments.extend(&SERVERS[1..]);
        }
        let message = refusal(&arguments);
        assert!(message.contains(variable) && message.contains("AUTOMATION_ALLOW_PLAINTEXT="), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// The beginning of such a password would be read as host and port, and shown where they are.
#[test]
fn a_url_with_a_password_that_ends_the_host_is_refused() {
    for url in ["amqp://user:123#rest@host", "amqp://user:123/rest@host/x", "amqp://user:?123@host:5672"] {
        let message = refusal(&["automation", SERVERS[1], &format!("--amqp-url={url}")]);
        assert!(message.contains("(AMQP_URL): must have no @ behind the host"), "{message}");
        assert!(!message.contains("123"), "{message}");
    }
}

#[test]
fn a_missing_server_is_named() {
    let error = parse_without_variables(&SERVERS[..2]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--amqp-url"), "{error}");
}

#[test]
fn a_url_may_come_from_a_file() {
    let file = std::env::temp_dir().join(format!("automation-config-{}", crate::ids::new_id()));
    std::fs::write(&file, "postgresql://me:pw@localhost/engine\n").unwrap();
    let argument = format!("--database-url-file={}", file.display());
    let cli = parse_without_variables(&["automation", &argument, SERVERS[2]]).unwrap();
    assert_eq!(cli.common.database_url.expose(), "postgresql://me:pw@localhost/engine");

    let both = parse(&[&argument]).unwrap_err().to_string();
    assert!(both.contains("cannot be used with"), "{both}");

    std::fs::write(&file, "http://hunter2").unwrap();
    let message = refusal(&["automation", &argument, SERVERS[2]]);
    let rule = "--database-url-file (DATABASE_URL_FILE): the URL in the file must begin with postgres://";
    assert!(message.contains(rule), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn secrets_do_not_print() {
    let cli = parse(&[]).unwrap();
    assert!(!format!("{cli:?}").contains("pw@"));
    assert_eq!(cli.common.amqp_url.to_string(), "***");
}

#[test]
fn every_setting_has_a_variable_that_the_help_names() {
    let mut command = Cli::command();
    for argument in command.get_arguments() {
        let variable = argument.get_env().map(|variable| variable.to_string_lossy().into_owned());
        let variable = variable.unwrap_or_else(|| panic!("{} has no variable", argument.get_id()));
        let standard = ["DATABASE_URL", "AMQP_URL", "RUST_LOG"];
        let standard = standard.contains(&variable.trim_end_matches("_FILE"));
        assert!(standard || variable.starts_with("AUTOMATION_"), "{variable}");
    }
    let help = command.render_long_help().to_string();
    assert!(help.contains("[default: 127.0.0.1:9600]"));
    assert!(help.contains("in seconds"));
    assert!(help.contains("AUTOMATION_MAX_EVENT_BYTES"));
}

#[test]
fn what_is_allowed_outside_is_read_entry_by_entry() {
    let cli =
        parse(&["--outbound-allow=crm.internal:8080, [fd00::/8]:443", "--outbound-refused-ports=25,6379"])
            .unwrap();
    let outbound = cli.outbound.outbound;
    assert!(outbound.allow.names("crm.internal", 8080));
    assert!(outbound.allow.contains("fd00::1".parse().unwrap(), 443));
    assert_eq!(outbound.refused_ports.into_iter().collect::<Vec<_>>(), [25, 6379]);
    let none = parse(&["--outbound-refused-ports=none"]).unwrap();
    assert!(none.outbound.outbound.refused_ports.is_empty());
    for (flag, rule) in [
        ("--outbound-allow=crm.internal", "AUTOMATION_OUTBOUND_ALLOW"),
        ("--outbound-allow=*:80", "is not like"),
        ("--outbound-refused-ports=smtp", "port numbers"),
        ("--http-response-bytes=0", "at least 1"),
        ("--http-timeout-ms=0", "1 to 3600000"),
    ] {
        let message = parse(&[flag]).unwrap_err().to_string();
        assert!(message.contains(rule), "{message}");
    }
}

#[test]
fn encryption_keys_are_never_shown() {
    let cli = parse(&["--encryption-keys=k1:c2VjcmV0"]).unwrap();
    assert!(!format!("{:?}", cli.encryption).contains("c2VjcmV0"));
    let message = parse(&["--encryption-keys=c2VjcmV0"]).unwrap_err().to_string();
    assert!(message.contains("id:base64") && !message.contains("c2VjcmV0"), "{message}");
}
