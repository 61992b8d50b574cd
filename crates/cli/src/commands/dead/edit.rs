//! A request that a person corrected before it is sent again.

use crate::exit;
use automation_domain::effect::Request;
use automation_domain::encoding;
use automation_operations::dead_letters;
use std::path::Path;

/// Largest file, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Reads a request, and checks it by the rules for those of workflows.
pub fn read(file: &Path) -> anyhow::Result<Request> {
    let wrong = |problem: String| {
        exit::usage(format!("{}: {problem}", file.display()), "begin with what dead show --request prints")
    };
    let size = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if size > LARGEST {
        return Err(wrong(format!("{size} bytes are more than {LARGEST}")));
    }
    let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let text = encoding::text_of(bytes).map_err(wrong)?;
    dead_letters::edited(&text).map_err(wrong)
}
