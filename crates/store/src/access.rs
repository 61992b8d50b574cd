//! Who may do what: tenants, who publishes for them, and the secrets of both sides.

pub mod api_keys;
pub mod credentials;
pub mod hooks;
pub mod tenants;
