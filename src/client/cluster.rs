//! The cluster: how it is, and what operators wish.

use serde_json::json;

use super::call::{Client, Request};
use super::endpoint::Endpoint;
use super::error::Error;
use super::files::query;
use super::{ChangeMembers, Status};

impl Client {
    /// How each of the servers is that the client may ask, or why that is not known.
    pub async fn statuses(&self) -> Vec<(Endpoint, Result<Status, Error>)> {
        let mut all = Vec::new();
        for endpoint in self.endpoints() {
            let request = Request::get(CLUSTER);
            let status = match self.once(endpoint, &request).await {
                Ok(answer) => answer.json().await,
                Err(error) => Err(error),
            };
            all.push((endpoint.clone(), status));
        }
        all
    }

    /// How the cluster is, as its leader sees it if that can be reached, else as anybody does.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn status(&self) -> Result<Status, Error> {
        let answer = self.call(Request::get(CLUSTER)).await?;
        let asked = answer.endpoint.clone();
        let status: Status = answer.json().await?;
        let leader = status.leader_address.as_ref().filter(|_| status.leader != Some(status.id));
        let scheme = if asked.is_secure() { "https" } else { "http" };
        let leader = leader.and_then(|address| format!("{scheme}://{address}").parse().ok());
        if let Some(leader) = leader
            && let Ok(answer) = self.once(&leader, &Request::get(CLUSTER)).await
            && let Ok(seen) = answer.json().await
        {
            return Ok(seen);
        }
        Ok(status)
    }

    /// Has the leader change the members. Answered when that has begun.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn change_members(&self, change: &ChangeMembers) -> Result<(), Error> {
        self.call(Request::wish("/v1/cluster/members").json(change)).await.map(|_| ())
    }

    /// Has the leader hand over, to this server or to the best one. Answered when that has begun.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn transfer(&self, to: Option<u64>) -> Result<(), Error> {
        self.call(Request::wish("/v1/cluster/transfer").json(&json!({ "to": to })))
            .await
            .map(|_| ())
    }

    /// Disturbs the server that answers first, by an order in the words of the console. Refused
    /// unless it was started with that allowed.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn disturb(&self, order: &str) -> Result<(), Error> {
        self.call(Request::wish("/v1/chaos").text(order)).await.map(|_| ())
    }

    /// Asks why something is so, in the words of the console.
    ///
    /// # Errors
    /// As [`Error`] says: refused where nobody remembers.
    pub async fn why(&self, question: &str) -> Result<String, Error> {
        let query = query(&[("q", Some(question.to_owned()))]);
        self.call(Request::get(format!("/v1/cluster/why{query}"))).await?.text().await
    }

    /// Has each of the servers take a snapshot that the client may ask.
    pub async fn snapshots(&self) -> Vec<(Endpoint, Result<(), Error>)> {
        let mut all = Vec::new();
        for endpoint in self.endpoints() {
            let request = Request::wish("/v1/cluster/snapshot");
            all.push((endpoint.clone(), self.once(endpoint, &request).await.map(|_| ())));
        }
        all
    }
}

/// Where servers say how they are.
const CLUSTER: &str = "/v1/cluster";
