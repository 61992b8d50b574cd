//! `POST /v1/hooks/{hook}`: other systems tell what happened, and each call becomes an event `webhook.received`.
//!
//! Whoever cannot prove who it is gets the same answer, whether there is such a webhook or not.

use crate::pools::{self, Name};
use crate::problems::{self, EventError};
use crate::reading::{Form, Incoming};
use crate::signature::{self, Signed};
use crate::{Door, call, events};
use automation_domain::credential::Terms;
use automation_domain::event::encode::STRUCTURED;
use automation_domain::event::envelope::{self, Envelope, Rejection};
use automation_domain::grant::hook_publisher;
use automation_domain::hook::{HookId, SECRET_FIELD, Verification};
use automation_domain::id::{CredentialId, HookSecretId, TenantId};
use automation_http_server::peer::Peer;
use automation_http_server::problem::Problem;
use automation_http_server::{body, coding};
use automation_service_kit::{clock, ids};
use automation_store::access::hooks::{self, CalledHook, HookSecret};
use automation_vault::{KeyRing, Place, Sealed, Zeroizing};
use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// Opens secrets of webhooks.
pub(crate) struct Secrets {
    ring: Arc<KeyRing>,
    /// Of no webhook: what a call to one that does not exist is compared with.
    decoy: HookSecret,
}

const DECOY_TENANT: TenantId = TenantId(Uuid::nil());
const DECOY_ID: HookSecretId = HookSecretId(Uuid::nil());

impl Secrets {
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub(crate) fn new(ring: Arc<KeyRing>) -> Result<Self, automation_vault::Error> {
        let text = b"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
        let Sealed { key_id, wrapped_key, ciphertext } =
            ring.seal(place(DECOY_TENANT, DECOY_ID, decoy_terms()), text)?;
        Ok(Self { ring, decoy: HookSecret { key_id, wrapped_key, ciphertext } })
    }

    fn of(&self, called: Option<&CalledHook>) -> Vec<Zeroizing<Vec<u8>>> {
        let decoy = [(DECOY_ID, self.decoy.clone())];
        let (tenant, terms, secrets) = called.map_or((DECOY_TENANT, decoy_terms(), &decoy[..]), |called| {
            (called.tenant_id, called.hook.terms(), &called.secrets)
        });
        secrets
            .iter()
            .filter_map(|(id, HookSecret { key_id, wrapped_key, ciphertext })| {
                let sealed = Sealed {
                    key_id: key_id.clone(),
                    wrapped_key: wrapped_key.clone(),
                    ciphertext: ciphertext.clone(),
                };
                let opened = self.ring.open(place(tenant, *id, terms), &sealed);
                opened
                    .inspect_err(|error| tracing::error!(%error, hook.secret = %id, "a secret of a webhook"))
                    .ok()
            })
            .collect()
    }
}

fn decoy_terms() -> Terms {
    Terms::of::<&str>(&[])
}

fn place(tenant: TenantId, secret: HookSecretId, terms: Terms) -> Place<'static> {
    Place { tenant, credential: CredentialId(secret.0), field: SECRET_FIELD, terms }
}

/// A webhook as the database knew it lately.
pub(crate) struct RememberedHook {
    called: CalledHook,
    /// Whether its use within this minute is noted: one of those who use it at once does that.
    noted: AtomicBool,
}

/// Which delivery a caller that proved who it is says this is.
struct Delivery {
    id: String,
    at: DateTime<Utc>,
}

pub(crate) async fn receive(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    hook: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Some(secrets) = &door.secrets else {
        return Err(problems::unavailable(
            "hooks_unavailable",
            "this process has no keys for secrets of webhooks",
        ));
    };
    let (parts, body) = request.into_parts();
    let limit =
        body::BodyLimit { code: "event_too_large", field: "event", bytes: door.config.limits.event_bytes };
    let hook_id = hook.ok().and_then(|Path(text)| HookId::parse(&text));
    // A signature is over the body, so that it has to be read before anything is proven.
    let named = hook_id.as_ref().map(|hook_id| Name::Hook(hook_id.as_str().to_owned()));
    let unproven = door.pools.enter(peer, named).map_err(pools::refused)?;
    let bytes = body::read(&parts.headers, body, limit, door.config.bytes_per_second).await?;
    let (remembered, delivery) =
        proven(&door, peer, secrets, hook_id.as_ref(), &parts.headers, &bytes).await?;
    let called = &remembered.called;
    let _place = door.pools.admit(peer, Name::Tenant(called.tenant_id)).map_err(pools::refused)?;
    drop(unproven);
    let hook_id = &called.hook.hook_id;
    door.rates.take(hook_id.as_str(), 1, clock::now()).map_err(problems::rate_limited)?;
    coding::check(&parts.headers)?;
    let incoming = read(&door, called, &delivery, &parts, &bytes)?;
    door.check_quota(called.tenant_id, peer).await?;
    let answer = door.publish(called.tenant_id, &hook_publisher(&called.hook.name), vec![incoming]).await?;
    if !remembered.noted.swap(true, Ordering::Relaxed)
        && let Err(error) = hooks::used(&door.db, hook_id).await
    {
        tracing::warn!(%error, "when a webhook was used is not noted");
    }
    Ok(answer)
}

