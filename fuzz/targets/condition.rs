//! Any JSON as a condition: it is refused, or holds or not within its budget, and is explained alike.
#![no_main]

use automation_domain::condition::Condition;
use automation_domain::json;
use automation_fuzz::Sample;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (sample, again) = (Sample::default(), Sample::default());
    let Ok(value) = json::parse(bytes, sample.limits().json_depth) else { return };
    let Ok(condition) = Condition::parse(&value, "where", sample.limits()) else { return };
    let holds = condition.holds(&sample.facts());
    let explained = condition.explain(&again.facts());
    if let (Ok(holds), Ok(explained)) = (holds, explained) {
        assert_eq!(holds, explained.holds);
    }
    sample.check();
    again.check();
});
