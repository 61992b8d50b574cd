//! Credentials that workflows name and nobody set yet.

use super::Checked;
use crate::output::note;
use automation_domain::problem::Problem;
use automation_domain::template::is_template;
use automation_operations::Session;
use automation_store::access::credentials;
use std::collections::BTreeSet;

/// Says on standard error which are missing. It keeps no workflow from being published: they may be set afterwards.
pub(super) async fn warn_of_missing(checked: &[Checked], session: &Session) -> anyhow::Result<()> {
    if checked.iter().all(|file| named(file).next().is_none()) {
        return Ok(());
    }
    let all = session
        .db
        .tx(session.scope(), async |connection| credentials::list(connection, session.tenant).await)
        .await?;
    let known: BTreeSet<&str> = all.iter().map(|credential| credential.key.as_str()).collect();
    for file in checked {
        for (place, key) in named(file).filter(|(_, key)| !known.contains(key)) {
            let problem =
                Problem::new("unknown_credential", place, format!("there is no credential \"{key}\""));
            note(format!("{}: warning: {problem}", file.file));
        }
    }
    Ok(())
}

/// Place and key of every credential that is named literally.
fn named(file: &Checked) -> impl Iterator<Item = (String, &str)> {
    let nodes = file.workflow.definition["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    nodes.iter().enumerate().filter_map(|(index, node)| {
        let key = node["with"]["credential"].as_str().filter(|key| !is_template(key))?;
        (node["action"] == "http_request").then(|| (format!("nodes[{index}].with.credential"), key))
    })
}