/// The webhook, and what a caller says who proved that it knows a secret of it.
///
/// What is remembered comes first; then the database is asked, because a secret may be new. Whoever fails has failed
/// twice, with one question in between, whether the webhook is remembered, known or not there at all.
async fn proven(
    door: &Door,
    peer: Peer,
    secrets: &Secrets,
    hook_id: Option<&HookId>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Arc<RememberedHook>, Delivery), Problem> {
    let begun = clock::now();
    let try_with = |remembered: Option<Arc<RememberedHook>>| {
        let called = remembered.as_deref().map(|remembered| &remembered.called);
        let delivery = prove(called, &secrets.of(called), headers, body);
        remembered.zip(delivery)
    };
    if let Some(proven) = try_with(hook_id.and_then(|hook_id| door.hooks.believed(hook_id, begun))) {
        return Ok(proven);
    }
    let remembered = match hook_id {
        Some(hook_id) => {
            let question = async || {
                let called = hooks::called(&door.db, hook_id).await?;
                let remember = |called: CalledHook| {
                    let noted = AtomicBool::new(!called.used_long_ago);
                    RememberedHook { called, noted }
                };
                Ok::<_, automation_store::Error>(called.map(remember))
            };
            door.hooks.ask((&door.questions, peer), hook_id, begun, question).await.map_err(|error| {
                tracing::warn!(%error, "a webhook cannot be looked up");
                problems::unavailable("database_unavailable", "the webhook cannot be looked up at the moment")
            })?
        }
        None => None,
    };
    try_with(remembered).ok_or_else(problems::unproven)
}

/// What a caller that knows a secret says; a webhook that does not exist is one whose secret nobody knows.
fn prove(
    called: Option<&CalledHook>,
    secrets: &[Zeroizing<Vec<u8>>],
    headers: &HeaderMap,
    body: &[u8],
) -> Option<Delivery> {
    let now = clock::wall_clock();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let verification = called.map_or(Verification::Standard, |called| called.hook.verification);
    let proven = match verification {
        Verification::Standard => {
            let signed = Signed {
                id: text("webhook-id"),
                timestamp: text("webhook-timestamp"),
                signatures: text("webhook-signature"),
            };
            signature::signed_at(secrets, signed, body, now)
                .map(|at| Delivery { id: signed.id.to_owned(), at })
        }
        Verification::Token => signature::knows_token(secrets, token(headers)).then(|| {
            let named = called.and_then(|called| called.hook.id_header.as_deref()).map(text);
            let given = [named.unwrap_or_default(), text("webhook-id"), text("idempotency-key")];
            let id = given.into_iter().find(|id| !id.is_empty()).map(str::to_owned);
            // Without an id each call is an event of its own.
            Delivery { id: id.unwrap_or_else(|| ids::new_id().to_string()), at: now }
        }),
    };
    proven.filter(|_| called.is_some())
}

/// `Webhook-Token: …`, or `Authorization: Bearer …`.
fn token(headers: &HeaderMap) -> &[u8] {
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    };
    headers
        .get("webhook-token")
        .map(|value| value.as_bytes())
        .or_else(bearer)
        .unwrap_or_default()
        .trim_ascii()
}

/// The event that a call becomes, by the rules for every event.
fn read(
    door: &Door,
    called: &CalledHook,
    delivery: &Delivery,
    parts: &Parts,
    body: &[u8],
) -> Result<Incoming, Problem> {
    let said = call::Call {
        hook: &called.hook,
        tenant: &called.tenant,
        id: &delivery.id,
        at: delivery.at,
        parts,
        body,
    };
    let refused = |refusal: Rejection| {
        let error = EventError { index: 0, id: None, code: refusal.code, detail: refusal.detail };
        events::of_one(&error, &door.config.limits)
    };
    let bytes = said.into_event().map_err(refused)?;
    let envelope = Envelope { content_type: Some(STRUCTURED), body: &bytes, ..Envelope::default() };
    let read =
        envelope::read_unrouted(&envelope, &door.config.limits).and_then(|mut members| match members.pop() {
            Some(member) => member.outcome,
            None => Err(Rejection::new("not_an_event", "there is no event")),
        });
    let event = read.map_err(refused)?;
    Ok(Incoming { event, form: Form::Structured(bytes) })
}
