//! `automation workflow simulate`: what a workflow would do, without doing it.

use super::{files, story};
use crate::exit;
use crate::moment;
use crate::output::{Output, note, time, to_json};
use crate::session::MaybeTenant;
use automation_domain::contact::Contact;
use automation_domain::duration;
use automation_domain::facts::{Tz, read_zone};
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::{self as format, Workflow};
use automation_operations::workflows::{self, Runnable, Which};
use automation_operations::{Session, contacts, tenants};
use automation_service_kit::clock;
use automation_service_kit::config::{LimitsConfig, rule};
use automation_simulation::test_file::{self, GivenContact, Moment};
use automation_simulation::{Answer, Happening, Run, Setting, Simulation};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments of `automation workflow simulate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  automation workflow simulate cart-rescue.yaml --type cart.abandoned --subject ada --data \
                        '{\"cart_id\":\"c-1\",\"total\":310}'\n  automation workflow simulate cart-rescue --draft --contact ada --event \
                        cart.json --at 2027-12-24T18:00:00Z --answer order=503,200"
)]
pub struct SimulateArgs {
    /// A workflow's file, or the key of one that is kept here
    workflow: String,
    /// Its draft, in place of the published version
    #[arg(long)]
    draft: bool,
    /// This version, in place of the published one
    #[arg(long, value_name = "NUMBER", conflicts_with = "draft")]
    version: Option<i32>,
    /// Files of other workflows that play along
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// What happens, in a YAML or JSON file: a CloudEvent, or what `when` of a test says
    #[arg(long, value_name = "FILE")]
    event: Vec<PathBuf>,
    /// Type of an event, in place of a file
    #[arg(long = "type", value_name = "TYPE", required_unless_present_any = ["event", "schedule"], conflicts_with = "event")]
    event_type: Option<String>,
    /// Whom the event is about; the contact without it
    #[arg(long, requires = "event_type")]
    subject: Option<String>,
    /// Data of the event, a JSON object
    #[arg(long, default_value = "{}", requires = "event_type")]
    data: String,
    /// A trigger of the workflow with a schedule, which fires
    #[arg(long, value_name = "TRIGGER")]
    schedule: Option<String>,
    /// A contact: a file, or subject, e-mail address or id of one that is kept here
    #[arg(long, value_name = "WHO")]
    contact: Option<String>,
    /// When it begins; now without it
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    at: Option<DateTime<Utc>>,
    /// How long it plays; until nothing more would happen without it
    #[arg(long, value_name = "DURATION", value_parser = rule(length))]
    until: Option<TimeDelta>,
    /// Time zone of the tenant, in place of its own, or of UTC
    #[arg(long, value_name = "NAME", value_parser = rule(read_zone))]
    timezone: Option<Tz>,
    /// What requests of a node come to, one after the other: NODE=503,200 or NODE=timeout, or an answer as tests have it, in JSON
    #[arg(long = "answer", value_name = "NODE=ANSWER")]
    answers: Vec<String>,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    tenant: MaybeTenant,
}

fn length(text: &str) -> Result<TimeDelta, String> {
    duration::parse(text).ok_or_else(|| "must be a duration: 30s, 15m, 1h, 7d or 1h30m".to_owned())
}

/// Whom it is about.
enum Who {
    Given(GivenContact),
    Kept(Box<Contact>),
}

impl Who {
    fn subject(&self) -> &str {
        match self {
            Self::Given(given) => &given.subject,
            Self::Kept(contact) => &contact.subject,
        }
    }
}

pub(super) async fn run(args: SimulateArgs, output: &Output) -> anyhow::Result<()> {
    let limits = &args.limits.limits;
    let is_kept = !files::is_file(&args.workflow);
    let kept_contact = args.contact.as_deref().filter(|who| !files::is_file(who));
    let session = match (is_kept, kept_contact) {
        (true, _) => Some(args.tenant.open(&format!("the workflow \"{}\"", args.workflow)).await?),
        (false, Some(who)) => Some(args.tenant.open(&format!("the contact \"{who}\"")).await?),
        (false, None) => None,
    };
    let played = played(&args, session.as_ref().filter(|_| is_kept), output).await?;
    let others = files::check(&args.with, limits, output)?;
    let who = who(&args, session.as_ref()).await?;
    let start = args.at.unwrap_or_else(clock::wall_clock);
    let happens = happens(&args, &played.workflow, who.as_ref().map(Who::subject))?;
    let mut setting = Setting { limits: limits.clone(), ..Setting::new("simulated", start) };
    if let Some(session) = &session {
        setting.tenant.clone_from(&session.key);
        setting.tenant_id = session.tenant;
        setting.zone = tenants::zone(session).await?;
    }
    setting.zone = args.timezone.unwrap_or(setting.zone);

    let mut simulation = Simulation::new(setting);
    for answer in &args.answers {
        let (node, answers) = answers(answer, &played.workflow, limits)?;
        simulation.answer(&played.workflow.key, &node, answers);
    }
    let key = played.workflow.key.clone();
    simulation.add_workflow(played.workflow, played.version, played.workflow_id);
    for other in others {
        simulation.add_workflow(other.workflow, 1, None);
    }
    match who {
        Some(Who::Given(given)) => given.fill(simulation.contact_mut(&given.subject)),
        Some(Who::Kept(contact)) => simulation.add_contact(*contact),
        None => {}
    }
    for (moment, happening) in happens {
        simulation.happens(moment.from(start), happening);
    }
    let stopped = simulation.play(args.until.map(|until| start + until)).err();
    tell(&simulation, (&key, played.version), output);
    match stopped {
        None => Ok(()),
        Some(too_much) => Err(exit::wrong(
            format!("the simulation was stopped: {too_much}"),
            "shorten it with --until, or look for what goes round",
        )),
    }
}

/// The workflow that is played.
async fn played(args: &SimulateArgs, session: Option<&Session>, output: &Output) -> anyhow::Result<Runnable> {
    let limits = &args.limits.limits;
    if let Some(session) = session {
        let which = match (args.draft, args.version) {
            (true, _) => Which::Draft,
            (false, Some(version)) => Which::Version(version),
            (false, None) => Which::Published,
        };
        return Ok(workflows::runnable(session, &args.workflow, which, limits).await?);
    }
    if args.draft || args.version.is_some() {
        return Err(exit::usage("a file has no draft and no versions", "name a workflow by its key"));
    }
    let checked = files::check(&[PathBuf::from(&args.workflow)], limits, output)?;
    let workflow = checked.into_iter().next().map(|checked| checked.workflow);
    let workflow = workflow.ok_or_else(|| exit::usage("there is no workflow", "name a file"))?;
    Ok(Runnable { workflow, workflow_id: None, version: 1 })
}

async fn who(args: &SimulateArgs, session: Option<&Session>) -> anyhow::Result<Option<Who>> {
    let Some(who) = args.contact.as_deref() else { return Ok(None) };
    if files::is_file(who) {
        let document = document(Path::new(who), &args.limits.limits)?;
        let given = test_file::given_contact(&document, &args.limits.limits);
        return Ok(Some(Who::Given(given.map_err(|problems| refused(who, &problems))?)));
    }
    // Otherwise a session was opened for it.
    let Some(session) = session else { return Ok(None) };
    Ok(Some(Who::Kept(Box::new(contacts::show(session, who).await?))))
}

/// What happens: events that name nobody are about the contact.
fn happens(
    args: &SimulateArgs,
    played: &Workflow,
    who: Option<&str>,
) -> anyhow::Result<Vec<(Moment, Happening)>> {
    let limits = &args.limits.limits;
    let mut all = Vec::new();
    for file in &args.event {
        let document = document(file, limits)?;
        let read = test_file::happenings(&document, limits);
        all.extend(read.map_err(|problems| refused(&file.display().to_string(), &problems))?);
    }
    if let Some(event_type) = &args.event_type {
        let data: Value =
            format::read(&args.data, limits).map_err(|problem| refused("--data", &[problem]))?;
        let entry = json!({ "event": event_type, "data": data });
        all.extend(
            test_file::happenings(&entry, limits).map_err(|problems| refused("--type, --data", &problems))?,
        );
    }
    if let Some(trigger) = &args.schedule {
        if played.trigger(trigger).is_none_or(|trigger| trigger.schedule.is_none()) {
            let what = format!("\"{}\" has no schedule \"{trigger}\"", played.key);
            return Err(exit::usage(what, "name a trigger that has one"));
        }
        let slot = Happening::Slot { workflow: played.key.clone(), trigger: trigger.clone() };
        all.push((Moment::After(TimeDelta::zero()), slot));
    }
    let named = args.subject.as_deref().or(who);
    for (_, happening) in &mut all {
        match happening {
            Happening::Event { subject, .. } if subject.is_none() => *subject = named.map(str::to_owned),
            Happening::Slot { workflow, .. } if workflow.is_empty() => workflow.clone_from(&played.key),
            Happening::Event { .. } | Happening::Slot { .. } => {}
        }
    }
    Ok(all)
}

/// `NODE=503,200`, `NODE=timeout`, or JSON.
fn answers(text: &str, played: &Workflow, limits: &Limits) -> anyhow::Result<(String, Vec<Answer>)> {
    let next = "write NODE=503,200, NODE=timeout, or NODE={\"status\":200,\"body\":{}}";
    let Some((node, answers)) = text.split_once('=') else {
        return Err(exit::usage(format!("\"{text}\" is no answer of a node"), next));
    };
    if played.node_index(node).is_none() {
        return Err(exit::usage(format!("\"{}\" has no node \"{node}\"", played.key), next));
    }
    let is_json = answers.starts_with(['{', '[']);
    let listed: Vec<Value> = if is_json {
        match serde_json::from_str(answers) {
            Ok(Value::Array(all)) => all,
            Ok(one) => vec![one],
            Err(error) => return Err(exit::usage(format!("--answer {text} is no JSON: {error}"), next)),
        }
    } else {
        let word = |word: &str| match word.parse::<u16>() {
            Ok(status) => json!({ "status": status }),
            Err(_) => json!({ "failure": word }),
        };
        answers.split(',').map(word).collect()
    };
    let all = listed.iter().map(|one| test_file::answer_of(one, "answer", limits)).collect::<Result<_, _>>();
    Ok((
        node.to_owned(),
        all.map_err(|problems: Vec<Problem>| refused(&format!("--answer {text}"), &problems))?,
    ))
}

fn document(file: &Path, limits: &Limits) -> anyhow::Result<Value> {
    format::read(&files::text(file)?, limits)
        .map_err(|problem| refused(&file.display().to_string(), &[problem]))
}

fn refused(what: &str, problems: &[Problem]) -> anyhow::Error {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    exit::usage(format!("{what}: {}", all.join("; ")), "docs/testing-workflows.md says what may stand there")
}

fn tell(simulation: &Simulation, (key, version): (&str, i32), output: &Output) {
    let contacts: Vec<Value> = simulation.contacts().map(to_json).collect();
    let shown = json!({
        "workflow": key, "version": version,
        "started_at": time(simulation.setting().start), "ended_at": time(simulation.now()),
        "story": simulation.story(), "runs": simulation.runs().iter().map(run_json).collect::<Vec<_>>(),
        "effects": simulation.effects(), "contacts": contacts,
    });
    output.one(&shown, || story::told(simulation));
    if !output.is_json() {
        note("nothing was sent, and nothing was stored");
    }
}

fn run_json(run: &Run) -> Value {
    json!({
        "id": run.id, "workflow": run.workflow, "trigger": run.trigger, "key": run.key, "contact": run.contact,
        "end": run.ended(), "started_at": time(run.started_at), "ended_at": run.ended_at.map(time),
        "vars": run.state.vars, "steps": run.state.steps,
    })
}
