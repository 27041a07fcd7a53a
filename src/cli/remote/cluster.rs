//! How the cluster is, and its members.

use std::collections::BTreeSet;

use clap::Args;
use jangada::client::{ChangeMembers, Client, Member, Membership, NewMember};
use serde_json::json;

use super::failure::{Failure, UNAVAILABLE, code_of};
use super::{Screen, Verb};

#[derive(Args)]
pub(crate) struct Status {}

#[derive(Args)]
pub(crate) struct List {}

/// A condition of a change of members.
#[derive(Args)]
struct Expected {
    /// Only if the latest configuration stands at this log index, as `member list` tells it
    #[arg(long = "if", value_name = "INDEX")]
    expected: Option<u64>,
}

#[derive(Args)]
pub(crate) struct Add {
    /// Its number
    #[arg(value_name = "N")]
    id: u64,
    /// It is to receive the log and never vote
    #[arg(long)]
    learner: bool,
    #[command(flatten)]
    condition: Expected,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Its number
    #[arg(value_name = "N")]
    id: u64,
    #[command(flatten)]
    condition: Expected,
}

#[derive(Args)]
pub(crate) struct Set {
    /// Their numbers
    #[arg(required = true, value_delimiter = ',', value_name = "N,...")]
    voters: Vec<u64>,
    #[command(flatten)]
    condition: Expected,
}

#[derive(Args)]
pub(crate) struct Transfer {
    /// The server that is to lead [default: the best one]
    #[arg(value_name = "N")]
    to: Option<u64>,
}

#[derive(Args)]
pub(crate) struct Snapshot {}

impl Verb for Status {
    /// Asks every server, and shows those that answer, and those that should.
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let all = client.statuses().await;
        let members: BTreeSet<_> = all
            .iter()
            .filter_map(|(_, status)| status.as_ref().ok())
            .flat_map(|status| status.members.iter().filter_map(|member| member.http.clone()))
            .collect();
        let known = |address: &str| members.iter().any(|http| address.ends_with(http.as_str()));
        let (mut rows, mut told, mut worst) = (Vec::new(), Vec::new(), UNAVAILABLE);
        for (endpoint, status) in &all {
            let address = endpoint.to_string();
            match status {
                Ok(status) => {
                    let leader =
                        status.leader.map_or_else(|| "-".to_owned(), |it| format!("S{it}"));
                    let numbers = [status.commit_index, status.last_applied, status.snapshot_index];
                    let mut row = vec![format!("S{}", status.id), status.role.clone()];
                    row.extend([status.term.to_string(), leader]);
                    row.extend(numbers.map(|number| number.to_string()));
                    row.extend([format!("{} s", status.uptime_seconds), address.clone()]);
                    rows.push(row);
                    told.push(json!({ "endpoint": address, "status": status }));
                }
                Err(error) if !screen.asks_everywhere() || known(&address) => {
                    let mut row = vec!["-".to_owned(), "no answer".to_owned()];
                    row.extend(std::iter::repeat_n("-".to_owned(), 6));
                    row.push(address.clone());
                    rows.push(row);
                    screen.say(format!("{address}: {error}"));
                    told.push(json!({ "endpoint": address, "error": error.to_string() }));
                    if rows.len() == 1 {
                        worst = code_of(error);
                    }
                }
                Err(_) => {}
            }
        }
        if screen.is_json() {
            screen.print_json(&told)?;
        } else if !rows.is_empty() {
            let titles = ["SERVER", "ROLE", "TERM", "LEADER", "COMMITTED", "APPLIED", "SNAPSHOT"];
            let titles = [&titles[..], &["UP", "ADDRESS"]].concat();
            screen.print_table(&titles, rows)?;
        }
        if all.iter().any(|(_, status)| status.is_ok()) {
            return Ok(());
        }
        if screen.asks_everywhere() {
            screen.say("jangada: no server answers at http://127.0.0.1:3001 to 3005");
        }
        Err(Failure::Told(worst))
    }
}

