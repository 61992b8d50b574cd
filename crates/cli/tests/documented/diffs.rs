//! Diffs that show where something is added: what they take away or leave stands in the file that they name.

use crate::pages;
use std::fs;

#[test]
fn every_diff_fits_the_file_that_it_names() {
    let mut files = 0;
    for block in
        pages::all().into_iter().flat_map(|page| page.blocks()).filter(|block| block.language == "diff")
    {
        let mut file = None;
        for line in block.text.lines() {
            if let Some(path) = line.strip_prefix("--- a/") {
                let text = fs::read_to_string(pages::root().join(path));
                file = Some(text.unwrap_or_else(|error| panic!("{}: {path}: {error}", block.place)));
                files += 1;
            } else if let Some(path) = line.strip_prefix("+++ b/") {
                assert!(block.text.contains(&format!("--- a/{path}")), "{}: {path}", block.place);
            } else if let Some(there) = line.strip_prefix([' ', '-']) {
                let file =
                    file.as_ref().unwrap_or_else(|| panic!("{}: a diff begins with a file", block.place));
                let is_there = file.lines().any(|one| one.trim() == there.trim());
                assert!(is_there, "{}: \"{there}\" does not stand in the file", block.place);
            } else {
                assert!(line.starts_with('+'), "{}: \"{line}\" is no line of a diff", block.place);
            }
        }
    }
    assert!(files > 5, "{files}");
}
