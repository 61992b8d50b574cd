//! A request on its way: as stored, less what a redirect takes away, and with its authorization while that may be sent.

use super::failure::Failure;
use crate::Authorization;
use crate::guard::Target;
use automation_domain::effect::HttpRequest;
use automation_domain::http::{check_header_name, check_header_value};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request};

/// Headers that another origin may see too. Any other may be meant for the first alone.
const ANY_ORIGIN: [&str; 5] =
    ["accept", "accept-language", "content-type", "content-language", "idempotency-key"];

/// What is sent at each hop.
pub(super) struct Outgoing<'a> {
    method: Method,
    headers: HeaderMap,
    body: Option<&'a str>,
    authorization: Option<&'a Authorization>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(
        request: &'a HttpRequest,
        authorization: Option<&'a Authorization>,
        traceparent: Option<&str>,
    ) -> Result<Self, Failure> {
        let method = match request.method.as_str() {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => {
                Method::from_bytes(request.method.as_bytes()).map_err(|_| Failure::invalid("its method"))?
            }
            _ => {
                return Err(Failure::invalid(
                    "its method is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
                ));
            }
        };
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
        for (name, value) in &request.headers {
            check_header_name(name)
                .map_err(|rule| Failure::invalid(&format!("the header \"{name}\" {rule}")))?;
            check_header_value(value)
                .map_err(|rule| Failure::invalid(&format!("the value of the header \"{name}\" {rule}")))?;
            let unusable = || Failure::invalid(&format!("the header \"{name}\" cannot be sent"));
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unusable())?;
            headers.append(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
        }
        // What the workflow says itself goes first; one that is no header value is nothing to fail for.
        if let Some(Ok(value)) = traceparent.map(HeaderValue::from_str) {
            headers.entry("traceparent").or_insert(value);
        }
        Ok(Self { method, headers, body: request.body.as_deref(), authorization })
    }

    /// Refuses a request whose credential may not be sent where it goes: sent without, it would fail for a reason that
    /// nobody could see.
    pub(super) fn check_hosts(&self, request: &HttpRequest, target: &Target) -> Result<(), Failure> {
        match self.authorization {
            Some(authorization) if !authorization.covers(target) => {
                Err(Failure::credential_host(request.credential.as_deref().unwrap_or_default(), target))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Goes on to the next hop. What authorizes at one origin is gone once another was visited, also on the way back.
    pub(super) fn follow(&mut self, method: Method, same_origin: bool) {
        if method != self.method {
            self.body = None;
            for name in ["content-type", "content-language", "content-encoding"] {
                self.headers.remove(name);
            }
            self.method = method;
        }
        if !same_origin {
            self.authorization = None;
            let mut kept = HeaderMap::new();
            for name in ANY_ORIGIN {
                for value in self.headers.get_all(name) {
                    kept.append(HeaderName::from_static(name), value.clone());
                }
            }
            self.headers = kept;
        }
    }

    /// The request for one hop.
    pub(super) fn build(&self, request: &HttpRequest, target: &Target) -> Result<Request, Failure> {
        let (mut url, mut headers) = (target.url().clone(), self.headers.clone());
        if let Some(authorization) = self.authorization.filter(|authorization| authorization.covers(target)) {
            let body = self.body.unwrap_or_default();
            authorization
                .apply(&mut url, &mut headers, request, body)
                .map_err(|unusable| Failure::unusable_secret(&unusable))?;
        }
        let mut built = Request::new(self.method.clone(), url);
        *built.headers_mut() = headers;
        *built.body_mut() = self.body.map(|body| body.to_owned().into());
        Ok(built)
    }
}
