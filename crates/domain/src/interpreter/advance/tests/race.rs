//! A run with branches, step by step.

use super::*;

/// A run whose branches are named by the nodes they stand on.
pub(super) struct Race {
    pub(super) workflow: Workflow,
    pub(super) event: RecordedEvent,
    pub(super) state: RunState,
    pub(super) now: DateTime<Utc>,
    pub(super) told: Vec<String>,
}

impl Race {
    pub(super) fn started(text: &str) -> Self {
        Self::with(text, json!({}))
    }

    pub(super) fn with(text: &str, data: Value) -> Self {
        let (workflow, event, told) = (graph(text), event(data), Vec::new());
        let mut race = Self { workflow, event, state: RunState::default(), now: start(), told };
        race.hear(RunEvent::Started { trigger: "start".to_owned() });
        race
    }

    pub(super) fn hear(&mut self, input: RunEvent) -> String {
        // Saved and read again, as between any two claims.
        let state = serde_json::from_str(&serde_json::to_string(&self.state).unwrap()).unwrap();
        static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);
        let run = RunInput { limits: &LIMITS, ..run(&self.event, self.now) };
        let Advanced { state, commands, .. } = advance(&self.workflow, state, [input], run);
        self.state = state;
        let told: Vec<_> =
            commands.iter().map(|command| tell(&self.workflow, &self.state, command)).collect();
        let told = told.join(", ");
        self.told.push(told.clone());
        told
    }

    /// The answer to the latest try of a node, which may be asked for no more.
    pub(super) fn answer(&self, node: &str, kind: Option<FailureKind>) -> RunEvent {
        let standing = self.state.tokens.iter().find(|(_, token)| token.node == node);
        let (token, standing) = standing.expect("a branch stands there");
        let Waits::Action { tries } = standing.waits else { panic!("{standing:?}") };
        let (token, visit, number) = (*token, standing.visit, tries.number());
        let node = self.workflow.node_index(node).unwrap();
        match kind {
            None => {
                let output = json!({ "node": node });
                RunEvent::ActionCompleted { token, node, visit, number, output, vars: Map::new() }
            }
            Some(kind) => RunEvent::ActionFailed { token, node, visit, number, error: failure(), kind },
        }
    }

    pub(super) fn done(&mut self, node: &str) -> String {
        let answer = self.answer(node, None);
        self.hear(answer)
    }

    pub(super) fn fails(&mut self, node: &str) -> String {
        let answer = self.answer(node, Some(FailureKind::Fail));
        self.hear(answer)
    }

    pub(super) fn flaky(&mut self, node: &str) -> String {
        let answer = self.answer(node, Some(FailureKind::Retry { after: None }));
        self.hear(answer)
    }

    pub(super) fn at(&mut self, time: TimeDelta) -> String {
        self.now = start() + time;
        self.hear(RunEvent::TimerFired)
    }

    pub(super) fn stands_on(&self) -> Vec<&str> {
        self.state.tokens.values().map(|token| token.node.as_str()).collect()
    }

    /// What the join said when it was done.
    pub(super) fn joined(&self, input: RunEvent) -> Value {
        let (_, commands) = step(&self.workflow, self.state.clone(), input, &self.event, self.now);
        let steps = commands.iter().filter_map(Command::step);
        steps.into_iter().find(|step| step.action == "parallel").unwrap().detail.clone()
    }
}
