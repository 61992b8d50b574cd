//! Why steps fail: every code there is. A run, its history and its dead letter keep the text, so that codes of other
//! versions stay readable; new ones are made from this table alone.

use std::borrow::Cow;
use std::fmt;

macro_rules! table {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// A stable code of a failed step; docs/errors.md says what to do about each.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum StepCode {
            $($(#[doc = $doc])+ $name,)+
            /// The server answered with this status: `http_503`.
            HttpStatus(u16),
        }

        impl StepCode {
            /// Every code but those of statuses.
            pub const NAMED: &[Self] = &[$(Self::$name),+];

            /// Its text.
            pub fn text(self) -> Cow<'static, str> {
                match self {
                    $(Self::$name => Cow::Borrowed($text),)+
                    Self::HttpStatus(status) => Cow::Owned(format!("http_{status}")),
                }
            }
        }
    };
}

table! {
    /// The server redirects to nowhere.
    BadRedirect => "bad_redirect",
    /// The request was sent, and the answer is not whole, or not valid HTTP.
    BadResponse => "bad_response",
    /// Nobody answers at the address.
    ConnectFailed => "connect_failed",
    /// The request was sent, and the connection broke before an answer came.
    ConnectionLost => "connection_lost",
    /// The credential may not be sent to this host.
    CredentialHost => "credential_host",
    /// The credential was changed without its secret, or its secret was damaged.
    CredentialTampered => "credential_tampered",
    /// The credential's secret cannot be opened, or not be sent in its way.
    CredentialUnreadable => "credential_unreadable",
    /// The name has no address.
    DnsFailed => "dns_failed",
    /// A go_to led to its node as often as it may, and has no way for that.
    GoToExhausted => "go_to_exhausted",
    /// The engine failed; its log has the details.
    InternalError => "internal_error",
    /// A rendered value of the configuration is not acceptable.
    InvalidConfig => "invalid_config",
    /// A delay's `until` rendered to no date, or to one that is too far ahead.
    InvalidDate => "invalid_date",
    /// A delay's `for` or `offset` rendered to no duration.
    InvalidDuration => "invalid_duration",
    /// The stored request cannot be sent.
    InvalidRequest => "invalid_request",
    /// The step needs a contact, and the run has none.
    NoContact => "no_contact",
    /// What a for_each is to go through is no list.
    NotAList => "not_a_list",
    /// The guard does not let the request go there.
    OutboundRefused => "outbound_refused",
    /// What is sent once at most may or may not have arrived.
    OutcomeUnknown => "outcome_unknown",
    /// Outputs or variables are larger than allowed.
    OutputTooLarge => "output_too_large",
    /// Evaluating the step takes more than its budget.
    OverBudget => "over_budget",
    /// The node is suspended: processes died or hung over it.
    PartSuspended => "part_suspended",
    /// The stored request of a step that is to be sent again is not there.
    RequestMissing => "request_missing",
    /// The answer is larger than what is read.
    ResponseTooLarge => "response_too_large",
    /// The server did it, and its answer cannot be read where something is to be taken from it.
    ResponseUnreadable => "response_unreadable",
    /// The database refused what the run came to.
    StoreRefused => "store_refused",
    /// A template could not be rendered.
    TemplateFailed => "template_failed",
    /// The request was sent, and no answer came in time.
    Timeout => "timeout",
    /// The server's certificate cannot be accepted.
    TlsCertificate => "tls_certificate",
    /// No encryption could be agreed on.
    TlsFailed => "tls_failed",
    /// The run would have more branches at once than a run may.
    TooManyBranches => "too_many_branches",
    /// The list of a for_each has more items than it may have.
    TooManyItems => "too_many_items",
    /// The server redirects further than the step follows.
    TooManyRedirects => "too_many_redirects",
    /// The run took as many steps as a run may.
    TooManySteps => "too_many_steps",
    /// There is no credential of this key.
    UnknownCredential => "unknown_credential",
    /// The run stands on a node that its version does not have.
    UnknownNode => "unknown_node",
    /// The run was started by a trigger that its version does not have.
    UnknownTrigger => "unknown_trigger",
    /// The version that the run is pinned to is not there.
    UnknownVersion => "unknown_version",
    /// The definition that the run is pinned to does not compile.
    UnreadableVersion => "unreadable_version",
    /// Workers died one after the other while they held the run.
    WorkerLost => "worker_lost",
}

impl fmt::Display for StepCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<StepCode> for String {
    fn from(code: StepCode) -> Self {
        code.text().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_codes_have_one_text_and_statuses_are_told_by_theirs() {
        let texts: BTreeSet<_> = StepCode::NAMED.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), StepCode::NAMED.len());
        assert!(texts.iter().all(|text| !text.starts_with("http_")));
        assert_eq!(String::from(StepCode::HttpStatus(503)), "http_503");
    }
}
