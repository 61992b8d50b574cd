//! Why a try did not succeed, and what that means. Sentences are ours: nothing of an answer or an address is in them.

use crate::UnusableSecret;
use crate::guard::{Forbidden, ResolveFailed, Target};
use automation_domain::effect::Outcome;
use automation_domain::interpreter::StepError;
use automation_domain::step_code::StepCode;
use reqwest::StatusCode;
use rustls::CertificateError;
use std::error::Error;
use std::time::Duration;

/// A try that did not succeed.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Failure {
    error: StepError,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Retry { after: Option<Duration>, reached: bool },
    Final,
}

impl Failure {
    fn last(code: StepCode, message: impl Into<String>) -> Self {
        Self { error: StepError { code: code.into(), message: message.into() }, kind: Kind::Final }
    }

    fn retry(code: StepCode, message: impl Into<String>, reached: bool) -> Self {
        let error = StepError { code: code.into(), message: message.into() };
        Self { error, kind: Kind::Retry { after: None, reached } }
    }

    pub(super) fn into_outcome(self) -> Outcome {
        match self.kind {
            Kind::Retry { after, reached } => Outcome::Retry { error: self.error, after, reached },
            Kind::Final => Outcome::Failed { error: self.error },
        }
    }

    /// The same, of a hop after the first.
    pub(super) fn after_an_answer(self) -> Self {
        let kind = match self.kind {
            Kind::Retry { after, .. } => Kind::Retry { after, reached: true },
            Kind::Final => Kind::Final,
        };
        Self { kind, ..self }
    }

    pub(super) fn refused(refusal: Forbidden) -> Self {
        Self::last(StepCode::OutboundRefused, format!("the request may not be sent: {refusal}"))
    }

    pub(super) fn refused_redirect(refusal: Forbidden) -> Self {
        Self::last(StepCode::OutboundRefused, format!("the server's redirect may not be followed: {refusal}"))
    }

    pub(super) fn redirect_without_location(status: StatusCode) -> Self {
        Self::last(
            StepCode::BadRedirect,
            format!("the server answered {} without saying where to", status.as_u16()),
        )
    }

    pub(super) fn redirect_to_no_url(status: StatusCode) -> Self {
        Self::last(
            StepCode::BadRedirect,
            format!("the server answered {}, and where to is not a URL", status.as_u16()),
        )
    }

    pub(super) fn too_many_redirects(status: StatusCode, allowed: u8) -> Self {
        let status = status.as_u16();
        Self::last(
            StepCode::TooManyRedirects,
            format!("the server answered {status}, and {allowed} redirects are allowed"),
        )
    }

    pub(super) fn invalid(what: &str) -> Self {
        Self::last(StepCode::InvalidRequest, format!("the request cannot be sent: {what}"))
    }

    pub(super) fn credential_host(key: &str, target: &Target) -> Self {
        let scheme = target.url().scheme();
        Self::last(
            StepCode::CredentialHost,
            format!(
                "the credential \"{key}\" may not be sent to {scheme}://{}:{}",
                target.host(),
                target.port()
            ),
        )
    }

    pub(super) fn unusable_secret(unusable: &UnusableSecret) -> Self {
        Self::last(StepCode::CredentialUnreadable, unusable.to_string())
    }

    pub(super) fn final_status(status: StatusCode) -> Self {
        Self::last(StepCode::HttpStatus(status.as_u16()), answered(status))
    }

    pub(super) fn retry_status(status: StatusCode, after: Option<Duration>) -> Self {
        let failure = Self::retry(StepCode::HttpStatus(status.as_u16()), answered(status), true);
        Self { kind: Kind::Retry { after, reached: true }, ..failure }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::last(StepCode::ResponseTooLarge, format!("the answer has more than {limit} bytes"))
    }

    /// The other side did it, and what was to be taken from its answer is not to be had. Another try would do it again.
    pub(super) fn unreadable(status: u16, name: &str, path: &str, why: &str) -> Self {
        Self::last(
            StepCode::ResponseUnreadable,
            format!(
                "the server answered {status}, and save.{name} cannot look for {path} in its answer: {why}"
            ),
        )
    }

    pub(super) fn output_too_large(limit: usize) -> Self {
        Self::last(
            StepCode::OutputTooLarge,
            format!("what is to be saved of the answer has more than {limit} bytes"),
        )
    }

    pub(super) fn timed_out() -> Self {
        Self::retry(StepCode::Timeout, "the server did not answer in time", true)
    }

    pub(super) fn broken() -> Self {
        Self::retry(StepCode::BadResponse, "the answer broke off, or is not valid HTTP", true)
    }

    pub(super) fn not_connected() -> Self {
        Self::retry(StepCode::ConnectFailed, "no connection to the server", false)
    }

    pub(super) fn connection_lost() -> Self {
        Self::retry(StepCode::ConnectionLost, "the connection broke before the server answered", true)
    }

    /// What an error of the client means: found by the types in its chain, never by its text.
    pub(super) fn of_sending(error: &reqwest::Error) -> Self {
        if let Some(refusal) = find::<Forbidden>(error) {
            return Self::refused(*refusal);
        }
        if find::<ResolveFailed>(error).is_some() {
            return Self::retry(StepCode::DnsFailed, ResolveFailed.to_string(), false);
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::of_tls(tls, error.is_connect());
        }
        if error.is_connect() {
            return if error.is_timeout() {
                Self::retry(StepCode::ConnectFailed, "no connection to the server in time", false)
            } else {
                Self::not_connected()
            };
        }
        match find::<hyper::Error>(error) {
            Some(http) if http.is_parse_too_large() => {
                Self::last(StepCode::ResponseTooLarge, "the headers of the answer are too large or too many")
            }
            Some(http) if http.is_parse() => Self::broken(),
            _ if error.is_builder() => Self::invalid("the client does not accept it"),
            _ => Self::connection_lost(),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign enum that grows; what is unknown may be passing"
    )]
    fn of_tls(error: &rustls::Error, connecting: bool) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => Self::last(StepCode::TlsCertificate, certificate(why)),
            rustls::Error::NoCertificatesPresented => {
                Self::last(StepCode::TlsCertificate, "the server has no certificate")
            }
            rustls::Error::UnsupportedNameType | rustls::Error::InvalidCertRevocationList(_) => {
                Self::last(StepCode::TlsCertificate, "the server's certificate cannot be checked")
            }
            _ => Self::retry(
                StepCode::TlsFailed,
                "no encrypted connection to the server could be agreed on",
                !connecting,
            ),
        }
    }
}

/// What is wrong with a certificate, and so what mends it.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows")]
fn certificate(why: &CertificateError) -> &'static str {
    use CertificateError as E;
    match why {
        E::Expired | E::ExpiredContext { .. } => "the server's certificate has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "the server's certificate is not valid yet",
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "the server's certificate is for another name than the one that was called"
        }
        E::UnknownIssuer => {
            "the server's certificate comes from nobody who is trusted here: it signs itself, or a private authority \
             does, or the server leaves out a certificate in between"
        }
        E::Revoked => "the server's certificate was revoked",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the server's certificate is not made for servers"
        }
        E::BadSignature | E::UnsupportedSignatureAlgorithmContext { .. } => {
            "the signature of the server's certificate is wrong, or of a kind that is not accepted"
        }
        _ => "the server's certificate cannot be accepted",
    }
}

fn answered(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("the server answered {} {reason}", status.as_u16()),
        None => format!("the server answered {}", status.as_u16()),
    }
}

/// The first error of this type in the chain. An `io::Error` leaves what it wraps out of its own chain.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
