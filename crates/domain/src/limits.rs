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
    /// Most edges in a workflow. Default 10,000.
    pub edges: usize,
    /// Most triggers in a workflow. Default 100.
    pub triggers: usize,
    /// Most templates in a workflow. Default 4,000.
    pub templates: usize,
    /// Most comparisons in a workflow's conditions. Default 4,000.
    pub comparisons: usize,
    /// Most regular expressions in a workflow. Default 100.
    pub regexes: usize,
    /// Bytes that a workflow's templates, conditions and values may take together once compiled. Default 4 MiB.
    pub expression_bytes: usize,
    /// Largest template, in bytes. Default 64 KiB.
    pub template_bytes: usize,
    /// Steps that everything evaluated for one event and workflow, or for one step of a run, may take together; see
    /// [`crate::budget`]. Default 500,000.
    pub evaluation_steps: u64,
    /// Bytes that it may make together. Default 4 MiB.
    pub evaluation_bytes: u64,
    /// Largest compiled regular expression, in bytes. Default 256 KiB.
    pub regex_bytes: usize,
    /// Bytes of compiled workflows that a process keeps in each of its caches, about. Default 96 MiB.
    pub cache_bytes: usize,
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
            edges: 10_000,
            triggers: 100,
            templates: 4_000,
            comparisons: 4_000,
            regexes: 100,
            expression_bytes: 4 * 1024 * 1024,
            template_bytes: 64 * 1024,
            evaluation_steps: 500_000,
            evaluation_bytes: 4 * 1024 * 1024,
            regex_bytes: 256 * 1024,
            cache_bytes: 96 * 1024 * 1024,
            variables_bytes: 1024 * 1024,
            output_bytes: 256 * 1024,
            steps: 10_000,
            causation_depth: 5,
            schedule_seconds: 1,
        }
    }
}
