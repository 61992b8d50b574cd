//! A request that a person corrected before it is sent again.

use crate::exit;
use automation_domain::effect::Request;
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
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let request: Request = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let Request::Http(http) = &request;
    automation_actions::check_edited(http).map_err(|error| wrong(error.message))?;
    Ok(request)
}
