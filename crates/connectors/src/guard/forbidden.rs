//! Why a request may not go somewhere.

/// A rule of the guard that a URL, or what its name resolved to, breaks.
///
/// It never says what a name resolved to: whoever writes workflows would learn the insides of a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Forbidden {
    /// Not a URL, or one that readers could disagree about.
    #[error("it is not a complete URL without spaces, control characters and backslashes")]
    Url,
    /// Neither `http` nor `https`.
    #[error("only http and https are allowed")]
    Scheme,
    /// `user:password@host`.
    #[error("a URL may not carry a user or password; use a credential")]
    Userinfo,
    /// A port for something else than HTTP.
    #[error("port {port} is not allowed")]
    Port {
        /// The port.
        port: u16,
    },
    /// An address that is not public, written in the URL.
    #[error("its host is {range}, which is not public")]
    Address {
        /// What kind of address.
        range: &'static str,
    },
    /// A name that is never public.
    #[error("its host is the name of {what}")]
    Name {
        /// Of what.
        what: &'static str,
    },
    /// A name with an address that is not public.
    #[error("its host does not have public addresses alone")]
    ResolvedAddress,
    /// From `https` to `http`.
    #[error("it leads from https to http")]
    Downgrade,
}
