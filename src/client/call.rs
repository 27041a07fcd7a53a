//! One request, at as many servers and as often as it takes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use awc::ClientResponse;
use awc::error::{ConnectError, SendRequestError};
use awc::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use awc::http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::body::{Outgoing, Progress, Pulse};
use super::content::Content;
use super::endpoint::Endpoint;
use super::error::{Error, Refusal, Remedy};
use super::link::{self, SetupError};

/// How a client is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers that it may ask; they need not be all of the cluster.
    pub endpoints: Vec<Endpoint>,
    /// The certificate, in PEM, of the authority that vouches for the servers. Needed for `https`.
    pub authority: Option<PathBuf>,
    /// What it shows them.
    pub token: Option<String>,
    /// For how long a request goes on being made, all attempts together. One whose body still moves
    /// is not cut off.
    pub timeout: Duration,
}

/// A client of one cluster. It stays on its thread; one request after the other.
pub struct Client {
    http: awc::Client,
    endpoints: Vec<Endpoint>,
    /// Which of them to ask next: the one that answered last.
    turn: Cell<usize>,
    timeout: Duration,
    /// What makes its changes its own.
    uuid: Uuid,
    serial: Cell<u64>,
    luck: RefCell<ChaCha8Rng>,
    /// A change is under way, and may have been heard.
    in_doubt: Cell<bool>,
}

/// A request, as it is made at any server.
pub(super) struct Request {
    method: Method,
    /// The path and the query.
    target: String,
    headers: Vec<(HeaderName, String)>,
    body: Body,
    again: Again,
    progress: Progress,
}

/// What a request brings.
enum Body {
    Nothing,
    Json(String),
    Text(String),
    Content(Content),
}

/// What it means to make it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Again {
    /// It changes nothing.
    Read,
    /// It has a key.
    Keyed,
    /// It may be done twice.
    Never,
}

/// An answer that is a success, whose body has not been read yet.
pub(super) struct Answer {
    pub(super) endpoint: Endpoint,
    pub(super) status: StatusCode,
    /// The hash of what was sent.
    pub(super) sent: blake3::Hash,
    silence: Duration,
    response: ClientResponse,
}

/// What an attempt came to.
enum Attempt {
    Answered(ClientResponse),
    /// Nobody was reached.
    Absent(String),
    /// It broke off, or nothing came: it may have been heard.
    Lost(String),
    /// It took too long: it may have been heard.
    Silent(Duration),
}

/// How long a server may be silent before another one is asked: longer than it goes on trying itself.
const SILENCE: Duration = Duration::from_secs(8);
/// The longest pause before the servers are asked once more; the first is a sixteenth of that.
const PAUSE: Duration = Duration::from_millis(800);
/// How often all servers are asked if none of them is there.
const ROUNDS: u32 = 3;
/// An answer that is no content has fewer bytes.
const MAX_ANSWER: usize = 8 << 20;

impl Request {
    fn new(method: Method, target: String, again: Again) -> Self {
        let (headers, progress) = (Vec::new(), Rc::new(|_| {}));
        Self { method, target, headers, body: Body::Nothing, again, progress }
    }

    /// A question.
    pub(super) fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target.into(), Again::Read)
    }

    /// A change that is made once, however often it is asked for.
    pub(super) fn change(method: Method, target: impl Into<String>) -> Self {
        Self::new(method, target.into(), Again::Keyed)
    }

    /// A wish that is not made again once it may have been heard.
    pub(super) fn wish(target: impl Into<String>) -> Self {
        Self::new(Method::POST, target.into(), Again::Never)
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn json(self, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_string(body).expect("invariant: requests serialize");
        Self { body: Body::Json(body), ..self }
    }

    pub(super) fn text(self, text: &str) -> Self {
        Self { body: Body::Text(text.to_owned()), ..self }
    }

    pub(super) fn content(self, content: &Content, progress: Progress) -> Self {
        Self { body: Body::Content(content.clone()), progress, ..self }
    }

    fn size(&self) -> u64 {
        match &self.body {
            Body::Nothing => 0,
            Body::Json(body) | Body::Text(body) => body.len() as u64,
            Body::Content(content) => content.size(),
        }
    }
}

