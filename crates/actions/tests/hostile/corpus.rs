//! The corpus's own notation: an entry a line, in which `@20(text)@` stands for twenty times `text`.

/// The entries of a file, each as it is written and written out. Lines that begin with `#` are remarks.
pub fn lines(file: &str) -> impl Iterator<Item = (&str, String)> {
    file.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| (line, written_out(line)))
}

/// Repetitions do not nest; the first closing `)@` ends one.
fn written_out(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('@') {
        let repeated = rest[at + 1..].split_once('(').and_then(|(count, behind)| {
            let (part, behind) = behind.split_once(")@")?;
            Some((count.parse::<usize>().ok()?, part, behind))
        });
        let Some((count, part, behind)) = repeated else {
            text.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        };
        text.push_str(&rest[..at]);
        text.push_str(&part.repeat(count));
        rest = behind;
    }
    text + rest
}

#[test]
fn repetitions_are_written_out() {
    assert_eq!(written_out("a@3(bc)@d@2(()@"), "abcbcbcd((");
    assert_eq!(written_out("a@b @x(y)@ @2"), "a@b @x(y)@ @2");
}
