//! Whether a caller of a webhook knows its secret: by a signature as Standard Webhooks 1.0 says, or by showing a token.
//!
//! Every secret and every signature is compared, each in the same time whether it fits or not.

use automation_vault::Zeroizing;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far a caller's clock may be from ours, as Standard Webhooks proposes: what is older may be a replay.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// Most signatures that are looked at: a sender that changes its secret sends two.
const MOST_SIGNATURES: usize = 16;
/// With or without padding, as both are seen.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the headers of a signed call say; what is missing is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) id: &'a str,
    pub(crate) timestamp: &'a str,
    /// `v1,<base64>`, several separated by spaces.
    pub(crate) signatures: &'a str,
}

/// Whether one of the secrets (`whsec_…`) signed this body lately; when it says so.
pub(crate) fn signed_at(
    secrets: &[Zeroizing<Vec<u8>>],
    signed: Signed<'_>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let at = signed.timestamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let is_recent = at.is_some_and(|at| (now - at).abs() <= TOLERANCE);
    let given: Vec<Vec<u8>> = signed
        .signatures
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|encoded| BASE64.decode(encoded).ok())
        .take(MOST_SIGNATURES)
        .collect();
    let mut fits = false;
    for secret in secrets {
        let mac = mac(secret, signed, body);
        for signature in &given {
            fits |= mac.as_ref().is_some_and(|mac| mac.clone().verify_slice(signature).is_ok());
        }
    }
    at.filter(|_| fits && is_recent && !signed.id.is_empty())
}

/// Whether one of the secrets is the token that was shown.
pub(crate) fn knows_token(secrets: &[Zeroizing<Vec<u8>>], shown: &[u8]) -> bool {
    // Comparing what the two sign takes the same time wherever they differ.
    let of_shown = keyed(shown).map(|mac| mac.finalize().into_bytes());
    let mut fits = false;
    for secret in secrets {
        let mac = keyed(secret);
        fits |= mac.zip(of_shown.as_ref()).is_some_and(|(mac, shown)| mac.verify_slice(shown).is_ok());
    }
    fits && !shown.is_empty()
}

fn mac(secret: &[u8], signed: Signed<'_>, body: &[u8]) -> Option<Hmac<Sha256>> {
    let encoded = secret.strip_prefix(b"whsec_")?;
    let key = Zeroizing::new(BASE64.decode(encoded).ok()?);
    let mut mac = keyed(&key)?;
    for part in [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(mac)
}

/// HMAC takes keys of every length.
fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::<Sha256>::new_from_slice(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secrets(all: &[&str]) -> Vec<Zeroizing<Vec<u8>>> {
        all.iter().map(|secret| Zeroizing::new(secret.as_bytes().to_vec())).collect()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_614_265_330 + seconds, 0).unwrap()
    }

    fn signed<'a>(id: &'a str, timestamp: &'a str, signatures: &'a str) -> Signed<'a> {
        Signed { id, timestamp, signatures }
    }

    #[test]
    fn the_example_of_the_specification_is_accepted() {
        let ok = |all: &[&str], signatures: &str| {
            signed_at(&secrets(all), signed(ID, AT, signatures), BODY, at(0)) == Some(at(0))
        };
        assert!(ok(&[SECRET], SIGNATURE));
        assert!(ok(&[SECRET], SIGNATURE.trim_end_matches('=')), "without padding");
        let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        assert!(ok(&[other, SECRET], SIGNATURE), "any of the secrets");
        assert!(ok(&[SECRET], &format!("v1,AAAA v2,x {SIGNATURE}")), "any of the signatures");
        assert!(!ok(&[other], SIGNATURE) && !ok(&[], SIGNATURE) && !ok(&["plain"], SIGNATURE));
    }

    #[test]
    fn whatever_was_changed_is_noticed() {
        let secrets = secrets(&[SECRET]);
        for (id, timestamp, signatures, body) in [
            ("msg_other", AT, SIGNATURE, BODY),
            ("", AT, SIGNATURE, BODY),
            (ID, "1614265331", SIGNATURE, BODY),
            (ID, "", SIGNATURE, BODY),
            (ID, "9999999999999999999", SIGNATURE, BODY),
            (ID, AT, "", BODY),
            (ID, AT, "v1,", BODY),
            (ID, AT, "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", BODY),
            (ID, AT, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=", BODY),
            (ID, AT, SIGNATURE, b"{}"),
        ] {
            let outcome = signed_at(&secrets, signed(id, timestamp, signatures), body, at(0));
            assert_eq!(outcome, None, "{id} {timestamp} {signatures}");
        }
    }

    #[test]
    fn what_is_older_or_newer_than_five_minutes_is_refused() {
        let accepts =
            |seconds| signed_at(&secrets(&[SECRET]), signed(ID, AT, SIGNATURE), BODY, at(seconds)).is_some();
        assert!(accepts(300) && accepts(-300));
        assert!(!accepts(301) && !accepts(-301));
    }

    #[test]
    fn a_token_has_to_be_the_whole_token() {
        let secrets = secrets(&["old-token-0123456789", "new-token-0123456789"]);
        assert!(
            knows_token(&secrets, b"old-token-0123456789") && knows_token(&secrets, b"new-token-0123456789")
        );
        for shown in [&b""[..], b"old-token", b"old-token-01234567890", b"OLD-TOKEN-0123456789"] {
            assert!(!knows_token(&secrets, shown));
        }
        assert!(!knows_token(&[], b""));
    }
}