impl Verb for List {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let status = client.status().await?;
        if screen.is_json() {
            let index = status.configuration_index;
            screen.print_json(&json!({ "configuration": index, "members": status.members }))?;
            return Ok(());
        }
        let titles = ["SERVER", "MEMBERSHIP", "HAS", "ALIVE", "ROUND TRIP", "HTTP", "PEER"];
        let rows =
            status.members.iter().map(|member| row(member, status.id, status.last_log_index));
        screen.print_table(&titles, rows.collect())?;
        screen.say(format!("the configuration stands at index {}", status.configuration_index));
        Ok(())
    }
}

fn row(member: &Member, teller: u64, last: u64) -> Vec<String> {
    let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let membership = match member.membership {
        Membership::Voter => "voter",
        Membership::Joining => "joining",
        Membership::Leaving => "leaving",
        Membership::Learner => "learner",
    };
    let own = member.id == teller;
    let progress = member.progress.as_ref();
    let has = if own { Some(last) } else { progress.map(|progress| progress.match_index) };
    let alive = if own { Some(true) } else { progress.map(|progress| progress.alive) };
    vec![
        format!("S{}", member.id),
        membership.to_owned(),
        or(has.map(|index| index.to_string())),
        or(alive.map(|alive| if alive { "yes" } else { "no" }.to_owned())),
        or(member.round_trip_micros.map(|it| format!("{:.1} ms", it as f64 / 1000.0))),
        or(member.http.clone()),
        or(member.peer.clone()),
    ]
}

impl Expected {
    /// Asks for a change that keeps to the condition.
    async fn change(
        &self,
        client: &Client,
        screen: &Screen,
        change: ChangeMembers,
        what: String,
    ) -> Result<(), Failure> {
        let change = ChangeMembers { expected: self.expected, ..change };
        client.change_members(&change).await?;
        screen.say(format!("begun: {what}; `jangada member list` shows how far it is"));
        Ok(())
    }
}

impl Verb for Add {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let (id, learner) = (self.id, self.learner);
        let change = ChangeMembers { add: Some(NewMember { id, learner }), ..Default::default() };
        let what = if learner { "learns" } else { "is to vote" };
        self.condition.change(client, screen, change, format!("S{id} {what}")).await
    }
}

impl Verb for Remove {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let change = ChangeMembers { remove: Some(self.id), ..Default::default() };
        self.condition.change(client, screen, change, format!("S{} leaves", self.id)).await
    }
}

impl Verb for Set {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let change = ChangeMembers { voters: Some(self.voters.clone()), ..Default::default() };
        let voters: Vec<_> = self.voters.iter().map(|id| format!("S{id}")).collect();
        let what = format!("the voters are to be {}", voters.join(", "));
        self.condition.change(client, screen, change, what).await
    }
}

impl Verb for Transfer {
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        client.transfer(self.to).await?;
        match self.to {
            Some(to) => screen.say(format!("begun: S{to} takes over")),
            None => screen.say("begun: another server takes over"),
        }
        Ok(())
    }
}

impl Verb for Snapshot {
    /// Whoever is not there cannot take one; those that are do.
    async fn run(&self, client: &Client, screen: &Screen) -> Result<(), Failure> {
        let mut failed = None;
        let mut taken = 0;
        for (endpoint, told) in client.snapshots().await {
            match told {
                Ok(()) => {
                    taken += 1;
                    screen.say(format!("{endpoint} takes a snapshot"));
                }
                Err(jangada::client::Error::Unavailable(_)) if screen.asks_everywhere() => {}
                Err(error) => {
                    super::super::complain(&format!("jangada: {endpoint}: {error}"));
                    failed.get_or_insert(code_of(&error));
                }
            }
        }
        match failed {
            Some(code) => Err(Failure::Told(code)),
            None if taken == 0 => Err(jangada::client::Error::Unavailable(
                "no server answers at http://127.0.0.1:3001 to 3005".to_owned(),
            )
            .into()),
            None => Ok(()),
        }
    }
}
