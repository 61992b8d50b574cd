//! A file for one secret: made before there is a secret, so that none is made that cannot be kept.

use crate::exit;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A new, empty file that only its owner reads; it goes when no secret is written to it.
pub struct PasswordFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl PasswordFile {
    /// Makes the file; one that exists is never written over.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
                exit::usage(
                    format!("cannot make {}: {error}", path.display()),
                    "name a file that does not exist yet",
                )
            })?;
        Ok(Self { path: path.to_owned(), file, is_written: false })
    }

    /// Writes the secret and a line break; returns where.
    pub fn write(mut self, secret: &str) -> anyhow::Result<String> {
        self.is_written = true;
        writeln!(self.file, "{secret}")?;
        self.file.sync_all()?;
        Ok(self.path.display().to_string())
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        if !self.is_written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
