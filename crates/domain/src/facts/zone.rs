//! Whose clock counts: the contact's, else the tenant's.

use super::{Facts, TenantFacts};
use crate::schedule::zone;
pub use chrono_tz::Tz;

/// A time zone, and why it is this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalZone {
    /// The zone.
    pub zone: Tz,
    /// Whose it is.
    pub of: ZoneOf,
}

/// Whose zone it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ZoneOf {
    /// The contact's.
    Contact,
    /// The tenant's, because there is no contact, or the contact has none.
    Tenant,
    /// The tenant's, because what the contact has is no zone.
    TenantInsteadOf(String),
}

/// The zone with this IANA name.
///
/// # Errors
///
/// A sentence that says what to write instead.
pub fn read_zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| zone::unknown(name))
}

/// A tenant's zone as it is stored; one that this version does not know is UTC.
pub fn stored_zone(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}

impl<'a> TenantFacts<'a> {
    /// A tenant in the zone that is stored under this name.
    pub fn new(key: &'a str, zone: &str) -> Self {
        Self { key, zone: stored_zone(zone) }
    }
}

impl Facts<'_> {
    /// The zone of `now.time` and its like, and of times that are written without one.
    pub fn zone(&self) -> LocalZone {
        let tenant = |of| LocalZone { zone: self.tenant.zone, of };
        match self.contact.and_then(|contact| contact.timezone.as_deref()) {
            None | Some("") => tenant(ZoneOf::Tenant),
            Some(name) => match name.parse() {
                Ok(zone) => LocalZone { zone, of: ZoneOf::Contact },
                Err(_) => tenant(ZoneOf::TenantInsteadOf(name.to_owned())),
            },
        }
    }
}
