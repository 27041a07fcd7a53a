//! Disturbances, in the words of the console, on their way to the thread of the server.

use tokio::sync::{mpsc, oneshot};

use crate::actors::{Order, Standalone};
use crate::http::AdminError;
use crate::script::{Statement, Variables, parse};

/// Takes disturbances in, on any thread.
pub(super) type Disturber = mpsc::Sender<Disturbance>;

/// Orders that are carried out one after the other, until one is refused.
pub(super) struct Disturbance {
    orders: Vec<Order>,
    reply: oneshot::Sender<Result<(), AdminError>>,
}

/// Most that wait for the server's thread.
pub(super) const MAX_WAITING: usize = 64;

/// Has the orders of a line carried out.
pub(super) async fn disturb(to: &Disturber, line: &str) -> Result<(), AdminError> {
    let orders = orders(line)?;
    let (reply, answer) = oneshot::channel();
    to.send(Disturbance { orders, reply }).await.map_err(|_| AdminError::Ended)?;
    answer.await.unwrap_or(Err(AdminError::Ended))
}

fn orders(line: &str) -> Result<Vec<Order>, AdminError> {
    match parse(line, &Variables::default()) {
        Ok(Some(Statement::Order(order) | Statement::Try(order))) => Ok(vec![order]),
        Ok(Some(Statement::BothWays { there, back })) => Ok(vec![there, back]),
        Ok(_) => Err(AdminError::Invalid(format!("`{line}` is no order about links"))),
        Err(error) => Err(AdminError::Invalid(error.to_string())),
    }
}

/// Carries out what comes, on the thread of the server, until nobody can send any more.
pub(super) async fn carry_out(server: &Standalone, mut inbox: mpsc::Receiver<Disturbance>) {
    while let Some(Disturbance { orders, reply }) = inbox.recv().await {
        let done = orders.iter().try_for_each(|order| server.disturb(order));
        // Whoever gave up waiting sees it in the log.
        let _ = reply.send(done.map_err(|error| AdminError::Refused(error.to_string())));
    }
    std::future::pending::<()>().await;
}
