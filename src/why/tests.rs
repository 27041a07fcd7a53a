//! Questions about runs whose story is known.

use std::path::Path;

use super::{Answer, explain};
use crate::replay::Timeline;
use crate::script::{Scenario, Statement, Variables, parse};

/// Asks at the end of a scenario.
pub(super) fn ask(scenario: &str, question: &str) -> Answer {
    let scenario = Scenario::parse(scenario.as_bytes()).unwrap();
    let timeline = Timeline::new(&scenario, Path::new("test.jangada"));
    let now = timeline.finish().unwrap();
    let Ok(Some(Statement::Why(inquiry))) = parse(question, &Variables::new()) else {
        panic!("{question} is no question");
    };
    explain(&timeline, &inquiry, now).unwrap()
}

#[test]
fn look() {
    for (scenario, question) in [
        ("servers 3\nseed 7\nwait leader\nwait 1s\ncrash leader\nwait 100ms\n", "why no-leader"),
        (
            "servers 3\nseed 7\nwait leader\nwait 1s\ncrash leader\nwait 1s\ncrash leader\nwait 2s",
            "why no-leader",
        ),
        ("servers 5\nseed 7\nwait leader\nwait 1s\ncrash followers\nwait 2s", "why no-leader"),
        (
            "servers 3\nseed 7\nwait leader\nwait 1s\nspeed leader slow\nwait 2s",
            "why 1 lost leadership",
        ),
        (
            "servers 3\nseed 7\nwait leader\nwait 1s\nspeed leader slow\nwait 2s",
            "why 2 lost leadership",
        ),
        (
            "servers 3\nseed 7\nwait leader\nwait 1s\nspeed leader slow\nwait 2s",
            "why 3 lost leadership",
        ),
        (
            "servers 3\nseed 7\nwait leader\nwait 1s\ncut leader <-> followers\n& append nothing x\nwait 100ms\n",
            "why 2 is not committed",
        ),
        (
            "servers 3\nseed 7\nwait leader\nwait 1s\nload README.md\ncut leader -> 1\nwait 1s\n",
            "why 3 refused its vote",
        ),
        ("servers 3\nseed 7\nwait 100ms\n", "why no-leader"),
        ("servers 3\nseed 7\nwait leader\nwait 1s\n", "why no-leader"),
    ] {
        println!("-----\n{scenario}> {question}\n{}", ask(scenario, question));
    }
}
