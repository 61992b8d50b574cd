//! What is refused, and nothing was done.

use automation_domain::id::{ApprovalId, DeadLetterId, NoticeId, RunId};
use automation_domain::problem::Problem;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Why something is refused; its text is a sentence for people, without what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// No tenant has the key.
    #[error("there is no tenant \"{0}\"")]
    NoTenant(String),
    /// It breaks the rule for keys of tenants.
    #[error("\"{0}\" is not a tenant's key")]
    TenantKey(String),
    /// Another tenant has the key.
    #[error("the key \"{0}\" is taken")]
    TenantExists(String),
    /// It is no time zone: what to write instead.
    #[error("{0}")]
    TimeZone(String),
    /// No table with a quota has the name.
    #[error("there is no table \"{table}\" with a quota")]
    NoQuota {
        /// The tenant's key.
        tenant: String,
        /// The table.
        table: String,
    },
    /// Nothing of the name has a retention.
    #[error("\"{0}\" has no retention of its own: what has is events, runs, run_logs and dead_letters")]
    NoRetention(String),
    /// Too few days, or too many.
    #[error("{days} days are no retention: it is {least} to {most} days")]
    RetentionDays {
        /// Those asked for.
        days: i32,
        /// The fewest.
        least: i32,
        /// The most.
        most: i32,
    },
    /// Published workflows count events of more days: each with its days.
    #[error("workflows count events of more days: {}", .0.iter().map(|(key, days)| format!("{key} ({days}d)")).collect::<Vec<_>>().join(", "))]
    RetentionCounted(Vec<(String, i32)>),
    /// The broker has no user with such a name.
    #[error("a user of the broker has a name of 1 to 255 bytes")]
    PublisherName,
    /// The grant of an API key or a webhook comes and goes with it.
    #[error("{0} is an API key or a webhook, whose grant comes and goes with it")]
    EngineMadePublisher(String),
    /// No type of an event matches.
    #[error("no event has a type like \"{0}\"")]
    TypePattern(String),
    /// The user on the broker was made by somebody else.
    #[error("the broker has a user \"{0}\" that was not made by this command, and it stays as it is")]
    ForeignBrokerUser(String),
    /// The user may publish nothing for the tenant.
    #[error("user {user} has no grant for tenant {tenant}")]
    NoGrant {
        /// The broker's user.
        user: String,
        /// The tenant's key.
        tenant: String,
    },
    /// An end has to be to come.
    #[error("{0} is over already")]
    ExpiryIsOver(DateTime<Utc>),
    /// It breaks the rule for names.
    #[error("\"{0}\" is no name of a key")]
    ApiKeyName(String),
    /// Another key has the name.
    #[error("there is a key \"{0}\" already")]
    ApiKeyExists(String),
    /// No key of the name is there, or it is revoked.
    #[error("there is no key \"{0}\" that is not revoked")]
    ApiKeyRevoked(String),
    /// No key of the name is there, or none that is good.
    #[error("no key \"{0}\" is good")]
    NoGoodApiKey(String),
    /// It breaks the rule for keys of credentials.
    #[error("\"{0}\" is not a credential's key")]
    CredentialKey(String),
    /// How the secret is put on a request cannot be read: what is wrong.
    #[error("{0}")]
    Scheme(String),
    /// Where the secret may be sent cannot be read: what is wrong.
    #[error("{0}")]
    AllowedHost(String),
    /// Nothing was given.
    #[error(
        "no secret was given; it is asked for again whatever is changed, since it is encrypted together with where and how it \
         is sent [secret_required]"
    )]
    NoSecret,
    /// The secret cannot be sent in this way: what is wrong.
    #[error("{0}")]
    Secret(String),
    /// No credential has the key.
    #[error("there is no credential \"{0}\"")]
    NoCredential(String),
    /// What decides where and how it is sent was changed since its secret was set.
    #[error("credential {key} is not as it was set: {why} [credential_tampered]")]
    CredentialTampered {
        /// Its key.
        key: String,
        /// What does not fit.
        why: String,
    },
    /// It breaks the rule for names.
    #[error("\"{0}\" is no name of a webhook")]
    HookName(String),
    /// A header cannot become part of an event: what is wrong.
    #[error("{0}")]
    HookHeader(String),
    /// A signature covers the delivery's id, so no other header says it.
    #[error("a signed call says which delivery it is in webhook-id")]
    SignedHasIdHeader,
    /// Another webhook has the name.
    #[error("there is a webhook \"{0}\" already")]
    HookExists(String),
    /// No webhook has the name.
    #[error("there is no webhook \"{0}\"")]
    NoHook(String),
    /// It was changed since its secrets were made.
    #[error("webhook {name} is not as it was made: {why} [hook_tampered]")]
    HookTampered {
        /// Its name.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// No workflow has the key.
    #[error("there is no workflow \"{0}\"")]
    NoWorkflow(String),
    /// The workflow has no version of that number.
    #[error("workflow {key} has no version {version}")]
    NoVersion {
        /// The workflow's key.
        key: String,
        /// The number.
        version: i32,
    },
    /// What is to be published is what is published.
    #[error("workflow {0} is published like this already")]
    Unchanged(String),
    /// What is to be published cannot be run: everything that is wrong with it.
    #[error("the definition has {}", told(.0))]
    Definition(Vec<Problem>),
    /// No draft has the key.
    #[error("there is no draft of workflow \"{0}\"")]
    NoDraft(String),
    /// Something else was saved since.
    #[error("workflow {key} stands at {found}, not at {expected}: somebody saved something since")]
    DraftChanged {
        /// The workflow's key.
        key: String,
        /// What was based on.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Another version was published since the draft was begun.
    #[error("the draft of {key} was begun from {base}, and something else is published")]
    DraftOutdated {
        /// The workflow's key.
        key: String,
        /// What it was begun from.
        base: String,
    },
    /// It breaks the rule for keys of workflows.
    #[error("\"{0}\" is not a workflow's key")]
    WorkflowKey(String),
    /// Another workflow, or a draft, has the key.
    #[error("there is a workflow or a draft \"{0}\" already")]
    WorkflowExists(String),
    /// It is archived.
    #[error("workflow {0} is archived")]
    Archived(String),
    /// It is not archived.
    #[error("workflow {0} is not archived")]
    NotArchived(String),
    /// They were changed elsewhere since a file was applied: their keys.
    #[error("changed elsewhere since a file was applied: {}", .0.join(", "))]
    ChangedElsewhere(Vec<String>),
    /// It holds runs, because it is paused.
    #[error("workflow {key} is paused and holds runs, which would go on if it were archived: {runs}")]
    HeldRuns {
        /// The workflow's key.
        key: String,
        /// How many.
        runs: i64,
    },
    /// Runs of it are open.
    #[error("workflow {key} has open runs: {runs}")]
    RunsOpen {
        /// The workflow's key.
        key: String,
        /// How many.
        runs: i64,
    },
    /// It is no name of a part of a workflow.
    #[error("\"{0}\" does not name a part")]
    PartName(String),
    /// No published version has the schedule.
    #[error("there is no schedule \"{0}\"")]
    NoSchedule(String),
    /// A newer version of the engine published it.
    #[error("the schedule {name} cannot be read: {problem}")]
    ScheduleUnreadable {
        /// `<workflow>/<trigger>`.
        name: String,
        /// What is not understood.
        problem: String,
    },
    /// No run has the id.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// It ended before.
    #[error("run {id} had ended as {status}")]
    RunEnded {
        /// The run.
        id: RunId,
        /// How it ended.
        status: &'static str,
    },
    /// It is so already.
    #[error("run {id} is {is}")]
    RunAlready {
        /// The run.
        id: RunId,
        /// What it is.
        is: &'static str,
    },
    /// The run stands at no pause of its workflow, or goes on from it already.
    #[error("run {0} stands at no such pause")]
    NotPaused(RunId),
    /// The time that the pause waited for is up.
    #[error("the pause of run {id} was over at {}", crate::time(*.due))]
    PauseOver {
        /// The run.
        id: RunId,
        /// When.
        due: DateTime<Utc>,
    },
    /// No approval has the id.
    #[error("there is no approval {0}")]
    NoApproval(ApprovalId),
    /// It was decided, or came to nothing.
    #[error("approval {id} is {state}{}", closed(.by.as_deref(), *.at))]
    ApprovalClosed {
        /// The approval.
        id: ApprovalId,
        /// How it stands.
        state: &'static str,
        /// Who decided it.
        by: Option<String>,
        /// When.
        at: Option<DateTime<Utc>>,
    },
    /// The time for an answer is up.
    #[error("approval {id} was to be decided by {}: it is too late", crate::time(*.due))]
    ApprovalTooLate {
        /// The approval.
        id: ApprovalId,
        /// Until when there was time.
        due: DateTime<Utc>,
    },
    /// A comment is too long, or cannot be kept.
    #[error("a comment has {longest} characters at most")]
    CommentTooLong {
        /// Most characters.
        longest: usize,
    },
    /// Runs that have ended stay as they are.
    #[error("runs that are {0} have ended")]
    StatusEnded(&'static str),
    /// None of those that are open is looked for.
    #[error("no open run fits")]
    NoRunFits,
    /// Something is still to come after the time that it was waited for.
    #[error("after a minute {events} events are recorded and {runs} runs are under way")]
    Unsettled {
        /// Events that are recorded.
        events: i64,
        /// Runs that are about to move.
        runs: i64,
    },
    /// No contact has the subject, address or id.
    #[error("tenant {tenant} has no contact \"{who}\"")]
    NoContact {
        /// The tenant's key.
        tenant: String,
        /// Whom was asked for.
        who: String,
    },
    /// It is no name of an event.
    #[error("\"{0}\" does not name an event")]
    EventName(String),
    /// No runs of the event can be told.
    #[error("event {0} is not known, or was received too long ago")]
    EventGone(String),
    /// The event is not recorded.
    #[error("no event {0} is recorded")]
    NoEvent(String),
    /// The event is not recorded, and a message that names its id was refused.
    #[error("no event {what} is recorded; a message that names this id was refused: {why}")]
    EventParked {
        /// What was asked for.
        what: String,
        /// What was refused.
        parked: Uuid,
        /// Why, with the code.
        why: String,
    },
    /// No dead letter has the id.
    #[error("there is no dead letter {0}")]
    NoDeadLetter(DeadLetterId),
    /// None of those in this state is looked for.
    #[error("no dead letter that is {0} fits")]
    NoDeadLetterFits(&'static str),
    /// No dead letter has the signature.
    #[error("no dead letter has the signature \"{0}\"")]
    NoGroup(String),
    /// What is said of a group is too long, or cannot be kept.
    #[error("an owner and a note have {longest} characters at most")]
    GroupText {
        /// Most characters.
        longest: usize,
    },
    /// A correction is of one request.
    #[error("a request is edited for one letter at a time")]
    OneEdit,
    /// Of those that went first, some failed again.
    #[error("{failed} of the first {of} failed again, so the rest was left alone")]
    CanaryFailed {
        /// How many failed.
        failed: usize,
        /// How many went first.
        of: usize,
    },
    /// Of those that went first, some take too long.
    #[error("{pending} of the first {of} have not got past the step yet, so the rest was left alone")]
    CanaryPending {
        /// How many are under way.
        pending: usize,
        /// How many went first.
        of: usize,
    },
    /// Somebody wanted no more while the first were waited for.
    #[error("stopped: the rest was left alone")]
    CanaryStopped,
    /// No parked event has the id.
    #[error("there is no parked event {0}")]
    NoParkedEvent(Uuid),
    /// None of those in this state is looked for.
    #[error("no parked event that is {0} fits")]
    NoParkedEventFits(&'static str),
    /// The tenant has no notice with the id.
    #[error("there is no notice {0}")]
    NoNotice(NoticeId),
    /// Somebody dismissed it before.
    #[error("notice {0} is dismissed already")]
    NoticeDismissed(NoticeId),
    /// No page ended with it.
    #[error("the cursor cannot be read")]
    Cursor,
    /// Of the heads that were kept, none is of this log.
    #[error("the file has no head of this log")]
    NoHead,
    /// No entry that still has its words is looked for.
    #[error("no entry that still has its words fits")]
    NoEntryFits,
    /// An entry is not as it was written: which, and how that shows.
    #[error("the audit log was changed [audit_broken]: {0}")]
    AuditChanged(String),
    /// The log lacks a head that was kept: its number.
    #[error(
        "the audit log was put back to an earlier state [audit_broken]: entry {0} is not the one that was kept"
    )]
    AuditPutBack(i64),
}

/// How a refusal is to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It cannot be meant like this, whatever is there.
    Invalid,
    /// What it is about is not there.
    NotFound,
    /// What is there does not allow it.
    Conflict,
}

impl Refusal {
    /// Stable code, listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        self.told().1
    }

    /// How it is to be taken.
    pub fn kind(&self) -> Kind {
        self.told().0
    }

    fn told(&self) -> (Kind, &'static str) {
        use Kind::{Conflict, Invalid, NotFound};
        match self {
            Self::NoTenant(_) => (NotFound, "tenant_not_found"),
            Self::TenantKey(_) => (Invalid, "tenant_key_invalid"),
            Self::TenantExists(_) => (Conflict, "tenant_exists"),
            Self::TimeZone(_) => (Invalid, "timezone_invalid"),
            Self::NoQuota { .. } => (NotFound, "quota_not_found"),
            Self::NoRetention(_) => (NotFound, "retention_not_found"),
            Self::RetentionDays { .. } => (Invalid, "retention_days_invalid"),
            Self::RetentionCounted(_) => (Conflict, "retention_counted"),
            Self::PublisherName => (Invalid, "publisher_invalid"),
            Self::EngineMadePublisher(_) => (Invalid, "publisher_engine_made"),
            Self::TypePattern(_) => (Invalid, "type_pattern_invalid"),
            Self::ForeignBrokerUser(_) => (Conflict, "broker_user_foreign"),
            Self::NoGrant { .. } => (NotFound, "grant_not_found"),
            Self::ExpiryIsOver(_) => (Invalid, "expiry_over"),
            Self::ApiKeyName(_) => (Invalid, "api_key_name_invalid"),
            Self::ApiKeyExists(_) => (Conflict, "api_key_exists"),
            Self::ApiKeyRevoked(_) | Self::NoGoodApiKey(_) => (NotFound, "api_key_not_found"),
            Self::CredentialKey(_) => (Invalid, "credential_key_invalid"),
            Self::Scheme(_) => (Invalid, "credential_scheme_invalid"),
            Self::AllowedHost(_) => (Invalid, "credential_host_invalid"),
            Self::NoSecret => (Invalid, "secret_required"),
            Self::Secret(_) => (Invalid, "secret_invalid"),
            Self::NoCredential(_) => (NotFound, "credential_not_found"),
            Self::CredentialTampered { .. } => (Conflict, "credential_tampered"),
            Self::HookName(_) => (Invalid, "hook_name_invalid"),
            Self::HookHeader(_) | Self::SignedHasIdHeader => (Invalid, "hook_header_invalid"),
            Self::HookExists(_) => (Conflict, "hook_exists"),
            Self::NoHook(_) => (NotFound, "hook_not_found"),
            Self::HookTampered { .. } => (Conflict, "hook_tampered"),
            Self::NoWorkflow(_) => (NotFound, "workflow_not_found"),
            Self::NoVersion { .. } => (NotFound, "version_not_found"),
            Self::Unchanged(_) => (Conflict, "workflow_unchanged"),
            Self::Definition(_) => (Conflict, "definition_invalid"),
            Self::NoDraft(_) => (NotFound, "draft_not_found"),
            Self::DraftChanged { .. } => (Conflict, "draft_changed"),
            Self::DraftOutdated { .. } => (Conflict, "draft_outdated"),
            Self::WorkflowKey(_) => (Invalid, "workflow_key_invalid"),
            Self::WorkflowExists(_) => (Conflict, "workflow_exists"),
            Self::Archived(_) => (Conflict, "workflow_archived"),
            Self::NotArchived(_) => (Conflict, "workflow_not_archived"),
            Self::ChangedElsewhere(_) => (Conflict, "changed_elsewhere"),
            Self::HeldRuns { .. } => (Conflict, "workflow_holds_runs"),
            Self::RunsOpen { .. } => (Conflict, "workflow_has_runs"),
            Self::PartName(_) => (Invalid, "part_name_invalid"),
            Self::NoSchedule(_) => (NotFound, "schedule_not_found"),
            Self::ScheduleUnreadable { .. } => (Conflict, "schedule_unreadable"),
            Self::NoRun(_) | Self::NoRunFits => (NotFound, "run_not_found"),
            Self::RunAlready { .. } => (Conflict, "run_unchanged"),
            Self::NotPaused(_) => (Conflict, "run_not_paused"),
            Self::PauseOver { .. } => (Conflict, "pause_over"),
            Self::NoApproval(_) => (NotFound, "approval_not_found"),
            Self::ApprovalClosed { .. } => (Conflict, "approval_closed"),
            Self::ApprovalTooLate { .. } => (Conflict, "approval_too_late"),
            Self::CommentTooLong { .. } => (Invalid, "comment_too_long"),
            Self::StatusEnded(_) => (Invalid, "run_status_invalid"),
            Self::RunEnded { .. } => (Conflict, "run_ended"),
            Self::Unsettled { .. } => (Conflict, "runs_unsettled"),
            Self::NoContact { .. } => (NotFound, "contact_not_found"),
            Self::EventName(_) => (Invalid, "event_name_invalid"),
            Self::EventGone(_) | Self::NoEvent(_) => (NotFound, "event_not_found"),
            Self::EventParked { .. } => (NotFound, "event_parked"),
            Self::NoDeadLetter(_) | Self::NoDeadLetterFits(_) => (NotFound, "dead_letter_not_found"),
            Self::NoGroup(_) => (NotFound, "dead_letter_group_not_found"),
            Self::GroupText { .. } => (Invalid, "dead_letter_group_invalid"),
            Self::OneEdit => (Invalid, "one_edit_at_a_time"),
            Self::CanaryFailed { .. } => (Conflict, "canary_failed"),
            Self::CanaryPending { .. } => (Conflict, "canary_pending"),
            Self::CanaryStopped => (Conflict, "canary_stopped"),
            Self::NoParkedEvent(_) | Self::NoParkedEventFits(_) => (NotFound, "parked_event_not_found"),
            Self::NoNotice(_) => (NotFound, "notice_not_found"),
            Self::NoticeDismissed(_) => (Conflict, "notice_dismissed"),
            Self::Cursor => (Invalid, "cursor_invalid"),
            Self::NoEntryFits => (NotFound, "audit_entry_not_found"),
            Self::NoHead => (Invalid, "audit_head_missing"),
            Self::AuditChanged(_) | Self::AuditPutBack(_) => (Conflict, "audit_broken"),
        }
    }
}

/// By whom and when, as the end of a sentence.
fn closed(by: Option<&str>, at: Option<DateTime<Utc>>) -> String {
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let at = at.map(|at| format!(", since {}", crate::time(at))).unwrap_or_default();
    by + &at
}

/// Problems as the end of a sentence.
fn told(problems: &[Problem]) -> String {
    let count =
        if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) };
    let all: Vec<String> = problems.iter().map(Problem::to_string).collect();
    format!("{count}: {}", all.join("; "))
}
