//! Watching the files: changes as server-sent events.
//!
//! The watches of one worker share a [`Feed`], which asks the server for news as long as anybody
//! watches, and keeps the latest. A watch takes its events from there when its connection has room
//! for them; one that is further behind asks for itself, and one that is so far behind that the
//! server has forgotten what it lacks is told so and ended. So a slow reader holds one page.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::ToSchema;
use uuid::Uuid;

use super::parameters;
use super::problem::{Code, Problem};
use super::worker::Worker;
use crate::actors::{ClientError, Consistency};
use crate::files::{Answer, Change, ChangeKind, MAX_PAGE, Query, Refusal};

/// A change of a file, as it is told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Told {
    /// The log index of the entry that made it.
    index: u64,
    /// `created`, `appended`, `renamed` or `deleted`.
    kind: String,
    /// The file.
    uuid: Uuid,
    /// Its name afterwards, or when it was deleted.
    name: String,
    /// Its revision afterwards, or when it was deleted.
    revision: u64,
    /// Its size afterwards, or when it was deleted, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Bytes that were added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    added: Option<u64>,
    /// The name that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The file that had the name before, and is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<Uuid>,
}

/// The news of one worker.
#[derive(Default)]
pub(super) struct Feed {
    /// The latest changes, without a gap: pages in order.
    pages: RefCell<VecDeque<Rc<Page>>>,
    /// Whether somebody asks for news.
    runs: Cell<bool>,
    /// The index up to which there is nothing new; changes when there is.
    head: watch::Sender<u64>,
}

/// Changes behind one index, up to another.
struct Page {
    after: u64,
    next: u64,
    changes: Vec<Change>,
}

/// An open watch.
struct Watch {
    worker: Rc<Worker>,
    prefix: String,
    /// All up to this index was told.
    told: u64,
    head: watch::Receiver<u64>,
    /// What is being waited for.
    next: Option<Pin<Box<dyn Future<Output = Step>>>>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// What a watch goes on with.
enum Step {
    /// These changes.
    Page(Rc<Page>),
    /// There is nothing new.
    Nothing,
    /// What it lacks is forgotten: what is behind this index is known.
    Gone(u64),
    /// The server stops.
    Stop,
}

/// How often the server is asked for news.
const INTERVAL: Duration = Duration::from_millis(20);
/// Pages of news that are kept for watches that are a little behind: 500 changes each at the most.
const PAGES: usize = 64;

impl Feed {
    /// Answers with the changes behind an index: `Last-Event-ID`, or `from`, or now.
    pub(super) async fn watch(
        worker: &Rc<Worker>,
        request: &HttpRequest,
    ) -> Result<HttpResponse, Problem> {
        let parameters::Watch { from, prefix } = parameters::of(request)?;
        let permit = worker.shared.watch()?;
        let told = match request.headers().get("last-event-id") {
            None => from,
            Some(id) => {
                let index = id.to_str().ok().and_then(|id| id.trim().parse().ok());
                let bad = || {
                    let detail = "`Last-Event-ID` must be the id of an event: a log index";
                    Problem::new(Code::BadHeader, detail)
                };
                Some(index.ok_or_else(bad)?)
            }
        };
        // What cannot be told is refused now, while there is an answer to refuse it with.
        let client = worker.reader(Consistency::Stale);
        let query = Query::Changes { after: told.unwrap_or(u64::MAX), limit: 0 };
        let done = client.query(query).await?;
        let told = told.unwrap_or(done.index.0);
        let head = worker.feed.head.subscribe();
        Self::run(worker, done.index.0);
        worker.shared.meter.watches.fetch_add(1, Relaxed);
        let worker = Rc::clone(worker);
        let watch = Watch { worker, prefix, told, head, next: None, ended: false, _permit: permit };
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(watch))
    }

    /// Sees to it that somebody asks for news, behind `index` if nobody did.
    fn run(worker: &Rc<Worker>, index: u64) {
        let feed = Rc::clone(&worker.feed);
        if feed.runs.replace(true) {
            return;
        }
        feed.pages.borrow_mut().clear();
        feed.head.send_replace(index);
        let worker = Rc::clone(worker);
        actix_web::rt::spawn(async move {
            let mut stopping = worker.shared.admin.stopping();
            while feed.head.receiver_count() > 0 {
                feed.ask(&worker).await;
                if tokio::time::timeout(INTERVAL, &mut stopping).await.is_ok() {
                    // Nobody can miss it: watches look at the head once more.
                    feed.head.send_replace(u64::MAX);
                    return;
                }
            }
            feed.runs.set(false);
        });
    }

    /// Asks for news once.
    async fn ask(&self, worker: &Worker) {
        let after = *self.head.borrow();
        let query = Query::Changes { after, limit: MAX_PAGE as u64 };
        match worker.reader(Consistency::Stale).query(query).await {
            Ok(done) => {
                let Answer::Changes { changes, next } = done.answer else { return };
                if next > after {
                    let pages = &mut *self.pages.borrow_mut();
                    if pages.len() == PAGES {
                        pages.pop_front();
                    }
                    pages.push_back(Rc::new(Page { after, next, changes }));
                    self.head.send_replace(next);
                }
            }
            Err(ClientError::Refused(Refusal::HistoryGone { first })) => {
                // The server was set back, or stood still: watches find out for themselves.
                self.pages.borrow_mut().clear();
                self.head.send_replace(first);
            }
            // It is down; perhaps it comes back.
            Err(_) => {}
        }
    }

