//! Results as JUnit XML, as servers of continuous integration read it: a suite for each file, a case for each case.

use super::{Tested, story};
use crate::terminal::Lines;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// The report. What XML cannot hold, and what a terminal would obey, is written as JSON writes it.
pub(super) fn report(results: &[Tested]) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut suites = BytesStart::new("testsuites");
    counts(&mut suites, results.iter());
    writer.write_event(Event::Start(suites))?;
    for of_file in results.chunk_by(|one, other| one.file == other.file) {
        suite(&mut writer, of_file)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut written = writer.into_inner();
    written.push(b'\n');
    Ok(written)
}

fn suite(writer: &mut Writer<Vec<u8>>, of_file: &[Tested]) -> std::io::Result<()> {
    let file = visible(of_file.first().map_or("", |result| &result.file));
    let mut suite = BytesStart::new("testsuite");
    suite.push_attribute(("name", file.as_str()));
    counts(&mut suite, of_file.iter());
    writer.write_event(Event::Start(suite))?;
    for result in of_file {
        let mut case = BytesStart::new("testcase");
        case.push_attribute(("classname", file.as_str()));
        case.push_attribute(("name", visible(&result.name).as_str()));
        case.push_attribute(("time", "0"));
        if result.played.passed() {
            writer.write_event(Event::Empty(case))?;
            continue;
        }
        writer.write_event(Event::Start(case))?;
        let why = result.why();
        let mut failure = BytesStart::new("failure");
        failure.push_attribute(("message", visible(why.first().map_or("", String::as_str)).as_str()));
        failure.push_attribute(("type", "expectation"));
        writer.write_event(Event::Start(failure))?;
        let lines = why.into_iter().chain(["how it went:".to_owned()]);
        let text = Lines::from_iter(lines.chain(story::told(&result.played.simulation))).text();
        writer.write_event(Event::Text(BytesText::new(&text)))?;
        writer.write_event(Event::End(BytesEnd::new("failure")))?;
        writer.write_event(Event::End(BytesEnd::new("testcase")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))
}

fn counts<'r>(element: &mut BytesStart<'_>, results: impl Iterator<Item = &'r Tested>) {
    let (mut tests, mut failures) = (0, 0);
    for result in results {
        tests += 1;
        failures += usize::from(!result.played.passed());
    }
    element.push_attribute(("tests", tests.to_string().as_str()));
    element.push_attribute(("failures", failures.to_string().as_str()));
    element.push_attribute(("errors", "0"));
}

fn visible(text: &str) -> String {
    Lines::from(text).text()
}
