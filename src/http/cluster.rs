//! What operators see and ask: the cluster, and how the server is.

use std::io;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};
use awc::error::SendRequestError;
use awc::{ClientRequest, Connector};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::{AdminError, ChangeMembers};
use super::body::Body;
use super::files::{SMALL, json};
use super::parameters::{self, Nothing, Why, Wish};
use super::problem::{Code, Problem};
use super::route::Route;
use super::worker::Worker;
use crate::raft::ServerId;

/// To whom the leader is to hand over.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HandOver {
    /// A server's number; without it, whoever is the best.
    to: Option<u64>,
}

/// Whether the server is well.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Health {
    /// `ok`; whatever is not is told as a problem.
    status: String,
}

/// What runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Version {
    /// jangada's version.
    version: String,
    /// The version of this API.
    api: String,
}

impl Worker {
    pub(super) async fn status(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let Nothing {} = parameters::of(request)?;
        let status = self.shared.admin.status().await;
        let status = status.map_err(|error| Problem::of_admin(&error))?;
        Ok(json(HttpResponse::Ok(), &status))
    }

    pub(super) async fn members(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<HttpResponse, Problem> {
        let Wish { redirect } = parameters::of(request)?;
        let body = self.text(request, payload).await?;
        let change: ChangeMembers = parameters::json(&body)?;
        let ChangeMembers { voters, add, remove, priority, .. } = &change;
        let named = [voters.is_some(), add.is_some(), remove.is_some(), priority.is_some()];
        if named.into_iter().filter(|named| *named).count() != 1 {
            let detail =
                "the body must name exactly one of `voters`, `add`, `remove` and `priority`";
            return Err(Problem::new(Code::BadBody, detail));
        }
        let result = self.shared.admin.change_members(change).await;
        self.begun_by_leader(request, body, redirect, result).await
    }

    pub(super) async fn transfer(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<HttpResponse, Problem> {
        let Wish { redirect } = parameters::of(request)?;
        let body = self.text(request, payload).await?;
        let HandOver { to } =
            if body.is_empty() { HandOver::default() } else { parameters::json(&body)? };
        let result = self.shared.admin.transfer(to).await;
        self.begun_by_leader(request, body, redirect, result).await
    }

    pub(super) async fn snapshot(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let Nothing {} = parameters::of(request)?;
        begun(self.shared.admin.snapshot().await)
    }

    pub(super) async fn why(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let Why { q } = parameters::of(request)?;
        let answer = self.shared.admin.why(q).await;
        let answer = answer.map_err(|error| match error {
            AdminError::Invalid(reason) => Problem::new(Code::BadParameter, reason),
            error => Problem::of_admin(&error),
        })?;
        Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT)).body(answer))
    }

    pub(super) async fn chaos(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<HttpResponse, Problem> {
        let Nothing {} = parameters::of(request)?;
        let order = self.text(request, payload).await?;
        let order = String::from_utf8(order.into());
        let order = order.map_err(|_| Problem::new(Code::BadBody, "the order is not UTF-8"))?;
        begun(self.shared.admin.chaos(order.trim().to_owned()).await)
    }

    /// What whoever looks after the server asks, however much there is to do.
    pub(super) fn health(
        &self,
        request: &HttpRequest,
        route: &Route,
    ) -> Result<HttpResponse, Problem> {
        let Nothing {} = parameters::of(request)?;
        let admin = &self.shared.admin;
        let condition = match route {
            Route::Live => admin.live(),
            Route::Ready => admin.ready(),
            Route::Metrics => {
                let mut metrics = admin.metrics();
                self.shared.meter.add_to(&mut metrics);
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                return Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, kind)).body(metrics));
            }
            _ => {
                let version = env!("CARGO_PKG_VERSION").to_owned();
                let version = Version { version, api: "v1".to_owned() };
                return Ok(json(HttpResponse::Ok(), &version));
            }
        };
        match condition {
            Ok(()) => Ok(json(HttpResponse::Ok(), &Health { status: "ok".to_owned() })),
            Err(reasons) => Err(Problem::new(Code::NotReady, reasons.join("; "))),
        }
    }

    /// A small body, as it is.
    async fn text(&self, request: &HttpRequest, payload: Payload) -> Result<Bytes, Problem> {
        let limits = &self.shared.config.limits;
        Body::new(request, payload, limits, SMALL as u64)?.all(SMALL).await
    }

    /// What was asked for has begun; or only the leader can do it, and is asked to, or the client is
    /// sent there if it likes that better.
    async fn begun_by_leader(
        &self,
        request: &HttpRequest,
        body: Bytes,
        redirect: bool,
        result: Result<(), AdminError>,
    ) -> Result<HttpResponse, Problem> {
        match &result {
            Err(error @ AdminError::NotLeader { leader: Some((id, Some(address))) }) => {
                match redirect {
                    true => {
                        let location = self.location(request, address);
                        Err(Problem::of_admin(error).elsewhere(location))
                    }
                    // Whoever sent it here believes that we lead: it would go round in circles.
                    false if was_forwarded(request) => Err(Problem::of_admin(error)),
                    false => self.forward(request, body, ServerId(*id), address).await,
                }
            }
            _ => begun(result),
        }
    }

    /// Asks the leader for what was asked here, and answers what it answers.
    async fn forward(
        &self,
        request: &HttpRequest,
        body: Bytes,
        leader: ServerId,
        address: &str,
    ) -> Result<HttpResponse, Problem> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let detail = format!("{leader} leads, and does not answer: {error}");
            Problem::new(Code::Unavailable, detail)
        };
        let asked = self.request_to(leader, address, request).await;
        let mut asked = asked
            .map_err(|error| unreachable(&error))?
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((FORWARDED, self.shared.config.server.0));
        if let Some(token) = request.headers().get(AUTHORIZATION) {
            asked = asked.insert_header((AUTHORIZATION, token.clone()));
        }
        let lost = |error: &dyn std::fmt::Display| {
            let detail = format!("{leader} leads, and was lost when it was asked: {error}");
            Problem::new(Code::OutcomeUnknown, detail)
        };
        let mut answer = match asked.send_body(body).await {
            Ok(answer) => answer,
            Err(SendRequestError::Connect(error)) => return Err(unreachable(&error)),
            Err(error) => return Err(lost(&error)),
        };
        let told = answer.body().limit(SMALL).await.map_err(|error| lost(&error))?;
        let mut response = HttpResponse::build(answer.status());
        for name in [CONTENT_TYPE, RETRY_AFTER] {
            if let Some(value) = answer.headers().get(&name) {
                response.insert_header((name, value.clone()));
            }
        }
        Ok(response.body(told))
    }

    /// What asks the same of another server: over HTTPS by the name in its certificate, wherever
    /// it is.
    async fn request_to(
        &self,
        server: ServerId,
        address: &str,
        request: &HttpRequest,
    ) -> io::Result<ClientRequest> {
        let config = &self.shared.config;
        let patience = config.limits.patience;
        let connector = Connector::new().timeout(patience).handshake_timeout(patience);
        let client = awc::Client::builder().timeout(patience).disable_redirects();
        let Some(https) = &config.tls else {
            let location = self.location(request, address);
            return Ok(client.connector(connector).finish().post(location));
        };
        let place = tokio::net::lookup_host(address).await?.next();
        let place = place.ok_or_else(|| io::Error::other(format!("{address} is nowhere")))?;
        let name = format!("{}:{}", (https.name)(server), place.port());
        let client = client.connector(connector.rustls_0_23((https.client)())).finish();
        Ok(client.post(self.location(request, &name)).address(place))
    }
}

/// What was asked for has begun.
fn begun(result: Result<(), AdminError>) -> Result<HttpResponse, Problem> {
    result.map_err(|error| Problem::of_admin(&error))?;
    Ok(HttpResponse::Accepted().finish())
}

fn was_forwarded(request: &HttpRequest) -> bool {
    request.headers().contains_key(FORWARDED)
}

/// Which server sent a request on.
const FORWARDED: &str = "x-jangada-forwarded-by";
/// Plain text.
const TEXT: &str = "text/plain; charset=utf-8";
