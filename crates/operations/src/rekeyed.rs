//! What came of wrapping secrets with another key.

use automation_store::access::tenants::Tenant;
use automation_vault::KeyRing;
use serde::Serialize;

/// Secrets read at once.
pub(crate) const PAGE: i64 = 100;

/// What came of wrapping all tenants' secrets with the active key.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Rekeyed {
    /// Id of the active key.
    pub active: String,
    /// Secrets that another key had wrapped.
    pub rewrapped: usize,
    /// Secrets that do not open.
    pub unreadable: usize,
    /// Tenants of whom there was something to do.
    pub tenants: Vec<OfTenant>,
    /// Which do not open, as `tenant/secret`, and why.
    #[serde(skip)]
    pub problems: Vec<(String, String)>,
}

/// What came of one tenant's secrets.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct OfTenant {
    /// Its key.
    pub tenant: String,
    /// Secrets that another key had wrapped.
    pub rewrapped: usize,
    /// Secrets that do not open.
    pub unreadable: usize,
}

/// What came of one tenant, while it is counted.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) rewrapped: usize,
    /// What does not open, with why.
    pub(crate) unreadable: Vec<(String, String)>,
}

impl Rekeyed {
    pub(crate) fn new(ring: &KeyRing) -> Self {
        let (tenants, problems) = (Vec::new(), Vec::new());
        Self { active: ring.active_id().to_owned(), rewrapped: 0, unreadable: 0, tenants, problems }
    }

    pub(crate) fn add(&mut self, tenant: &Tenant, count: Count) {
        let Count { rewrapped, unreadable } = count;
        self.rewrapped += rewrapped;
        self.unreadable += unreadable.len();
        if rewrapped > 0 || !unreadable.is_empty() {
            let (tenant, unreadable) = (tenant.key.clone(), unreadable.len());
            self.tenants.push(OfTenant { tenant, rewrapped, unreadable });
        }
        let place = |(secret, why)| (format!("{}/{secret}", tenant.key), why);
        self.problems.extend(unreadable.into_iter().map(place));
    }
}
