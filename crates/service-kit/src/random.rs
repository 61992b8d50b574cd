//! Random bytes for secrets: keys, passwords and addresses that nobody is to guess.

use anyhow::Context;
use rand::TryRng;
use rand::rngs::SysRng;

/// Bytes from the operating system.
///
/// # Errors
///
/// When the system gives none.
pub fn random_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).context("the system gave no random bytes")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
    }
}
