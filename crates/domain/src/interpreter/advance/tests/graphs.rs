//! Small workflows, written as edges.

use super::*;

/// Reads `start -> a; a -> b; b -[100]-> c; b -[else]-> stop`.
///
/// `each=2*a` begins at `a` for every item of `event.data.items`, two at a time, and `each=2+a~item.value` for every item of that
/// field, whatever becomes of one. `again=2!a` goes to `a` twice. A node `fork` goes all its ways at once, and so does `both=any@c`, whose branches meet at `c`: `all`, `any` or how many.
/// `a -[error]-> b` is where `a` goes on when it fails. A node with other cases is a branch over `event.data.total` being
/// greater than the case's number; `nap=<duration>` is a delay of that name, `stop` stops, every other node is an action.
pub(super) fn graph(text: &str) -> Workflow {
    let mut workflow = Workflow {
        key: "w".to_owned(),
        name: "w".to_owned(),
        priority: None,
        enrolment: Enrolment::default(),
        exits: Vec::new(),
        goal: None,
        triggers: Vec::new(),
        nodes: Vec::new(),
        definition: Value::Null,
        warnings: Vec::new(),
        needs: [Need::Event].into(),
        memory_bytes: 0,
        entry_bytes: 0,
    };
    let mut named = Vec::new();
    for edge in text.split(';') {
        let (from, to) = edge.split_once("->").expect("an edge");
        named.extend([from, to].into_iter().filter_map(|end| {
            let (id, rule) = end.trim().split_once('=').filter(|(_, rule)| !rule.starts_with('{'))?;
            let named = rule.split_once(['@', '!', '*', '+'])?.1;
            Some((id, named.split_once('~').map_or(named, |(named, _)| named)))
        }));
        let to = node(&mut workflow, to.trim());
        match from.trim().trim_end_matches(']').trim_end_matches('-').split_once("-[") {
            None if from.trim() == "start" => {
                workflow.triggers.push(Trigger {
                    schedule: None,
                    id: "start".to_owned(),
                    event: "order.created".to_owned(),
                    condition: None,
                    to,
                });
            }
            None => {
                let from = node(&mut workflow, from.trim());
                if workflow.nodes[from].behaviour.ways() == Ways::Branches {
                    workflow.nodes[from].branches.push(to);
                } else {
                    workflow.nodes[from].next = Some(to);
                }
            }
            Some((from, "error")) => {
                let from = node(&mut workflow, from.trim());
                workflow.nodes[from].on_error = Some(to);
            }
            Some((from, case)) => {
                let from = node(&mut workflow, from.trim());
                add_case(&mut workflow.nodes[from], case.trim_end_matches([']', '-']), to);
            }
        }
    }
    for (id, named) in named {
        let (id, named) = (node(&mut workflow, id), node(&mut workflow, named));
        for key in workflow.nodes[id].behaviour.clone().targets().into_iter().map(|target| target.key) {
            workflow.nodes[id].ways.insert(key.to_owned(), named);
        }
    }
    workflow
}

pub(super) fn node(workflow: &mut Workflow, text: &str) -> NodeIndex {
    let (id, duration) = text.split_once('=').map_or((text, None), |(id, duration)| (id, Some(duration)));
    if let Some(index) = workflow.node_index(id) {
        return index;
    }
    let behaviour: Arc<dyn Behaviour> = match duration {
        Some(each) if !each.starts_with('{') && each.contains(['*', '+']) => Arc::new(for_each(each)),
        Some(jump) if jump.contains('!') => {
            let (most, to) = jump.split_once('!').unwrap();
            Arc::new(GoTo { node: to.to_owned(), most: most.parse().unwrap() })
        }
        Some(rule) if rule.contains('@') => Arc::new(parallel(rule)),
        Some(duration) => Arc::new(Delay { duration: template(json!(duration)) }),
        None if id == "stop" => Arc::new(Stop),
        None if id == "fork" => Arc::new(Parallel { meeting: None }),
        None => action(Sending::default()),
    };
    let (branches, ways) = (Vec::new(), BTreeMap::new());
    workflow.nodes.push(Node { id: id.to_owned(), behaviour, next: None, branches, ways, on_error: None });
    workflow.nodes.len() - 1
}

