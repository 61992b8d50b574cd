//! What to do about a refusal, for whoever types commands.

use automation_operations::Refusal;

/// The line behind `next:`.
pub fn next(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoTenant(_) => "automation tenant list",
        Refusal::TenantKey(_) => "use lower-case letters, digits and hyphens, at most 63",
        Refusal::TenantExists(_) => "choose another, or add --if-not-exists",
        Refusal::TimeZone(_) => "write it as Europe/Berlin",
        Refusal::NoQuota { tenant, .. } => return format!("automation tenant usage {tenant} lists them"),
        Refusal::NoRetention(_) => "automation tenant retention KEY lists them",
        Refusal::RetentionDays { .. } => "write it as 14d, or default",
        Refusal::RetentionCounted(_) => "add --force where their figures may become smaller",
        Refusal::PublisherName => "give its name with --user",
        Refusal::EngineMadePublisher(_) => "automation apikey, automation hook",
        Refusal::TypePattern(_) => {
            "write types as form.submitted, all that begin alike as form.*, or * for every type"
        }
        Refusal::ForeignBrokerUser(_) => {
            "choose another name, or grant without --create-user and set its permissions yourself: docs/events.md"
        }
        Refusal::NoGrant { tenant, .. } => return format!("automation tenant grants {tenant}"),
        Refusal::ExpiryIsOver(_) => "give --expires a time to come: 90d, 2027-01-31",
        Refusal::ApiKeyName(_) => {
            "use lower-case letters, digits, - and _, at most 64, a letter or digit first"
        }
        Refusal::ApiKeyExists(name) => {
            return format!("choose another name, or automation apikey revoke {name}");
        }
        Refusal::ApiKeyRevoked(_) | Refusal::NoGoodApiKey(_) => "automation apikey list",
        Refusal::CredentialKey(_) => "use lower-case letters, digits, - and _, at most 64",
        Refusal::Scheme(_) => "automation credential set --help",
        Refusal::AllowedHost(_) => "name hosts as host or host:port",
        Refusal::NoSecret | Refusal::Secret(_) => "give the secret on standard input or with --from-file",
        Refusal::NoCredential(_) => "automation credential list",
        Refusal::CredentialTampered { key, .. } => {
            return format!(
                "automation credential show {key} says what stands there now; automation credential set {key} makes it right"
            );
        }
        Refusal::HookName(_) => {
            "use lower-case letters, digits, - and _, at most 64, a letter or digit first"
        }
        Refusal::HookHeader(_) => "name headers as they are sent, without their values",
        Refusal::SignedHasIdHeader => "leave --id-header out, or choose --verification token",
        Refusal::HookExists(name) => {
            return format!("choose another name, or automation hook rotate {name}");
        }
        Refusal::NoHook(_) => "automation hook list",
        Refusal::HookTampered { .. } => {
            "automation hook list says what stands there now; delete it, and make it anew"
        }
        Refusal::NoWorkflow(_) => "automation workflow list",
        Refusal::NoVersion { key, .. } => return format!("automation workflow versions {key}"),
        Refusal::Unchanged(_) => "nothing is to be done",
        Refusal::Definition(_) => "mend what is listed; docs/errors.md explains each code",
        Refusal::NoDraft(_) => "automation workflow draft list",
        Refusal::DraftChanged { key, .. } => {
            return format!("look at what is there: automation workflow draft show {key}, automation workflow show {key}");
        }
        Refusal::DraftOutdated { key, .. } => {
            return format!("automation workflow diff {key} --draft says what it would change; then publish it with --force");
        }
        Refusal::WorkflowKey(_) => "use lower-case letters, digits, - and _, at most 64, a letter or digit first",
        Refusal::WorkflowExists(_) => "choose another key; automation workflow list, automation workflow draft list",
        Refusal::Archived(key) => return format!("automation workflow unarchive {key}"),
        Refusal::NotArchived(key) => return format!("automation workflow archive {key}"),
        Refusal::ChangedElsewhere(_) => {
            "automation workflow plan says what; take it into the file (automation workflow export), or apply with --force"
        }
        Refusal::HeldRuns { key, .. } => {
            return format!("automation workflow resume {key}; or archive it with --cancel-runs");
        }
        Refusal::RunsOpen { key, .. } => {
            return format!("wait for them, or end them: automation run cancel --workflow {key}");
        }
        Refusal::PartName(_) => {
            "name trigger/<id>, node/<id> or enrolment, as automation workflow list shows it"
        }
        Refusal::NoSchedule(_) => "automation schedule list; a schedule is named <workflow>/<trigger>",
        Refusal::ScheduleUnreadable { .. } => "it was published by a newer version: use that one",
        Refusal::NoRun(_) => "automation run list",
        Refusal::NoRunFits => "automation run list",
        Refusal::StatusEnded(_) => "use queued, running, waiting or paused",
        Refusal::NotPaused(id) | Refusal::PauseOver { id, .. } => return format!("automation run explain {id} says what it waits for"),
        Refusal::NoApproval(_) => "automation approval list --status all",
        Refusal::ApprovalClosed { id, .. } | Refusal::ApprovalTooLate { id, .. } => return format!("automation approval show {id}"),
        Refusal::CommentTooLong { .. } => "shorten it",
        Refusal::RunEnded { id, .. } | Refusal::RunAlready { id, .. } => return format!("automation run show {id}"),
        Refusal::Unsettled { .. } => "automation doctor",
        Refusal::NoContact { .. } => "give the subject that events carry, or an e-mail address",
        Refusal::EventName(_) => "say who published it: --source <source>, or <source>/<id>",
        Refusal::EventGone(_) => "automation workflow list; automation parked list",
        Refusal::NoEvent(_) => {
            "see what was refused: automation parked list; an id of the publisher's own needs --source; events are kept \
             for a time: docs/configuration.md"
        }
        Refusal::EventParked { parked, .. } => return format!("automation parked show {parked}"),
        Refusal::NoDeadLetter(_) | Refusal::NoDeadLetterFits(_) => "automation dead list --status all",
        Refusal::NoGroup(_) => "automation dead list --group --status all",
        Refusal::GroupText { .. } => "shorten it",
        Refusal::OneEdit => "name one id",
        Refusal::CanaryFailed { .. } => "automation dead list: the latest letters say why",
        Refusal::CanaryPending { .. } => {
            "automation run explain says what they wait for; repeat the command, with a longer --canary-wait"
        }
        Refusal::CanaryStopped => "repeat the command",
        Refusal::NoParkedEvent(_) | Refusal::NoParkedEventFits(_) => "automation parked list --status all",
        Refusal::NoNotice(_) => "automation notice list --all",
        Refusal::NoticeDismissed(_) => "nothing is to be done",
        Refusal::Cursor => "give the cursor that the page before ended with",
        Refusal::NoEntryFits => "automation audit list shows actors, subjects and numbers as they are named here",
        Refusal::NoHead => "automation audit head --json",
        Refusal::AuditChanged(_) | Refusal::AuditPutBack(_) => {
            "compare with a backup of the database; whoever changed it had the rights of its owner"
        }
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_with_what_it_needs() {
        let tenant = || "demo".to_owned();
        let name = || "shop".to_owned();
        for (refusal, expected) in [
            (
                Refusal::NoQuota { tenant: tenant(), table: "evnts".to_owned() },
                "automation tenant usage demo",
            ),
            (Refusal::NoGrant { user: name(), tenant: tenant() }, "automation tenant grants demo"),
            (Refusal::ApiKeyExists(name()), "automation apikey revoke shop"),
            (Refusal::HookExists(name()), "automation hook rotate shop"),
            (
                Refusal::CredentialTampered { key: name(), why: String::new() },
                "automation credential show shop",
            ),
        ] {
            assert!(next(&refusal).contains(expected), "{}", next(&refusal));
        }
    }
}
