//! Chance: bytes for secrets, which nobody is to guess, and numbers for what only has to differ.

use anyhow::Context;
use rand::TryRng;
use rand::rngs::SysRng;

/// Bytes from the operating system.
///
/// # Errors
///
/// When the system gives none.
#[expect(clippy::disallowed_methods, reason = "the one place that draws secrets")]
pub fn random_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).context("the system gave no random bytes")?;
    Ok(bytes)
}

/// A number for ids of traces.
#[expect(clippy::disallowed_methods, reason = "the one place that draws what is no secret")]
pub(crate) fn number() -> u128 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
    }
}
