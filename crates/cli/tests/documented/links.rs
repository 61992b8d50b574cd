//! Every link leads somewhere.

use crate::pages::{self, Page};

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

fn anchors(page: &Page) -> Vec<String> {
    page.prose().lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_to_a_section_of_it() {
    let (root, mut seen) = (pages::root(), 0);
    for page in pages::all() {
        let folder = root.join(&page.path).parent().unwrap().to_path_buf();
        let prose = page.prose();
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.starts_with("mailto:") {
                continue;
            }
            let (file, section) =
                target.split_once('#').map_or((target, None), |(file, section)| (file, Some(section)));
            let path = match file.is_empty() {
                true => root.join(&page.path),
                false => folder.join(file),
            };
            assert!(path.exists(), "{}: {target} leads nowhere", page.path);
            if let Some(section) = section {
                let text = std::fs::read_to_string(&path).unwrap();
                let there = anchors(&Page { path: file.to_owned(), text });
                assert!(there.iter().any(|name| name == section), "{}: {target}: only {there:?}", page.path);
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} links were found");
}
