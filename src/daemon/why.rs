//! Questions why, answered from what the server has seen.

use tokio::sync::{mpsc, oneshot};

use crate::actors::{Event, Recorder};
use crate::http::AdminError;
use crate::script::{Inquiry, Statement, Variables, parse};
use crate::why::explain_trace;

/// Takes in whoever wants to know what has happened, on any thread.
pub(super) type Asker = mpsc::Sender<oneshot::Sender<Vec<String>>>;

/// Most that wait for the server's thread.
pub(super) const MAX_WAITING: usize = 16;

/// Answers a question, as in `why no-leader`. Orders are not known here, so none is named as a
/// cause: what the server saw is told, back from what is asked about.
pub(super) async fn answer(to: &Asker, question: &str) -> Result<String, AdminError> {
    let inquiry = inquiry(question)?;
    let (reply, events) = oneshot::channel();
    to.send(reply).await.map_err(|_| AdminError::Ended)?;
    let events = events.await.map_err(|_| AdminError::Ended)?.join("\n");
    let answer = explain_trace(events.as_bytes(), &inquiry);
    answer.map(|it| it.to_string()).map_err(|error| AdminError::Refused(error.to_string()))
}

fn inquiry(question: &str) -> Result<Inquiry, AdminError> {
    match parse(question, &Variables::default()) {
        Ok(Some(Statement::Why(inquiry))) => Ok(inquiry),
        Ok(_) => Err(AdminError::Invalid(format!("`{question}` does not ask why"))),
        Err(error) => Err(AdminError::Invalid(error.to_string())),
    }
}

/// Tells whoever asks what has happened, on the thread of the server, until nobody can ask any more.
pub(super) async fn tell(
    recorder: &Recorder,
    mut inbox: mpsc::Receiver<oneshot::Sender<Vec<String>>>,
) {
    while let Some(asker) = inbox.recv().await {
        // Whoever asked may have gone away.
        let _ = asker.send(recorder.latest(usize::MAX).iter().map(Event::traced).collect());
    }
    std::future::pending::<()>().await;
}
