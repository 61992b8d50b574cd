//! Where an event comes from that is one link too many of its chain of causes: of ordinary events nobody asks.

use crate::claim::Claimed;
use crate::plan::Settlement;
use automation_domain::interpreter::Command;

/// The workflow and the node of the `change`th change, where `of` has the settlement of each; the workflow alone where the
/// node is not known.
pub(crate) fn of(claimed: &Claimed, of: &[&Settlement], change: usize) -> Option<String> {
    let settlement = of[change];
    let number = of[..change].iter().rev().take_while(|one| std::ptr::eq(**one, settlement)).count();
    let workflow = &claimed.workflow(&settlement.run)?.key;
    Some(match node(&settlement.commands, number) {
        Some(node) => format!("{workflow}/{node}"),
        None => workflow.clone(),
    })
}

/// The node whose step makes the `number`th change: what a step changes stands before its line in the history.
fn node(commands: &[Command], number: usize) -> Option<&str> {
    let mut changes = commands.iter().enumerate().filter(|(_, command)| command.change().is_some());
    let (place, _) = changes.nth(number)?;
    let step = commands[place..].iter().find_map(Command::step)?;
    Some(step.node.as_str()).filter(|node| !node.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::id::{ContactId, RecordId};
    use automation_domain::interpreter::{Step, StepOutcome};
    use automation_domain::record::{Note, RecordChange};

    #[test]
    fn a_change_is_that_of_the_step_whose_line_follows_it() {
        let change = || {
            Command::Change(RecordChange::AddNote(Note {
                note_id: RecordId(uuid::Uuid::nil()),
                contact_id: ContactId(uuid::Uuid::nil()),
                text: String::new(),
            }))
        };
        let line = |node: &str| {
            Command::Log(Step {
                node: node.to_owned(),
                action: "add_note".to_owned(),
                visit: 1,
                outcome: StepOutcome::Completed,
                detail: serde_json::Value::Null,
            })
        };
        let commands =
            [line("start"), change(), change(), line("a"), line("b"), change(), line("c"), change()];
        let nodes: Vec<_> = (0..5).map(|number| node(&commands, number)).collect();
        assert_eq!(nodes, [Some("a"), Some("a"), Some("c"), None, None]);
    }
}
