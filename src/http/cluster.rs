//! What operators see and ask: the cluster, and how the server is.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::{AdminError, ChangeMembers};
use super::body::Body;
use super::files::{SMALL, json};
use super::parameters::{self, Nothing, Why};
use super::problem::{Code, Problem};
use super::route::Route;
use super::worker::Worker;

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
        let status = status.map_err(|error| self.of_admin(request, &error))?;
        Ok(json(HttpResponse::Ok(), &status))
    }

    pub(super) async fn members(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<HttpResponse, Problem> {
        let Nothing {} = parameters::of(request)?;
        let change: ChangeMembers = self.small(request, payload).await?;
        let ChangeMembers { voters, add, remove, priority, .. } = &change;
        let named = [voters.is_some(), add.is_some(), remove.is_some(), priority.is_some()];
        if named.into_iter().filter(|named| *named).count() != 1 {
            let detail =
                "the body must name exactly one of `voters`, `add`, `remove` and `priority`";
            return Err(Problem::new(Code::BadBody, detail));
        }
        self.begun(request, self.shared.admin.change_members(change).await)
    }

    pub(super) async fn transfer(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<HttpResponse, Problem> {
        let Nothing {} = parameters::of(request)?;
        let body = self.text(request, payload).await?;
        let HandOver { to } =
            if body.is_empty() { HandOver::default() } else { parameters::json(&body)? };
        self.begun(request, self.shared.admin.transfer(to).await)
    }

    pub(super) async fn snapshot(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let Nothing {} = parameters::of(request)?;
        self.begun(request, self.shared.admin.snapshot().await)
    }

    pub(super) async fn why(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        let Why { q } = parameters::of(request)?;
        let answer = self.shared.admin.why(q).await;
        let answer = answer.map_err(|error| self.of_admin(request, &error))?;
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
        self.begun(request, self.shared.admin.chaos(order.trim().to_owned()).await)
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
    async fn text(&self, request: &HttpRequest, payload: Payload) -> Result<bytes::Bytes, Problem> {
        let limits = &self.shared.config.limits;
        Body::new(request, payload, limits, SMALL as u64)?.all(SMALL).await
    }

    /// What was asked for has begun.
    fn begun(
        &self,
        request: &HttpRequest,
        result: Result<(), AdminError>,
    ) -> Result<HttpResponse, Problem> {
        result.map_err(|error| self.of_admin(request, &error))?;
        Ok(HttpResponse::Accepted().finish())
    }

    /// A wish that only the leader can fulfil is sent on to it: nobody does that here.
    fn of_admin(&self, request: &HttpRequest, error: &AdminError) -> Problem {
        let problem = Problem::of_admin(error);
        match error {
            AdminError::NotLeader { leader: Some((_, Some(address))) } => {
                problem.elsewhere(self.location(request, address))
            }
            _ => problem,
        }
    }
}

/// Plain text.
const TEXT: &str = "text/plain; charset=utf-8";