    /// The page with what comes behind this index, if it is one of the latest.
    fn page_behind(&self, told: u64) -> Option<Rc<Page>> {
        let pages = self.pages.borrow();
        let page = pages.partition_point(|page| page.next <= told);
        pages.get(page).filter(|page| page.after <= told).cloned()
    }
}

impl Watch {
    /// What this watch goes on with; waits until there is something, or a heartbeat is due.
    fn step(&self) -> Pin<Box<dyn Future<Output = Step>>> {
        let (worker, told, mut head) = (Rc::clone(&self.worker), self.told, self.head.clone());
        Box::pin(async move {
            let heartbeat = worker.shared.config.limits.heartbeat;
            let news = async {
                // The feed has not ended: the worker holds it.
                let _ = head.wait_for(|head| *head > told).await;
            };
            if tokio::time::timeout(heartbeat, news).await.is_err() {
                return Step::Nothing;
            }
            if *head.borrow() == u64::MAX {
                return Step::Stop;
            }
            if let Some(page) = worker.feed.page_behind(told) {
                return Step::Page(page);
            }
            let query = Query::Changes { after: told, limit: MAX_PAGE as u64 };
            match worker.reader(Consistency::Stale).query(query).await {
                Ok(done) => match done.answer {
                    Answer::Changes { changes, next } if next > told => {
                        Step::Page(Rc::new(Page { after: told, next, changes }))
                    }
                    _ => Step::Nothing,
                },
                Err(ClientError::Refused(Refusal::HistoryGone { first })) => Step::Gone(first),
                Err(_) => {
                    // The server is down, or busy: no reason to ask it in a circle.
                    tokio::time::sleep(INTERVAL).await;
                    Step::Nothing
                }
            }
        })
    }

    /// What is told of a step; nothing if it is of no interest here.
    fn tell(&mut self, step: &Step) -> String {
        let mut text = String::new();
        match step {
            Step::Page(page) => {
                let told = self.told;
                let news = page.changes.iter().filter(|change| change.index > told);
                let news: Vec<_> = news.filter(|change| concerns(change, &self.prefix)).collect();
                for (place, change) in news.iter().enumerate() {
                    // All changes of one entry have one index: it is told with the last of them, so
                    // that whoever goes on behind it has seen all.
                    if news.get(place + 1).is_none_or(|next| next.index != change.index) {
                        let _ = writeln!(text, "id: {}", change.index);
                    }
                    let told = serde_json::to_string(&Told::from(*change));
                    let told = told.expect("invariant: changes serialize");
                    let _ = write!(text, "data: {told}\n\n");
                }
                self.told = page.next;
            }
            Step::Nothing => {
                let _ = write!(text, ": nothing new\nid: {}\n\n", self.told);
            }
            Step::Gone(first) => {
                let _ = write!(text, "event: gone\ndata: {{\"first\":{first}}}\n\n");
                self.ended = true;
            }
            Step::Stop => self.ended = true,
        }
        text
    }
}

impl MessageBody for Watch {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            let mut next = this.next.take().unwrap_or_else(|| this.step());
            let Poll::Ready(step) = next.as_mut().poll(context) else {
                this.next = Some(next);
                return Poll::Pending;
            };
            let text = this.tell(&step);
            if !text.is_empty() {
                return Poll::Ready(Some(Ok(text.into())));
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.worker.shared.meter.watches.fetch_sub(1, Relaxed);
    }
}

impl From<&Change> for Told {
    fn from(change: &Change) -> Self {
        let Change { index, uuid, name, revision, kind } = change;
        let mut told = Self {
            index: *index,
            kind: String::new(),
            uuid: *uuid,
            name: name.to_string(),
            revision: *revision,
            size: None,
            added: None,
            from: None,
            replaced: None,
        };
        told.kind = match kind {
            ChangeKind::Created { size, replaced } => {
                (told.size, told.replaced) = (Some(*size), *replaced);
                "created"
            }
            ChangeKind::Appended { added, size } => {
                (told.added, told.size) = (Some(*added), Some(*size));
                "appended"
            }
            ChangeKind::Renamed { from } => {
                told.from = Some(from.to_string());
                "renamed"
            }
            ChangeKind::Deleted { size } => {
                told.size = Some(*size);
                "deleted"
            }
        }
        .to_owned();
        told
    }
}

/// Whether a file is concerned whose name begins so, or began so.
fn concerns(change: &Change, prefix: &str) -> bool {
    let before = match &change.kind {
        ChangeKind::Renamed { from } => from.as_str().starts_with(prefix),
        _ => false,
    };
    before || change.name.as_str().starts_with(prefix)
}
