//! Shows what changes about the files, each change once and in the order of the log.

use std::time::Duration;

use super::failure::Failure;
use super::{Runner, World};
use crate::actors::{ClientError, ClockKind};
use crate::files::{Answer, Change, ChangeKind, MAX_PAGE, Query, Size};
use crate::script::Follow;

/// The time between two questions for what is new.
const POLL: Duration = Duration::from_millis(20);

impl<W: World> Runner<W> {
    /// Shows the changes until the time is over. Who answers may change meanwhile, and nobody may
    /// for a while: what was shown is known by its index, so that nothing is left out and nothing
    /// comes twice.
    pub(super) async fn follow(&self, follow: &Follow) -> Result<(), Failure> {
        if follow.time.is_none() && self.clock_kind == ClockKind::Virtual {
            let message = "say for how long: `watch files for 5s`; in virtual time nobody ends it";
            return Err(Failure::Other(message.to_owned()));
        }
        let clock = self.world.clock();
        let until = follow.time.map(|time| clock.now() + time);
        // What comes after the changes that are shown already.
        let mut after = follow.from.map(|from| from.0.saturating_sub(1));
        loop {
            let left = until.map(|until| until.since(clock.now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            let asked = self.news(after);
            let news = match left {
                Some(left) => tokio::time::timeout(left, asked).await,
                None => Ok(asked.await),
            };
            let mut pause = POLL;
            match news {
                Ok(Ok((changes, next))) => {
                    changes.iter().for_each(|change| self.screen.say(&line(change)));
                    if !changes.is_empty() {
                        pause = Duration::ZERO;
                    }
                    after = Some(next);
                }
                // Nobody leads for a while, or the time is over.
                Ok(Err(ClientError::NotDone(_) | ClientError::Unknown)) | Err(_) => {}
                Ok(Err(error)) => return Err(error.into()),
            }
            clock.sleep(left.map_or(pause, |left| pause.min(left))).await;
        }
    }

    /// The changes behind an index, and the index to ask behind next; without one, only that.
    async fn news(&self, after: Option<u64>) -> Result<(Vec<Change>, u64), ClientError> {
        let Some(after) = after else {
            let done = self.client.query(Query::List { after: None, limit: 1 }).await?;
            return Ok((Vec::new(), done.index.0));
        };
        let query = Query::Changes { after, limit: MAX_PAGE as u64 };
        match self.client.query(query).await?.answer {
            Answer::Changes { changes, next } => Ok((changes, next)),
            _ => Ok((Vec::new(), after)),
        }
    }
}

/// `    17  appended 5 B to notes.txt: 23 B, revision 3`.
fn line(change: &Change) -> String {
    let Change { index, uuid, name, revision, kind } = change;
    let what = match kind {
        ChangeKind::Created { size, replaced: None } => {
            format!("loaded `{name}`: {}, uuid {uuid}", Size(*size))
        }
        ChangeKind::Created { size, replaced: Some(old) } => {
            format!("replaced `{name}`: {}, uuid {uuid} after {old}", Size(*size))
        }
        ChangeKind::Appended { added, size } => {
            format!("appended {} to `{name}`: {}, revision {revision}", Size(*added), Size(*size))
        }
        ChangeKind::Renamed { from } => {
            format!("renamed `{from}` to `{name}`, revision {revision}")
        }
        ChangeKind::Deleted { size } => format!("deleted `{name}`: {}, uuid {uuid}", Size(*size)),
    };
    format!("{index:>6}  {what}")
}
