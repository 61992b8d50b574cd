//! The pages of the documentation, and the examples in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A page in Markdown.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Its path below the root of the repository.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// A fenced block of a page.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The page and the line that it begins at, for messages.
    pub(crate) place: String,
    /// The word behind the fence; empty without one.
    pub(crate) language: String,
    /// What is in it.
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every page, save what tells of the past: CHANGELOG.md and the decisions.
pub(crate) fn all() -> Vec<Page> {
    let root = root();
    let mut files = Vec::new();
    for file in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "md") {
            files.push(file);
        }
    }
    for folder in ["docs", "deploy", "examples"] {
        files
            .extend(below(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    files.sort();
    files
        .into_iter()
        .map(|file| Page {
            path: file.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
            text: fs::read_to_string(&file).unwrap(),
        })
        .filter(|page| page.path != "CHANGELOG.md" && !page.path.starts_with("docs/adr/"))
        .collect()
}

/// One page.
pub(crate) fn page(path: &str) -> Page {
    Page { path: path.to_owned(), text: fs::read_to_string(root().join(path)).unwrap() }
}

/// Every file below a folder of the repository, without what is installed or made for a trial.
pub(crate) fn below(folder: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true if path.ends_with("node_modules") || path.ends_with("secrets") => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

/// The Rust below a folder, one file after the other.
pub(crate) fn rust_below(folder: &str, is_read: impl Fn(&str) -> bool) -> String {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let files = below(folder).into_iter().filter(is_rust).filter(|path| is_read(&path.to_string_lossy()));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

impl Page {
    /// Its fenced blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
        let mut indent = 0;
        for (number, line) in self.text.lines().enumerate() {
            // A block may stand in a list.
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(language), None) => {
                    indent = line.len() - line.trim_start().len();
                    let place = format!("{}:{}", self.path, number + 1);
                    open = Some(Block { place, language: language.trim().to_owned(), text: String::new() });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line.get(indent..).unwrap_or(line.trim_start()));
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        blocks
    }

    /// Its prose: everything but the fenced blocks, with lines joined where a sentence goes on.
    pub(crate) fn prose(&self) -> String {
        let mut fenced = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        prose
    }

    /// What stands between back-ticks in its prose, with line ends as blanks.
    pub(crate) fn spans(&self) -> Vec<String> {
        let prose = self.prose();
        prose
            .split("\n\n")
            .flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
            .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// Rows of the table whose head begins with these words, each as its cells without the blanks around them.
    pub(crate) fn table(&self, head: &str) -> Vec<Vec<String>> {
        self.prose()
            .lines()
            .skip_while(|line| !line.starts_with(head))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(cells)
            .collect()
    }

    /// Rows of every table whose head begins with these words.
    pub(crate) fn tables(&self, head: &str) -> Vec<Vec<String>> {
        let prose = self.prose();
        let (mut rows, mut is_inside) = (Vec::new(), false);
        for line in prose.lines() {
            if line.starts_with(head) {
                is_inside = true;
            } else if !line.starts_with('|') {
                is_inside = false;
            } else if is_inside && !line.starts_with("|---") {
                rows.push(cells(line));
            }
        }
        rows
    }
}

/// `|` within a cell is written `\|`.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}
