//! Credentials that workflows name and nobody set yet.

use crate::{Error, Session};
use automation_domain::problem::Problem;
use automation_domain::template::is_template;
use automation_domain::workflow::Workflow;
use automation_store::access::credentials;
use std::collections::BTreeSet;

/// For each workflow, the credentials that it names and the tenant does not have. They keep none from being published: they
/// may be set afterwards.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn missing_credentials(
    session: &Session,
    workflows: &[&Workflow],
) -> Result<Vec<Vec<Problem>>, Error> {
    let all = match workflows.iter().all(|workflow| named(workflow).next().is_none()) {
        true => Vec::new(),
        false => session.read(async |connection| credentials::list(connection, session.tenant).await).await?,
    };
    let known: BTreeSet<&str> = all.iter().map(|credential| credential.key.as_str()).collect();
    let missing = |workflow: &&Workflow| {
        let unknown = named(workflow).filter(|(_, key)| !known.contains(key));
        let problem = |(place, key)| {
            Problem::new("unknown_credential", place, format!("there is no credential \"{key}\""))
        };
        unknown.map(problem).collect()
    };
    Ok(workflows.iter().map(missing).collect())
}

/// Place and key of every credential that is named literally.
fn named(workflow: &Workflow) -> impl Iterator<Item = (String, &str)> {
    let nodes = workflow.definition["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    nodes.iter().enumerate().filter_map(|(index, node)| {
        let key = node["with"]["credential"].as_str().filter(|key| !is_template(key))?;
        (node["action"] == "http_request").then(|| (format!("nodes[{index}].with.credential"), key))
    })
}
