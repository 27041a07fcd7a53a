//! Which orders caused a fact: those without which it would not be so, all else being the same.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::fact::{Fact, Shows};
use super::suspect::Suspect;
use super::trial::Trials;

/// What leaving orders out has shown. The numbers are places among the suspects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// It is so without any order, too.
    NoOrder,
    /// Without this one it would not be so, and with it alone it would.
    Alone(usize),
    /// Without any one of these it would not be so.
    Together(Vec<usize>),
    /// Each of these is enough: it would not be so only without all of them.
    Either(Vec<usize>),
    /// It would not be so without all of these; leaving out fewer of them changes nothing.
    Only(Vec<usize>),
    /// The replay does not show it, or a replay without the orders cannot be compared.
    Unclear,
}

/// Most orders that are left out one by one: the latest ones.
pub(super) const MAX_SUSPECTS: usize = 64;
/// Most replays for one question.
const MAX_TRIALS: usize = 4 * MAX_SUSPECTS;
/// What was undone so long before is not named together with what was not.
const REACH: Duration = Duration::from_secs(1);

/// Finds the cause of a fact by leaving out suspects and running again, at most [`MAX_TRIALS`]
/// times.
pub(super) fn find(
    suspects: &[Suspect],
    fact: &Fact,
    trials: &mut Trials<'_>,
) -> io::Result<Finding> {
    if trials.shows(&BTreeSet::new())? != Shows::Yes {
        return Ok(Finding::Unclear);
    }
    let faults = || (0..suspects.len()).filter(|place| suspects[*place].is_fault());
    let skip = faults().count().saturating_sub(MAX_SUSPECTS);
    let faults: Vec<usize> = faults().skip(skip).collect();
    let finding = Search { suspects, fact, trials }.among(&faults)?;
    if finding != Finding::NoOrder || faults.len() == suspects.len() {
        return Ok(finding);
    }
    // No harm was done that explains it; mending may.
    let all: Vec<usize> = (suspects.len().saturating_sub(MAX_SUSPECTS)..suspects.len()).collect();
    Search { suspects, fact, trials }.among(&all)
}

struct Search<'a, 'b> {
    suspects: &'a [Suspect],
    fact: &'a Fact,
    trials: &'a mut Trials<'b>,
}

impl Search<'_, '_> {
    fn among(&mut self, among: &[usize]) -> io::Result<Finding> {
        let without_all = if among.is_empty() { Shows::Yes } else { self.without(among)? };
        let mut needed = Vec::new();
        for one in among {
            if self.without(&[*one])? == Shows::No {
                needed.push(*one);
            }
        }
        if !needed.is_empty() {
            for one in needed.iter().rev() {
                if self.only(*one, among)? == Shows::Yes {
                    return Ok(Finding::Alone(*one));
                }
            }
            return Ok(match self.near(&needed).as_slice() {
                [one] => Finding::Alone(*one),
                near => Finding::Together(near.to_vec()),
            });
        }
        match without_all {
            Shows::Yes => return Ok(Finding::NoOrder),
            Shows::Unclear => return Ok(Finding::Unclear),
            Shows::No => {}
        }
        let minimal = self.minimal(among.to_vec())?;
        for one in &minimal {
            if self.only(*one, &minimal)? != Shows::Yes {
                return Ok(Finding::Only(minimal));
            }
        }
        Ok(Finding::Either(minimal))
    }

    /// Those that were still in force when it began, or not long before; if none was, the latest.
    fn near(&self, needed: &[usize]) -> Vec<usize> {
        let onset = self.fact.onset();
        let is_near =
            |one: &usize| self.suspects[*one].undone.is_none_or(|undone| undone + REACH >= onset);
        let near: Vec<usize> = needed.iter().copied().filter(is_near).collect();
        if near.is_empty() { needed.last().copied().into_iter().collect() } else { near }
    }

    /// A set without which it is not so, and none of which can stay (delta debugging: Zeller and
    /// Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).
    fn minimal(&mut self, mut set: Vec<usize>) -> io::Result<Vec<usize>> {
        let mut parts = 2;
        while set.len() >= 2 && self.trials.count < MAX_TRIALS {
            let size = set.len().div_ceil(parts);
            let chunks: Vec<Vec<usize>> = set.chunks(size).map(<[usize]>::to_vec).collect();
            let rest = |chunk: &Vec<usize>| -> Vec<usize> {
                set.iter().copied().filter(|one| !chunk.contains(one)).collect()
            };
            let smaller = chunks.iter().cloned().chain(chunks.iter().map(rest));
            let mut found = None;
            for smaller in smaller {
                if !smaller.is_empty()
                    && smaller.len() < set.len()
                    && self.without(&smaller)? == Shows::No
                {
                    found = Some(smaller);
                    break;
                }
            }
            match found {
                Some(smaller) => {
                    set = smaller;
                    parts = 2;
                }
                None if size == 1 => break,
                None => parts = (2 * parts).min(set.len()),
            }
        }
        Ok(set)
    }

    fn without(&mut self, left_out: &[usize]) -> io::Result<Shows> {
        let steps = left_out.iter().map(|one| self.suspects[*one].step).collect();
        self.trials.shows(&steps)
    }

    /// Whether it is so with this one alone of all of these.
    fn only(&mut self, kept: usize, among: &[usize]) -> io::Result<Shows> {
        let others: Vec<usize> = among.iter().copied().filter(|one| *one != kept).collect();
        self.without(&others)
    }
}
