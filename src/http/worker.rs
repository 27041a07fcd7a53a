//! One worker of the HTTP server, and what all workers share.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use actix_web::dev::Payload;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::access::Bucket;
use super::admin::Admin;
use super::config::Config;
use super::gate::Visitor;
use super::meter::Meter;
use super::pool::{MakeClient, Pool};
use super::problem::{Code, Problem};
use super::route::{self, Route};
use super::stream::Requests;
use super::watch::Feed;
use crate::actors::{Client, Consistency};

/// What all workers share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) admin: Arc<dyn Admin>,
    pub(super) meter: Meter,
    /// What everybody takes requests from who has no token.
    pub(super) everybody: Bucket,
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    /// In units of [`UNIT`] bytes.
    memory: Arc<Semaphore>,
}

/// One worker: everything of it stays on its thread.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Pool,
    pub(super) feed: Rc<Feed>,
}

/// Bytes that one permit of memory stands for.
const UNIT: usize = 1024;

impl Shared {
    pub(super) fn new(config: Config, admin: Arc<dyn Admin>) -> Self {
        let limits = &config.limits;
        let semaphore =
            |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self {
            requests: semaphore(limits.requests),
            watches: semaphore(limits.watches),
            memory: semaphore(limits.body_memory / UNIT),
            meter: Meter::default(),
            everybody: Bucket::default(),
            config,
            admin,
        }
    }

