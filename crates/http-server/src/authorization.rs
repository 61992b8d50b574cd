//! What a caller shows to prove who it is.

use axum::http::{HeaderMap, header};

/// The token of `Authorization: Bearer …`; `None` where the header is missing, repeated, or of another scheme.
///
/// The scheme's name is read in any case, as RFC 9110 says.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (one, more) = (all.next()?, all.next());
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim())
}
