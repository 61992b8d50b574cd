//! Every command line of the documentation is one that there is.

use crate::pages;
use std::collections::BTreeSet;
use std::process::Command;

/// Programs of others that the examples use.
const OTHERS: [&str; 22] = [
    "cd",
    "pg_ctl",
    "chmod",
    "curl",
    "docker",
    "echo",
    "export",
    "git",
    "openssl",
    "pg_basebackup",
    "pg_dump",
    "pg_restore",
    "pg_verifybackup",
    "printf",
    "psql",
    "rabbitmq-diagnostics",
    "rabbitmqctl",
    "sh",
    "sudo",
    "cargo",
    "cp",
    "npm",
];

/// A command line with the place where it stands.
struct Line {
    place: String,
    words: Vec<String>,
}

/// The words of each command in a text of a shell: what pipes and redirections join is several.
fn commands(place: &str, text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let Some(words) = shlex::split(line) else { continue };
        let mut command = Vec::new();
        for word in words.into_iter().chain(["|".to_owned()]) {
            if ["|", "&&", ";"].contains(&word.as_str()) {
                let is_assignment = |word: &String| {
                    word.split_once('=').is_some_and(|(name, _)| {
                        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                    })
                };
                let words: Vec<String> =
                    std::mem::take(&mut command).into_iter().skip_while(is_assignment).collect();
                if !words.is_empty() {
                    lines.push(Line { place: place.to_owned(), words });
                }
            } else if let Some(("", _) | ("2", _)) = word.split_once('>') {
                break; // what is left is a file's name
            } else {
                command.push(word);
            }
        }
    }
    lines
}

/// Those of the blocks; lines that an example goes on over are one text.
fn in_blocks() -> Vec<Line> {
    let blocks = pages::all().into_iter().flat_map(|page| page.blocks());
    blocks
        .filter(|block| block.language == "sh")
        .flat_map(|block| commands(&block.place, &block.text))
        .collect()
}

/// Those between back-ticks, and those that the program itself hints at.
fn in_prose() -> Vec<Line> {
    let of_pages = pages::all().into_iter().flat_map(|page| {
        let place = page.path.clone();
        page.spans().into_iter().flat_map(move |span| commands(&place, &span)).collect::<Vec<_>>()
    });
    of_pages.filter(|line| own(&line.words).is_some()).collect()
}

/// The arguments for `automation` in a command line, if it is one of those.
fn own(words: &[String]) -> Option<&[String]> {
    let words_of = |start: &[&str]| {
        (words.len() > start.len() && words.iter().zip(start).all(|(word, expected)| word == expected))
            .then(|| &words[start.len()..])
    };
    words_of(&["automation"])
        .or_else(|| words_of(&["./dev", "cli"]))
        .or_else(|| words_of(&["docker", "compose", "run", "--rm", "cli"]))
}

/// What is wrong with arguments, as far as that can be told without servers and with names in place of values.
fn refused(arguments: &[String]) -> Option<String> {
    let is_open = |word: &String| word.contains('…') || word.contains("...") || word.contains('|');
    let arguments: Vec<&String> = arguments.iter().take_while(|word| !is_open(word)).collect();
    if arguments.is_empty() {
        return None;
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_automation")).args(&arguments).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let placeholder = arguments.iter().any(|word| {
        ["invalid value", "unrecognized subcommand"]
            .iter()
            .any(|what| said.contains(&format!("{what} '{word}'")))
            && word.chars().any(|c| "<$".contains(c) || c.is_ascii_uppercase())
    });
    let wrong = ["unexpected argument", "unrecognized subcommand", "invalid value", "cannot be used with"];
    (wrong.iter().any(|words| said.contains(words)) && !placeholder).then_some(said)
}

#[test]
fn every_command_of_the_documentation_is_one_that_there_is() {
    let own_commands: Vec<Line> = in_blocks().into_iter().chain(in_prose()).collect();
    let mut tried = BTreeSet::new();
    for Line { place, words } in &own_commands {
        let Some(arguments) = own(words) else { continue };
        if tried.insert(arguments.to_vec()) {
            let refused = refused(arguments);
            assert_eq!(refused, None, "{place}: {}", words.join(" "));
        }
    }
    assert!(tried.len() > 80, "only {} commands were found", tried.len());
}

#[test]
fn every_command_of_the_checkout_is_one_that_there_is() {
    let help = Command::new("bash").arg(pages::root().join("dev")).arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("./dev "))
        .filter_map(|line| line.split_whitespace().next())
        .chain(["help"])
        .collect();
    let spans = pages::all().into_iter().flat_map(|page| {
        let place = page.path.clone();
        page.spans().into_iter().flat_map(move |span| commands(&place, &span)).collect::<Vec<_>>()
    });
    let mut seen = 0;
    for Line { place, words } in in_blocks().into_iter().chain(spans) {
        if let [program, command, ..] = words.as_slice()
            && program == "./dev"
        {
            let command = command.trim_end_matches('…');
            assert!(known.contains(command), "{place}: ./dev {command} is not in ./dev help");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} were found");
}

#[test]
fn every_program_of_the_examples_is_known() {
    for Line { place, words } in in_blocks() {
        let program = words[0].as_str();
        let known = program == "automation" || program == "./dev" || OTHERS.contains(&program);
        assert!(known, "{place}: nobody knows what \"{program}\" is");
    }
}

#[test]
fn every_block_is_of_a_kind_that_is_tried() {
    // text, ini and dockerfile show drawings, what is printed, and files of other programs; promql is for tests of metrics.
    let tried =
        ["sh", "yaml", "json", "sql", "python", "rust", "text", "ini", "promql", "dockerfile", "diff"];
    for block in pages::all().into_iter().flat_map(|page| page.blocks()) {
        assert!(tried.contains(&block.language.as_str()), "{}: {:?}", block.place, block.language);
    }
}
