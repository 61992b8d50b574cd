//! Any expression and any text, parted by a line break: the expression is refused, or looked for within the budget.
#![no_main]

use automation_domain::condition::Condition;
use automation_domain::contact::Contact;
use automation_domain::facts::Facts;
use automation_fuzz::Sample;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: &str| {
    let Some((pattern, text)) = input.split_once('\n') else { return };
    let sample = Sample::default();
    let condition = json!({ "field": "contact.fields.text", "op": "regex_match", "value": pattern });
    let Ok(condition) = Condition::parse(&condition, "where", sample.limits()) else { return };
    let facts = sample.facts();
    let mut contact = facts.contact.map_or_else(|| unreachable!("the sample has one"), Contact::clone);
    contact.fields.insert("text".into(), text.into());
    // Either way: what matters is what it was charged.
    let _ = condition.holds(&Facts { contact: Some(&contact), ..facts });
    sample.check();
});
