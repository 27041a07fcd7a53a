//! Why something is so: a hundred incidents with a known cause, and what is not so.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test that called")]

mod incidents;

use std::path::Path;

use jangada::raft::Time;
use jangada::replay::Timeline;
use jangada::script::{Inquiry, Scenario, Statement, Variables, parse};
use jangada::why::{Answer, explain};

/// The run of a scenario, and when it ends.
fn run(scenario: &str) -> (Timeline, Time) {
    let scenario = Scenario::parse(scenario.as_bytes()).unwrap();
    let timeline = Timeline::new(&scenario, Path::new("test.jangada"));
    let end = timeline.finish().unwrap();
    (timeline, end)
}

fn inquiry(question: &str) -> Inquiry {
    match parse(question, &Variables::new()) {
        Ok(Some(Statement::Why(inquiry))) => inquiry,
        other => panic!("{question} is no question: {other:?}"),
    }
}

/// Asks at the end of a scenario.
fn ask(scenario: &str, question: &str) -> Answer {
    let (timeline, end) = run(scenario);
    explain(&timeline, &inquiry(question), end).unwrap()
}
