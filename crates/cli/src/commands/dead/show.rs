//! A dead letter as text for a person who has to decide.

use crate::exit;
use crate::output::{table, time, to_json, yaml};
use crate::terminal::Lines;
use automation_operations::dead_letters::{DeadLetterStatus, Letter};
use serde_json::Value;

/// Everything, to be read.
pub fn text(shown: &Letter) -> Lines {
    let Letter(letter) = shown;
    let version = letter.version.map(|version| format!(" version {version}")).unwrap_or_default();
    let mut lines = Lines::default();
    lines.push(format!("dead letter {} is {}", letter.dead_letter_id, letter.status));
    lines.push(format!(
        "run {} of {}{version} failed at {}",
        letter.run_id,
        letter.workflow,
        time(letter.died_at)
    ));
    if let Some(node) = &letter.node {
        let action = letter.action.as_deref().map(|action| format!(" ({action})")).unwrap_or_default();
        lines.push(format!("at node {node}{action}, visit {}", letter.visit.unwrap_or(1)));
    }
    lines.push(format!("because: {} [{}]", letter.message, letter.code));
    lines.push(format!("signature {}", letter.signature));
    lines.push(match &letter.event {
        Some((source, id, event_type)) => format!("event {event_type} from {source}, id {id}"),
        None => "event not kept any more when it failed".to_owned(),
    });
    lines.push(format!("contact {}, key {}", letter.contact.as_deref().unwrap_or("none"), letter.run_key));
    if let (Some(at), Some(who)) = (letter.changed_at, &letter.changed_by) {
        let note = letter.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        lines.push(format!("{} since {} by {who}{note}", letter.status, time(at)));
    }
    if !letter.attempts.is_empty() {
        lines.push(String::new());
        let attempts: Vec<Value> = shown.attempts().iter().map(to_json).collect();
        lines.extend(table(&["attempt", "at", "code", "status", "message"], &attempts));
    }
    for (title, part) in [("request, as stored", &letter.request), ("last response", &letter.response)] {
        if let Some(part) = part {
            lines.extend(["", &format!("{title}:")]);
            lines.extend(yaml(part));
        }
    }
    lines.push(String::new());
    let next = match letter.status {
        DeadLetterStatus::Open => format!("automation dead replay {} --dry-run", letter.dead_letter_id),
        DeadLetterStatus::Discarded => format!("automation dead restore {}", letter.dead_letter_id),
        DeadLetterStatus::Replayed => format!("automation run explain {}", letter.run_id),
    };
    let next = format!("next: {next}; the whole story: automation run explain {}", letter.run_id);
    lines.push(exit::as_typed(&next));
    lines
}