/// What the interpreter sees of any action; the tables answer for it.
pub(super) static ACTION: Action = Action {
    entry: ActionEntry {
        key: "http_request",
        group: "integration",
        description: "Makes an HTTP request.",
        effect: Effect::External,
        emits: &[],
    },
    schema: || json!({}),
    contact: ContactUse::None,
    check: |_| Vec::new(),
    prepare: |_, _| Ok(Prepared::Request(request())),
    gate: passes,
    ways: NamedWays::NONE,
    receive: as_answered,
};

pub(super) fn request() -> Request {
    Request::Http(HttpRequest {
        method: "POST".to_owned(),
        url: "https://crm.example.com/".to_owned(),
        headers: Vec::new(),
        body: None,
        credential: None,
        timeout_ms: 1,
        redirects: 0,
        save: BTreeMap::new(),
    })
}

/// The request of every step, for whoever sends it again.
#[derive(Debug)]
pub(super) struct Stored(pub(super) Request);

impl StoredRequests for Stored {
    fn request(&self, _node: &str, _visit: u32) -> Option<&Request> {
        Some(&self.0)
    }
}

pub(super) fn action(sending: Sending) -> Arc<dyn Behaviour> {
    Arc::new(ActionNode { action: &ACTION, config: template(json!({})), sending })
}

pub(super) fn branch(limits: impl IntoIterator<Item = String>) -> Arc<dyn Behaviour> {
    let case = |name: String| Case { condition: more_than(name.parse().unwrap()), name };
    Arc::new(Branch { cases: limits.into_iter().map(case).collect() })
}

/// Reads `all@done`, `any@done`, `2@done`.
pub(super) fn parallel(text: &str) -> Parallel {
    let (rule, meeting) = text.split_once('@').expect("a rule and a node");
    let rule = match rule {
        "all" => JoinRule::All,
        "any" => JoinRule::AtLeast(1),
        number => JoinRule::AtLeast(number.parse().unwrap()),
    };
    Parallel { meeting: Some((meeting.to_owned(), Join { rule, dead_after: TimeDelta::days(14) })) }
}

/// Reads `2*body` and `2+body~field`.
pub(super) fn for_each(text: &str) -> ForEach {
    let (concurrency, rest) = text.split_once(['*', '+']).expect("how many at a time");
    let (body, field) = rest.split_once('~').unwrap_or((rest, "event.data.items"));
    let on_item_error = if text.contains('*') { OnItemError::Stop } else { OnItemError::GoOn };
    let each = Each { concurrency: concurrency.parse().unwrap(), on_item_error };
    let list = template(json!(format!("{{{{ {field} }}}}")));
    ForEach { list, body: body.to_owned(), most: 50, each }
}

pub(super) fn add_case(node: &mut Node, name: &str, to: NodeIndex) {
    match node.behaviour.ways() {
        Ways::Branches => return node.branches.push(to),
        Ways::Optional(_) => {
            node.ways.insert(name.to_owned(), to);
            return;
        }
        Ways::Named(_) | Ways::One | Ways::OneOr(_) | Ways::OneAnd(_) | Ways::None => {}
    }
    let mut limits: Vec<String> = match node.behaviour.ways() {
        Ways::Named(names) => names.into_iter().map(str::to_owned).collect(),
        Ways::One | Ways::OneOr(_) | Ways::OneAnd(_) | Ways::Optional(_) | Ways::Branches | Ways::None => {
            Vec::new()
        }
    };
    limits.retain(|limit| limit != "else");
    limits.extend((name != "else").then(|| name.to_owned()));
    node.behaviour = branch(limits);
    node.ways.insert(name.to_owned(), to);
}

pub(super) fn more_than(limit: i64) -> Condition {
    let condition = json!({ "field": "event.data.total", "op": "greater_than", "value": limit });
    Condition::parse(&condition, "where", &Limits::default()).unwrap()
}

pub(super) fn template(value: Value) -> ValueTemplate {
    ValueTemplate::parse(&value, "with", &Limits::default()).unwrap()
}