    /// Memory for a body, as long as the permit is held.
    ///
    /// # Errors
    /// Too many bodies are on their way.
    pub(super) fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = bytes.div_ceil(UNIT) as u32;
        Arc::clone(&self.memory).try_acquire_many_owned(units).map_err(|_| {
            let limit = self.config.limits.body_memory;
            let detail = format!("bodies on their way hold {limit} bytes, which is the limit");
            Problem::new(Code::Overloaded, detail)
        })
    }

    /// Room for one more watch, as long as the permit is held.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub(super) fn watch(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.watches).try_acquire_owned().map_err(|_| {
            let limit = self.config.limits.watches;
            Problem::new(Code::Overloaded, format!("{limit} watches are open, which is the limit"))
        })
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| {
            let limit = self.config.limits.requests;
            let detail = format!("{limit} requests are being answered, which is the limit");
            Problem::new(Code::Overloaded, detail)
        })
    }
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, make: MakeClient) -> Self {
        let pool = Pool::new(make, shared.config.limits.patience);
        Self { shared, pool, feed: Rc::default() }
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(
        self: Rc<Self>,
        request: HttpRequest,
        payload: Payload,
    ) -> HttpResponse {
        let began = Instant::now();
        let meter = &self.shared.meter;
        meter.under_way.fetch_add(1, Relaxed);
        // A client that goes away takes this future with it.
        let under_way = Leave(&self.shared);
        let _connection = request.conn_data::<Rc<Requests>>().cloned().map(Requests::begin);
        let route = Route::parse(request.method(), request.uri().path());
        let place = route.as_ref().ok().map(Route::place);
        let visitor = Visitor::of(&request, &self.shared);
        let origin = visitor.as_ref().ok().and_then(|visitor| visitor.origin.clone());
        let answer = match visitor {
            Ok(visitor) if visitor.is_preflight(&request) => Ok(visitor.preflight()),
            Ok(visitor) => Rc::clone(&self).visit(&request, payload, route, &visitor).await,
            Err(refused) => Err(refused),
        };
        let mut response = answer.unwrap_or_else(|problem| self.told(problem).response());
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if let Some(origin) = origin {
            // Pages of other sites see these headers, and whoever caches the answer minds for whom
            // it was.
            const EXPOSED: &str = "etag, x-jangada-revision, x-jangada-index, x-jangada-hash";
            headers.insert(VARY, HeaderValue::from_static("origin"));
            headers.insert(ALLOW_ORIGIN, origin);
            headers.insert(EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
        drop(under_way);
        meter.answered(place, response.status().as_u16(), began.elapsed());
        response
    }

    async fn visit(
        self: Rc<Self>,
        request: &HttpRequest,
        payload: Payload,
        route: Result<Route, Problem>,
        visitor: &Visitor<'_>,
    ) -> Result<HttpResponse, Problem> {
        let route = route?;
        visitor.may(&route, &self.shared)?;
        if route.is_vital() {
            return self.health(request, &route);
        }
        visitor.take(&self.shared)?;
        let _admitted = self.shared.admit()?;
        match route {
            Route::Put(name) => self.put(request, payload, visitor, &name).await,
            Route::Get(name) => self.get(request, &name).await,
            Route::Delete(name) => self.delete(request, visitor, &name).await,
            Route::Append(name) => self.append(request, payload, visitor, &name).await,
            Route::Rename(name) => self.rename(request, payload, visitor, &name).await,
            Route::Stat(name) => self.stat(request, &name).await,
            Route::List => self.list(request).await,
            Route::Watch => Feed::watch(&self, request).await,
            Route::Cluster => self.status(request).await,
            Route::Members => self.members(request, payload).await,
            Route::Transfer => self.transfer(request, payload).await,
            Route::Snapshot => self.snapshot(request).await,
            Route::Why => self.why(request).await,
            Route::Chaos => self.chaos(request, payload).await,
            Route::OpenApi => Ok(super::openapi::answer()),
            Route::Live | Route::Ready | Route::Metrics | Route::Version => {
                self.health(request, &route)
            }
        }
    }

    /// A client for a question that may miss so much.
    pub(super) fn reader(&self, consistency: Consistency) -> Client {
        let client = self.pool.reader().with(consistency);
        match consistency {
            Consistency::Stale => client.at(self.shared.config.server),
            _ => client,
        }
    }

    /// A client for a change.
    ///
    /// # Errors
    /// Too many are under way.
    pub(super) fn writer(&self) -> Result<Client, Problem> {
        let too_many = || Problem::new(Code::Overloaded, "too many changes are under way");
        self.pool.writer().ok_or_else(too_many)
    }

    /// Whether the client is to ask the leader itself, as it wished.
    ///
    /// # Errors
    /// It is: a redirection to where the leader is.
    pub(super) fn stay(&self, request: &HttpRequest, redirect: bool) -> Result<(), Problem> {
        if !redirect {
            return Ok(());
        }
        let leader = self.shared.admin.leader();
        match &leader {
            Some((id, _)) if *id == self.shared.config.server.0 => Ok(()),
            Some((id, Some(address))) => {
                let detail = format!("S{id} leads: ask there");
                let location = self.location(request, address);
                let problem = Problem::new(Code::NotLeader, detail).led_by(leader);
                Err(problem.elsewhere(location))
            }
            Some((id, None)) => {
                let detail = format!("S{id} leads, and its address is not known here");
                Err(Problem::new(Code::NotLeader, detail).led_by(leader))
            }
            None => Err(Problem::new(Code::NoLeader, "nobody leads, as far as is known here")),
        }
    }

    /// Where the same request goes at another server.
    pub(super) fn location(&self, request: &HttpRequest, address: &str) -> String {
        let scheme = if self.shared.config.tls.is_some() { "https" } else { "http" };
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        format!("{scheme}://{address}{target}")
    }

    /// The problem, with what is known of the leader where that helps.
    fn told(&self, problem: Problem) -> Problem {
        let helps = matches!(
            problem.code,
            Code::NotLeader | Code::NoLeader | Code::NoQuorum | Code::Unavailable
        );
        if helps && problem.leader.is_none() {
            problem.led_by(self.shared.admin.leader())
        } else {
            problem
        }
    }
}

/// For whom a page may use what we answer.
pub(super) const ALLOW_ORIGIN: HeaderName = actix_web::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
const EXPOSE_HEADERS: HeaderName = actix_web::http::header::ACCESS_CONTROL_EXPOSE_HEADERS;

/// Counts a request out when it is dropped.
struct Leave<'a>(&'a Shared);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.meter.under_way.fetch_sub(1, Relaxed);
    }
}

/// The reference that means the file of this name and no other; or whatever the name means, if the
/// client wishes.
pub(super) fn reference(name: &crate::files::FileName, by: super::parameters::By) -> String {
    match by {
        super::parameters::By::Name => format!("/{name}"),
        super::parameters::By::Any => name.to_string(),
    }
}

/// The path of a file.
pub(super) fn path_of(name: &str) -> String {
    format!("/v1/files/{}", route::encode(name))
}
