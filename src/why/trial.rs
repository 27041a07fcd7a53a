//! Runs of a timeline, whole or without some of its steps.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use super::account::Account;
use super::fact::{Fact, Seen, Shows};
use crate::raft::{Time, Timing};
use crate::replay::{Halt, Stage, Timeline, Until};

/// What a run showed, and when its steps began.
pub(super) struct Run {
    pub(super) seen: Seen,
    pub(super) began: Vec<Time>,
}

/// Follows a timeline without these steps up to the last of these moments, and looks at the
/// servers at each of them. Steps that fail do not end it.
pub(super) fn run(
    timeline: &Timeline,
    without: &BTreeSet<usize>,
    looks: &[Time],
    account: Account,
) -> io::Result<Run> {
    let account = Rc::new(RefCell::new(account));
    let hearing = account.clone();
    let mut stage =
        timeline.stage(Some(Box::new(move |heard| hearing.borrow_mut().hear(heard))))?;
    let mut statuses = Vec::new();
    for time in looks {
        while let Halt::Failed { .. } = stage.follow(timeline.steps(), without, Until::time(*time))
        {
        }
        statuses.extend(stage.status());
    }
    let began = stage.began().to_vec();
    drop(stage);
    let account = account.take();
    Ok(Run { seen: Seen { account, looks: statuses, servers: timeline.servers() }, began })
}

/// Follows a whole timeline up to this moment.
pub(super) fn follow(timeline: &Timeline, time: Time) -> io::Result<Stage> {
    let (mut stage, mut halt) = timeline.run(&BTreeSet::new(), Until::time(time))?;
    while let Halt::Failed { .. } = halt {
        halt = stage.follow(timeline.steps(), &BTreeSet::new(), Until::time(time));
    }
    Ok(stage)
}

/// Counts what it takes to find a cause.
pub(super) struct Trials<'a> {
    timeline: &'a Timeline,
    fact: &'a Fact,
    timing: Timing,
    /// Left out every time: what was refused must not happen instead.
    never: BTreeSet<usize>,
    /// How many there were.
    pub(super) count: usize,
}

impl<'a> Trials<'a> {
    pub(super) fn new(
        timeline: &'a Timeline,
        fact: &'a Fact,
        timing: Timing,
        never: BTreeSet<usize>,
    ) -> Self {
        Self { timeline, fact, timing, never, count: 0 }
    }

    /// Whether the run without these steps shows the fact, too.
    pub(super) fn shows(&mut self, without: &BTreeSet<usize>) -> io::Result<Shows> {
        self.count += 1;
        let looks = self.fact.looks(&self.timing);
        let without = without | &self.never;
        let run = run(self.timeline, &without, &looks, Account::new(false))?;
        Ok(self.fact.shows(&run.seen, &self.timing))
    }
}
