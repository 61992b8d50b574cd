//! Tests of workflows, as files: read as strictly as workflows are. Every key is known, every problem has its path.

mod expected;
mod given;
mod happens;
mod moment;
mod schema;

pub use expected::{Expected, ExpectedRun, Listed};
pub use given::{Given, GivenContact, given_contact};
pub use moment::Moment;
pub use schema::schema;

use crate::answers::{Answer, Failure};
use crate::setting::Happening;
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::{self, Keys, NodeTypes, Reader, Section};
use serde_json::Value;

/// Most cases of a file.
pub const MOST_CASES: usize = 500;
/// Most that happens in a case.
pub const MOST_HAPPENINGS: usize = 1_000;
/// Most answers of a node.
pub const MOST_ANSWERS: usize = 100;

/// A file of tests.
#[derive(Clone, PartialEq, Debug)]
pub struct TestFile {
    /// The file of the workflow, seen from this one; the one beside it with the same name where none is named.
    pub workflow: Option<String>,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    /// What it shows, in a few words.
    pub name: String,
    /// Where it stands: `cases[0]`.
    pub path: String,
    /// What there is before anything happens.
    pub given: Given,
    /// What happens, and when.
    pub when: Vec<(Moment, Happening)>,
    /// What requests come to, by node; of another workflow as `<workflow>/<node>`.
    pub answers: Vec<(String, Vec<Answer>)>,
    /// How long it plays; without it until nothing more would happen.
    pub until: Option<Moment>,
    /// What is to come of it.
    pub expect: Expected,
}

const FILE: Keys = Keys { what: "a file of tests", known: &["workflow", "cases"], later: &[] };
const CASE: Keys =
    Keys { what: "a case", known: &["name", "given", "when", "answers", "until", "expect"], later: &[] };
const ANSWER: Keys = Keys { what: "an answer", known: &["status", "headers", "body", "failure"], later: &[] };

/// Reads a file of tests, in YAML or JSON.
///
/// # Errors
///
/// Everything that is wrong with it, each with its path.
pub fn read(text: &str, limits: &Limits) -> Result<TestFile, Vec<Problem>> {
    let document = workflow::read(text, limits).map_err(|problem| vec![problem])?;
    let types = NodeTypes::default();
    let mut reader = Reader::new(&types, limits);
    let file = file(&mut reader, &document);
    let problems = reader.into_problems();
    match file {
        Some(file) if problems.is_empty() => Ok(file),
        Some(_) | None => Err(problems),
    }
}

fn file(reader: &mut Reader<'_>, document: &Value) -> Option<TestFile> {
    let section = reader.section(document, "", &FILE)?;
    let workflow = match section.get("workflow") {
        Some(_) => Some(reader.text(section, "workflow")?.to_owned()),
        None => None,
    };
    reader.required(section, "cases")?;
    let listed = bounded(reader, section, "cases", MOST_CASES)?;
    if listed.is_empty() {
        return reader.problem("bad_value", "cases", "needs at least one case");
    }
    let cases: Vec<Option<Case>> =
        listed.iter().enumerate().map(|(index, one)| case(reader, one, format!("cases[{index}]"))).collect();
    for (index, case) in cases.iter().flatten().enumerate() {
        if cases.iter().flatten().take(index).any(|before| before.name == case.name) {
            let message = format!("\"{}\" is the name of two cases", case.name);
            reader.problem::<()>("duplicate_id", format!("{}.name", case.path), message);
        }
    }
    Some(TestFile { workflow, cases: cases.into_iter().collect::<Option<_>>()? })
}

fn case(reader: &mut Reader<'_>, value: &Value, path: String) -> Option<Case> {
    let section = reader.section(value, &path, &CASE)?;
    let name = reader.text(section, "name").map(str::to_owned);
    let given = given::read(reader, section);
    let when = happens::read(reader, section);
    let answers = answers(reader, section);
    let until = moment::optional(reader, section, "until");
    let expect = expected::read(reader, section);
    Some(Case {
        name: name?,
        given: given?,
        when: when?,
        answers: answers?,
        until: until?,
        expect: expect?,
        path,
    })
}

