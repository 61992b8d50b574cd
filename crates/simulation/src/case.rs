//! A case of a file of tests, played.

use crate::judge::{Mismatch, judge};
use crate::setting::{Happening, Setting};
use crate::simulation::{Simulation, TooMuch};
use crate::test_file::{Case, ExpectedRun};
use automation_domain::limits::Limits;
use automation_domain::problem::{Problem, nearest_hint};
use automation_domain::workflow::Workflow;

/// What a case came to.
#[derive(Debug)]
pub struct Played {
    /// What came otherwise than it was expected; empty where the case passed.
    pub mismatches: Vec<Mismatch>,
    /// That it did more than a case may, if it did: then it has not passed.
    pub too_much: Option<TooMuch>,
    /// How it went.
    pub simulation: Simulation,
}

impl Played {
    /// Whether all came as it was expected.
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty() && self.too_much.is_none()
    }
}

/// Plays a case of the `tested` workflow, with others that play along.
///
/// # Errors
///
/// What the case names and the workflows do not have: nodes, ways, schedules, workflows.
pub fn play(
    case: &Case,
    tested: &Workflow,
    others: &[Workflow],
    limits: &Limits,
) -> Result<Played, Vec<Problem>> {
    let problems = unknown(case, tested, others);
    if !problems.is_empty() {
        return Err(problems);
    }
    let given = &case.given;
    let setting =
        Setting { zone: given.timezone, limits: limits.clone(), ..Setting::new(&given.tenant, given.at) };
    let mut simulation = Simulation::new(setting);
    for workflow in std::iter::once(tested).chain(others) {
        simulation.add_workflow(workflow.clone(), 1, None);
    }
    for contact in &given.contacts {
        contact.fill(simulation.contact_mut(&contact.subject));
    }
    for (node, answers) in &case.answers {
        let (workflow, node) = named(node, tested);
        simulation.answer(workflow, node, answers.clone());
    }
    for (moment, happening) in &case.when {
        simulation.happens(moment.from(given.at), of(happening, tested));
    }
    let too_much = simulation.play(case.until.map(|until| until.from(given.at))).err();
    let path = format!("{}.expect", case.path);
    let mismatches = judge(&simulation, &case.expect, &path, &tested.key);
    Ok(Played { mismatches, too_much, simulation })
}

/// A schedule that names no workflow is the tested one's.
fn of(happening: &Happening, tested: &Workflow) -> Happening {
    match happening {
        Happening::Slot { workflow, trigger } if workflow.is_empty() => {
            Happening::Slot { workflow: tested.key.clone(), trigger: trigger.clone() }
        }
        Happening::Slot { .. } | Happening::Event { .. } => happening.clone(),
    }
}

/// `<node>` of the tested workflow, or `<workflow>/<node>`.
fn named<'n>(name: &'n str, tested: &'n Workflow) -> (&'n str, &'n str) {
    name.split_once('/').unwrap_or((&tested.key, name))
}

/// Names that nothing has: a case that says something of a node that is not there would pass whatever happens.
fn unknown(case: &Case, tested: &Workflow, others: &[Workflow]) -> Vec<Problem> {
    let all: Vec<&Workflow> = std::iter::once(tested).chain(others).collect();
    let mut names = Names { all, problems: Vec::new() };
    for (index, workflow) in others.iter().enumerate() {
        if names.all[..=index].iter().any(|before| before.key == workflow.key) {
            let message = format!("two workflows of the case have the key \"{}\"", workflow.key);
            let at = format!("{}.given.with[{index}]", case.path);
            names.problems.push(Problem::new("duplicate_id", at, message));
        }
    }
    for (name, _) in &case.answers {
        let (workflow, node) = named(name, tested);
        names.node(workflow, node, &format!("{}.answers.{name}", case.path));
    }
    for (_, happening) in &case.when {
        if let Happening::Slot { workflow, trigger } = of(happening, tested) {
            names.schedule(&workflow, &trigger, &format!("{}.when", case.path));
        }
    }
    for run in case.expect.runs.iter().flatten() {
        names.run(run, tested);
    }
    names.problems
}

struct Names<'w> {
    all: Vec<&'w Workflow>,
    problems: Vec<Problem>,
}

impl<'w> Names<'w> {
    fn workflow(&mut self, key: &str, at: &str) -> Option<&'w Workflow> {
        let found = self.all.iter().copied().find(|workflow| workflow.key == key);
        if found.is_none() {
            let hint = nearest_hint(key, self.all.iter().map(|workflow| workflow.key.as_str()));
            let message = format!("no workflow \"{key}\" plays along{hint}");
            self.problems.push(Problem::new("unknown_workflow", at, message));
        }
        found
    }

    fn node(&mut self, workflow: &str, node: &str, at: &str) {
        let Some(workflow) = self.workflow(workflow, at) else { return };
        if workflow.node_index(node).is_none() {
            let hint = nearest_hint(node, workflow.nodes.iter().map(|node| node.id.as_str()));
            let message = format!("\"{}\" has no node \"{node}\"{hint}", workflow.key);
            self.problems.push(Problem::new("unknown_node", at, message));
        }
    }

    fn schedule(&mut self, workflow: &str, trigger: &str, at: &str) {
        let Some(workflow) = self.workflow(workflow, at) else { return };
        if workflow.trigger(trigger).is_none_or(|trigger| trigger.schedule.is_none()) {
            let known = workflow.triggers.iter().filter(|trigger| trigger.schedule.is_some());
            let hint = nearest_hint(trigger, known.map(|trigger| trigger.id.as_str()));
            let message = format!("\"{}\" has no schedule \"{trigger}\"{hint}", workflow.key);
            self.problems.push(Problem::new("unknown_node", at, message));
        }
    }

    fn run(&mut self, run: &ExpectedRun, tested: &Workflow) {
        let workflow = run.workflow.as_deref().unwrap_or(&tested.key);
        if self.workflow(workflow, &format!("{}.workflow", run.path)).is_none() {
            return;
        }
        let lists: [(&str, &[String]); 4] = [
            ("steps", run.steps.as_deref().unwrap_or_default()),
            ("passes", &run.passes),
            ("never", &run.never),
            ("waits_at", run.waits_at.as_deref().unwrap_or_default()),
        ];
        for (key, nodes) in lists {
            for (index, node) in nodes.iter().enumerate() {
                self.node(workflow, node, &format!("{}.{key}[{index}]", run.path));
            }
        }
        for (key, nodes) in [("ways", &run.ways), ("outputs", &run.outputs), ("errors", &run.errors)] {
            for node in nodes.keys() {
                self.node(workflow, node, &format!("{}.{key}.{node}", run.path));
            }
        }
    }
}
