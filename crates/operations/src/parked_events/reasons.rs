//! Why events are parked: every code there is.

use automation_domain::problem::nearest_hint;

/// Every reason but those of the broker; docs/errors.md says what to do about each.
pub const REASONS: &[&str] = &[
    "attribute_invalid",
    "attribute_too_long",
    "batch_mixed_types",
    "batch_too_large",
    "batch_too_many",
    "causation_depth_exceeded",
    "data_base64",
    "data_not_object",
    "dead_letter",
    "duplicate_key",
    "event_id_conflict",
    "event_too_large",
    "event_unpublishable",
    "grant_expired",
    "internal_error",
    "json_too_deep",
    "malformed_batch",
    "malformed_json",
    "missing_attribute",
    "no_user_id",
    "not_an_event",
    "not_granted",
    "nul_character",
    "number_not_exact",
    "quota_exceeded",
    "reserved_header",
    "reserved_source",
    "reserved_type",
    "routing_key_mismatch",
    "store_refused",
    "unknown_tenant",
    "unsupported_charset",
    "unsupported_content_encoding",
    "unsupported_content_type",
    "unsupported_datacontenttype",
    "unsupported_specversion",
    "worker_lost",
];

/// What the reasons of the broker begin with, which names them itself.
const OF_THE_BROKER: &str = "broker_";

/// Reads a reason that is looked for.
///
/// # Errors
///
/// A sentence that proposes the nearest reason where nothing is parked for this one.
pub fn reason(code: &str) -> Result<String, String> {
    if REASONS.contains(&code) || code.starts_with(OF_THE_BROKER) {
        return Ok(code.to_owned());
    }
    let hint = nearest_hint(code, REASONS.iter().copied());
    Err(format!("no event is parked for this reason{hint}; docs/errors.md lists them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_none_is_refused_with_the_nearest_that_is() {
        for good in ["not_granted", "broker_rejected"] {
            assert_eq!(reason(good).as_deref(), Ok(good));
        }
        assert!(reason("not_grantd").unwrap_err().contains("did you mean \"not_granted\"?"));
        assert!(reason("nope").unwrap_err().contains("docs/errors.md"));
    }
}
