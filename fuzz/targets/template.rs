//! Any text as a template: it is refused, or renders within its budget to something that can be stored.
#![no_main]

use automation_domain::template::Template;
use automation_fuzz::Sample;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let sample = Sample::default();
    let Ok(template) = Template::parse(text, "text", sample.limits()) else { return };
    if let Ok(value) = template.render(&sample.facts()) {
        let text = value.to_string();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
    sample.check();
});