impl Client {
    /// A client. It connects when it is asked for something.
    ///
    /// # Errors
    /// There is nobody to ask, or no way to do it.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let Options { endpoints, authority, token, timeout } = options;
        if endpoints.is_empty() {
            return Err(SetupError::NoEndpoints);
        }
        let secure = endpoints.iter().any(Endpoint::is_secure);
        let uuid = Uuid::new_v4();
        Ok(Self {
            http: link::open(authority.as_deref(), token.as_deref(), secure)?,
            endpoints,
            turn: Cell::new(0),
            timeout,
            uuid,
            serial: Cell::new(0),
            luck: RefCell::new(ChaCha8Rng::seed_from_u64(uuid.as_u64_pair().1)),
            in_doubt: Cell::new(false),
        })
    }

    /// The servers that it may ask.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Whether a change is under way that a server may have heard of: whoever drops the future that
    /// makes it does not know what becomes of it.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt.get()
    }

    /// How long a server may be silent.
    pub(super) fn silence(&self) -> Duration {
        SILENCE.min(self.timeout)
    }

    /// Makes a request until it is answered with a success, or cannot be, or time is up.
    pub(super) async fn call(&self, request: Request) -> Result<Answer, Error> {
        self.in_doubt.set(false);
        let outcome = self.attempts(request).await;
        self.in_doubt.set(false);
        outcome
    }

    async fn attempts(&self, mut request: Request) -> Result<Answer, Error> {
        if request.again == Again::Keyed {
            self.serial.set(self.serial.get() + 1);
            let key = format!("{}:{}", self.uuid, self.serial.get());
            request.headers.push((HeaderName::from_static("idempotency-key"), key));
        }
        let began = Instant::now();
        let deadline = began + self.timeout;
        let count = self.endpoints.len();
        let (mut attempts, mut absent) = (0, 0);
        // Who is to be asked instead, as the last one who was asked says.
        let mut led: Option<Endpoint> = None;
        loop {
            let elsewhere = led.take();
            let endpoint = elsewhere.clone().unwrap_or_else(|| self.current());
            let pulse = Pulse::new();
            let attempt = self.attempt(&endpoint, &request, &pulse, deadline).await;
            if let (Some(error), Body::Content(content)) = (pulse.failure(), &request.body) {
                return Err(Error::Local { what: content.what().to_owned(), error });
            }
            attempts += 1;
            absent = if matches!(attempt, Attempt::Absent(_)) { absent + 1 } else { 0 };
            let (reason, heard) = match attempt {
                Attempt::Answered(response) => {
                    let status = response.status();
                    let location = response.headers().get(LOCATION);
                    let location = location.and_then(|it| it.to_str().ok()).map(str::to_owned);
                    let answer = self.answer(&endpoint, &pulse, response);
                    if status.is_success() {
                        return Ok(answer);
                    }
                    let refusal = answer.refusal().await;
                    if status == StatusCode::TEMPORARY_REDIRECT && elsewhere.is_none() {
                        led = location.and_then(|location| endpoint.led_to(&location));
                    }
                    let remedy = if led.is_some() { Remedy::Again } else { refusal.remedy() };
                    match remedy {
                        Remedy::Nothing if self.is_in_doubt() && !refusal.is_verdict() => {
                            return Err(Error::Unknown(format!("{endpoint}: {refusal}")));
                        }
                        Remedy::Nothing => return Err(Error::Refused(refusal)),
                        Remedy::Again => (Failure::Told(format!("{endpoint}: {refusal}")), false),
                        Remedy::Settle => (Failure::Told(format!("{endpoint}: {refusal}")), true),
                    }
                }
                Attempt::Absent(reason) => (Failure::Told(format!("{endpoint}: {reason}")), false),
                Attempt::Lost(reason) => (Failure::Told(format!("{endpoint}: {reason}")), true),
                Attempt::Silent(within) => (Failure::Silent(endpoint, within), true),
            };
            if heard && request.again != Again::Read {
                self.in_doubt.set(true);
            }
            if led.is_some() {
                continue;
            }
            self.turn.set((self.turn.get() + 1) % count);
            let round = attempts / count as u32;
            let nobody = absent as usize >= count && round >= ROUNDS;
            // Whoever brings much gets to ask everybody.
            let enough = request.size() == 0 || attempts as usize >= count;
            let late = Instant::now() >= deadline && enough;
            let never = request.again == Again::Never && self.is_in_doubt();
            if nobody || late || never {
                return Err(reason.error(self.is_in_doubt()));
            }
            if (attempts as usize).is_multiple_of(count) {
                self.pause(round, deadline).await;
            }
        }
    }

    /// Asks nobody for a while: a longer one each time, and another one than anybody else.
    async fn pause(&self, round: u32, deadline: Instant) {
        let most = (PAUSE / 16).saturating_mul(1 << round.min(5)).min(PAUSE);
        let share = self.luck.borrow_mut().next_u64() % 512 + 512;
        let left = deadline.saturating_duration_since(Instant::now());
        sleep((most * share as u32 / 1024).min(left)).await;
    }

    fn current(&self) -> Endpoint {
        self.endpoints[self.turn.get() % self.endpoints.len()].clone()
    }

    /// Makes a request once.
    async fn attempt(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        pulse: &Rc<Pulse>,
        deadline: Instant,
    ) -> Attempt {
        let url = format!("{endpoint}{}", request.target);
        let mut asked = self.http.request(request.method.clone(), url);
        for (name, value) in &request.headers {
            asked = asked.insert_header((name.clone(), value.as_str()));
        }
        let began = Instant::now();
        let mut sending = match &request.body {
            Body::Nothing => asked.send(),
            Body::Json(body) => {
                asked.insert_header((CONTENT_TYPE, "application/json")).send_body(body.clone())
            }
            Body::Text(body) => {
                asked.insert_header((CONTENT_TYPE, "text/plain")).send_body(body.clone())
            }
            Body::Content(content) => {
                let progress = Rc::clone(&request.progress);
                asked.send_body(Outgoing::new(content.clone(), Rc::clone(pulse), progress))
            }
        };
        let outcome = loop {
            let mut until = pulse.moved() + self.silence();
            if !pulse.has_sent() {
                until = until.min(deadline);
            }
            match tokio::time::timeout_at(until, &mut sending).await {
                Ok(outcome) => break outcome,
                // Some of the body left meanwhile.
                Err(_) if pulse.moved() + self.silence() > Instant::now() && pulse.has_sent() => {}
                Err(_) => return Attempt::Silent(began.elapsed()),
            }
        };
        match outcome {
            Ok(response) => Attempt::Answered(response),
            Err(SendRequestError::Connect(error)) => match error {
                ConnectError::Disconnected => Attempt::Lost("it closed the connection".to_owned()),
                ConnectError::Timeout => Attempt::Absent("no connection within 3 s".to_owned()),
                ConnectError::Io(error) => Attempt::Absent(error.to_string()),
                error => Attempt::Absent(error.to_string()),
            },
            Err(SendRequestError::Url(error)) => Attempt::Absent(error.to_string()),
            Err(SendRequestError::Send(error)) => Attempt::Lost(error.to_string()),
            Err(error) => Attempt::Lost(error.to_string()),
        }
    }

    /// Makes a request once, at one server.
    pub(super) async fn once(
        &self,
        endpoint: &Endpoint,
        request: &Request,
    ) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.silence();
        let pulse = Pulse::new();
        let reason = match self.attempt(endpoint, request, &pulse, deadline).await {
            Attempt::Answered(response) => {
                let answer = self.answer(endpoint, &pulse, response);
                if answer.status.is_success() {
                    return Ok(answer);
                }
                return Err(Error::Refused(answer.refusal().await));
            }
            Attempt::Absent(reason) => return Err(Failure::Told(reason).error(false)),
            Attempt::Lost(reason) => Failure::Told(reason),
            Attempt::Silent(within) => Failure::Silent(endpoint.clone(), within),
        };
        Err(reason.error(request.again != Again::Read))
    }

    fn answer(&self, endpoint: &Endpoint, pulse: &Pulse, response: ClientResponse) -> Answer {
        let (endpoint, status) = (endpoint.clone(), response.status());
        Answer { endpoint, status, sent: pulse.hash(), silence: self.silence(), response }
    }
}

