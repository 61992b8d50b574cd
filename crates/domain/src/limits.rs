//! Every limit on what comes from outside, in one place.

/// Limits that are checked before anything is stored; each refusal names the limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest single event, in bytes as received. Default 256 KiB.
    pub event_bytes: usize,
    /// Largest batch message, in bytes. Default 4 MiB.
    pub batch_bytes: usize,
    /// Most events in a batch message. Default 500.
    pub batch_events: usize,
    /// Deepest nesting of JSON. Default 64.
    pub json_depth: usize,
    /// Largest workflow definition, in bytes. Default 1 MiB.
    pub definition_bytes: usize,
    /// Most nodes in a workflow. Default 1,000.
    pub nodes: usize,
    /// Largest template, in bytes. Default 64 KiB.
    pub template_bytes: usize,
    /// Steps that everything evaluated for one event and workflow, or for one step of a run, may take together; see
    /// [`crate::budget`]. Default 500,000.
    pub evaluation_steps: u64,
    /// Bytes that it may make together. Default 4 MiB.
    pub evaluation_bytes: u64,
    /// Largest compiled regular expression, in bytes. Default 256 KiB.
    pub regex_bytes: usize,
    /// Largest variables of a run, in bytes of JSON. Default 1 MiB.
    pub variables_bytes: usize,
    /// Largest output of a step, in bytes of JSON. Default 256 KiB.
    pub output_bytes: usize,
    /// Most steps of a run. Default 10,000.
    pub steps: u32,
    /// Longest chain of events that cause each other. Default 5.
    pub causation_depth: u16,
    /// Shortest time between two slots of a schedule, in seconds. Default 1.
    pub schedule_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 256 * 1024,
            batch_bytes: 4 * 1024 * 1024,
            batch_events: 500,
            json_depth: 64,
            definition_bytes: 1024 * 1024,
            nodes: 1_000,
            template_bytes: 64 * 1024,
            evaluation_steps: 500_000,
            evaluation_bytes: 4 * 1024 * 1024,
            regex_bytes: 256 * 1024,
            variables_bytes: 1024 * 1024,
            output_bytes: 256 * 1024,
            steps: 10_000,
            causation_depth: 5,
            schedule_seconds: 1,
        }
    }
}