fn answers(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Vec<(String, Vec<Answer>)>> {
    let Some(value) = section.get("answers") else { return Some(Vec::new()) };
    let at = section.at("answers");
    let Value::Object(members) = value else {
        return reader.problem("wrong_type", at, "answers are an object, by node");
    };
    let of_node = |(node, value): (&String, &Value)| {
        let at = format!("{at}.{node}");
        let (one, listed) = ([value.clone()], value.as_array());
        let listed = listed.map_or(&one[..], Vec::as_slice);
        if listed.is_empty() || listed.len() > MOST_ANSWERS {
            return reader.problem("bad_value", at, format!("takes 1 to {MOST_ANSWERS} answers"));
        }
        let place = |index| if value.is_array() { format!("{at}[{index}]") } else { at.clone() };
        let all: Vec<Option<Answer>> =
            listed.iter().enumerate().map(|(index, one)| answer(reader, one, &place(index))).collect();
        Some((node.clone(), all.into_iter().collect::<Option<Vec<_>>>()?))
    };
    let all: Vec<Option<_>> = members.iter().map(of_node).collect();
    all.into_iter().collect()
}

/// Reads what a request comes to.
fn answer(reader: &mut Reader<'_>, value: &Value, at: &str) -> Option<Answer> {
    let section = reader.section(value, at, &ANSWER)?;
    if section.get("failure").is_some() {
        for key in ["status", "headers", "body"].into_iter().filter(|key| section.get(key).is_some()) {
            let message = "an answer that does not come has none";
            reader.problem::<()>("bad_value", section.at(key), message);
        }
        return reader.choice(section, "failure", &Failure::ALL).map(Answer::Failure);
    }
    let status = reader.required(section, "status")?;
    let status = status.as_u64().filter(|status| matches!(status, 200..=299 | 400..=599));
    let Some(status) = status.and_then(|status| u16::try_from(status).ok()) else {
        let message = "is a number from 200 to 299 or from 400 to 599: redirects are not followed here";
        return reader.problem("bad_value", section.at("status"), message);
    };
    let headers = match section.get("headers") {
        None => Some(Default::default()),
        Some(Value::Object(headers)) => headers
            .iter()
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<Option<_>>(),
        Some(_) => None,
    };
    let Some(headers) = headers else {
        return reader.problem("wrong_type", section.at("headers"), "are texts by name");
    };
    Some(Answer::Status { status, headers, body: section.get("body").cloned().unwrap_or_default() })
}

/// One answer of a command line: `503`, `timeout`, or an object as files have it.
///
/// # Errors
///
/// What is wrong with it.
pub fn answer_of(value: &Value, at: &str, limits: &Limits) -> Result<Answer, Vec<Problem>> {
    let types = NodeTypes::default();
    let mut reader = Reader::new(&types, limits);
    let answer = answer(&mut reader, value, at);
    answer.ok_or_else(|| reader.into_problems())
}

/// What happens, as the `when` of a case says it: one entry or a list of such. An event may be a CloudEvent too, as publishers
/// send it.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn happenings(document: &Value, limits: &Limits) -> Result<Vec<(Moment, Happening)>, Vec<Problem>> {
    let types = NodeTypes::default();
    let mut reader = Reader::new(&types, limits);
    let one = [document.clone()];
    let entries = document.as_array().map_or(&one[..], Vec::as_slice);
    let entries: Vec<Value> = entries.iter().map(happens::of_cloudevent).collect();
    let document = serde_json::json!({ "when": entries });
    let section = reader.section(&document, "", &CASE);
    let read = section.and_then(|section| happens::read(&mut reader, section));
    let problems = reader.into_problems();
    read.filter(|_| problems.is_empty()).ok_or(problems)
}

/// A list with so many entries at most; a missing one is empty.
fn bounded<'v>(reader: &mut Reader<'_>, section: Section<'v>, key: &str, most: usize) -> Option<&'v [Value]> {
    let all = reader.list(section, key)?;
    if all.len() > most {
        let message = format!("has {} entries; at most {most} are allowed", all.len());
        return reader.problem("bad_value", section.at(key), message);
    }
    Some(all)
}

/// A list of texts; a missing one is empty.
fn texts(reader: &mut Reader<'_>, section: Section<'_>, key: &str) -> Option<Vec<String>> {
    let all = bounded(reader, section, key, MOST_HAPPENINGS)?;
    let mut read = Vec::with_capacity(all.len());
    for (index, one) in all.iter().enumerate() {
        let Some(text) = one.as_str() else {
            let at = format!("{}[{index}]", section.at(key));
            return reader.problem("wrong_type", at, "must be a text");
        };
        read.push(text.to_owned());
    }
    Some(read)
}
