//! The rules for URLs of servers. Whether a server answers there is found out by connecting.

use super::Secret;
use super::plaintext::{self, Server};
use automation_domain::encoding::text_without_mark;

/// A URL of Postgres.
///
/// # Errors
///
/// The rule that it breaks; nothing of the URL.
pub fn postgres(text: &str) -> Result<Secret, String> {
    with_scheme(text, &["postgres", "postgresql"], Server::Database)
}

pub(super) fn amqp(text: &str) -> Result<Secret, String> {
    with_scheme(text, &["amqp", "amqps"], Server::Broker)
}

pub(super) fn http(text: &str) -> Result<Secret, String> {
    with_scheme(text, &["http", "https"], Server::Broker)
}

/// A URL of Postgres in a file.
///
/// # Errors
///
/// As [`postgres`], or that the file cannot be read.
pub fn postgres_in_file(file: &str) -> Result<Secret, String> {
    in_file(file, postgres)
}

/// Reads the URL from a file, as mounted secrets come; space around it does not count.
pub(super) fn in_file(file: &str, read: fn(&str) -> Result<Secret, String>) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read ({error})"))?;
    read(text_without_mark(&text).trim()).map_err(|rule| format!("the URL in the file {rule}"))
}

/// The user of an AMQP URL; RabbitMQ's own default when it names none.
pub(super) fn user(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@').map(|(user_info, _)| user_info.split(':').next().unwrap_or_default()) {
        None | Some("") => "guest".to_owned(),
        Some(user) => percent_decoded(user),
    }
}

fn with_scheme(text: &str, schemes: &[&str], server: Server) -> Result<Secret, String> {
    let expected = || schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    match text.split_once("://") {
        Some((scheme, rest)) if schemes.contains(&scheme) && !rest.is_empty() => {
            check_user(rest)?;
            check_port(rest)?;
            plaintext::check(server, text, &plaintext::environment)?;
            Ok(Secret::new(text))
        }
        Some((scheme, _)) if !schemes.contains(&scheme) && is_scheme(scheme) => {
            Err(format!("must begin with {}, not {scheme}://", expected()))
        }
        Some(_) | None => Err(format!("must be a URL that begins with {} and names a host", expected())),
    }
}

/// What ends the host may stand in a password by mistake: its beginning would be read as host and port, and be shown.
fn check_user(rest: &str) -> Result<(), String> {
    let (_, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if behind.contains('@') {
        return Err("must have no @ behind the host (write it as %40); in a password, write / ? # @ as \
                    %2F %3F %23 %40"
            .to_owned());
    }
    Ok(())
}

/// The port is where a URL breaks first: behind a character of a password that should have been escaped, too.
fn check_port(rest: &str) -> Result<(), String> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let behind_host = match place.strip_prefix('[') {
        Some(address) => address.split_once(']').map(|(_, behind)| behind),
        None => Some(place.find(':').map_or("", |colon| &place[colon..])),
    };
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    match behind_host {
        Some("" | ":") => Ok(()),
        Some(behind) if behind.strip_prefix(':').is_some_and(is_port) => Ok(()),
        Some(_) | None => Err("must have a number from 1 to 65535 as port; in a password, write / ? # @ as \
                               %2F %3F %23 %40"
            .to_owned()),
    }
}

/// Whether it is safe to repeat: what stands before `://` by mistake might be part of a password.
fn is_scheme(text: &str) -> bool {
    text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