/// Why an attempt did not succeed, and another may.
enum Failure {
    Told(String),
    Silent(Endpoint, Duration),
}

impl Failure {
    fn error(self, in_doubt: bool) -> Error {
        match self {
            Self::Told(reason) if in_doubt => Error::Unknown(reason),
            Self::Told(reason) => Error::Unavailable(reason),
            Self::Silent(endpoint, within) => {
                let error = Error::Silence { endpoint, within };
                if in_doubt { Error::Unknown(error.to_string()) } else { error }
            }
        }
    }
}

impl Answer {
    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// It breaks off, or nothing comes.
    pub(super) async fn chunk(&mut self, silence: Duration) -> Result<Option<Bytes>, String> {
        let next = poll_fn(|context| Pin::new(&mut self.response).poll_next(context));
        match timeout(silence, next).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(Some(Err(error))) => Err(error.to_string()),
            Err(_) => Err(format!("nothing came for {} s", silence.as_secs_f64())),
        }
    }

    /// The body, which is small.
    async fn body(&mut self) -> Result<BytesMut, String> {
        let mut body = BytesMut::new();
        while let Some(bytes) = self.chunk(self.silence).await? {
            if body.len() + bytes.len() > MAX_ANSWER {
                return Err(format!("it has more than {MAX_ANSWER} bytes"));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    pub(super) async fn json<T: serde::de::DeserializeOwned>(mut self) -> Result<T, Error> {
        let parsed = match self.body().await {
            Ok(body) => serde_json::from_slice(&body).map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        parsed.map_err(|reason| Error::Confused { endpoint: self.endpoint, reason })
    }

    pub(super) async fn text(mut self) -> Result<String, Error> {
        let endpoint = self.endpoint.clone();
        let body = self.body().await.map_err(|reason| Error::Confused { endpoint, reason })?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn refusal(mut self) -> Refusal {
        let body = self.body().await.unwrap_or_default();
        Refusal::of(self.status.as_u16(), &body)
    }
}
