//! Whether a log is as it was written.

use super::heads::Kept;
use crate::exit;
use crate::output::Output;
use automation_domain::audit::{Keys, hex};
use automation_operations::Session;
use automation_store::audit::{self, Verified};
use serde_json::json;

const NEXT: &str = "compare with a backup of the database; whoever changed it had the rights of its owner";

/// Verifies one log, against heads that were kept elsewhere if there are any.
pub async fn run(
    session: &Session,
    keys: &Keys,
    kept: Option<Vec<Kept>>,
    output: &Output,
) -> anyhow::Result<()> {
    let kept: Option<Vec<Kept>> =
        kept.map(|all| all.into_iter().filter(|head| head.tenant == session.tenant).collect());
    if kept.as_ref().is_some_and(Vec::is_empty) {
        return Err(exit::usage("the file has no head of this log", "automation audit head --json"));
    }
    let (outcome, missing) = session
        .db
        .tx(session.scope(), async |connection| {
            let outcome = audit::verify(connection, session.tenant, keys).await?;
            let mut missing = None;
            for head in kept.iter().flatten() {
                if audit::mac_at(connection, session.tenant, head.seq).await? != Some(head.mac) {
                    missing = missing.or(Some(head.seq));
                }
            }
            Ok::<_, automation_store::Error>((outcome, missing))
        })
        .await?;
    let verified = outcome
        .map_err(|broken| exit::wrong(format!("the audit log was changed [audit_broken]: {broken}"), NEXT))?;
    if let Some(seq) = missing {
        let what = format!(
            "the audit log was put back to an earlier state [audit_broken]: entry {seq} is not the one that was kept"
        );
        return Err(exit::wrong(what, NEXT));
    }
    show(&verified, kept.map_or(0, |kept| kept.len()), output);
    Ok(())
}

fn show(verified: &Verified, compared: usize, output: &Output) {
    let Verified { chain, legacy } = verified;
    let unsealed = legacy.seq - chain.head.legacy.seq;
    // The first entry seals what was there before there was a key; what a later one seals came in beside it.
    let before = chain.sealed.iter().find(|(number, _)| *number == 1).map_or(0, |(_, sealed)| sealed.seq);
    let late = legacy.seq - before;
    let value = json!({
        "entries": chain.head.seq, "mac": hex(&chain.head.mac), "erased": chain.erased, "heads": compared,
        "legacy_entries": legacy.seq, "unsealed_legacy_entries": unsealed, "late_legacy_entries": late,
    });
    output.one(&value, || {
        let mut lines = vec![format!(
            "all {} entries are as they were written; the words of {} were erased",
            chain.head.seq, chain.erased
        )];
        if legacy.seq > 0 {
            lines.push(format!(
                "{} entries are from before the log had a key; {unsealed} of them are not sealed yet",
                legacy.seq
            ));
        }
        if late > 0 {
            lines.push(format!(
                "{late} of them came in after it had one, from an older command line or from somebody without the key: \
                 automation audit list --legacy"
            ));
        }
        lines.push(match compared {
            0 => "A log that was put back as a whole does not show it: keep what automation audit head --json prints \
                  elsewhere, and give it with --heads"
                .to_owned(),
            _ => "it has the heads that were kept".to_owned(),
        });
        lines
    });
}
