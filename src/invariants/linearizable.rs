//! Are the files linearizable? A search for one order of all calls that explains every answer.
//!
//! The search is that of Wing and Gong (1993) as Lowe (2017) improved it: calls are placed one by
//! one, only ever one that no unplaced call preceded, and configurations seen before are not
//! entered again. Histories are taken apart first, since files are independent unless a rename
//! ties them together (Herlihy and Wing's locality). What is particular to files keeps the search
//! short (see `search`), and where it does not, the search ends all the same: with the verdict that
//! it is not decided.

mod model;
mod needs;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::model::{Model, touched};
use self::search::{Search, Supply};
use super::history::{Call, Content, History, Outcome};

/// What was checked and found linearizable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Calls in the history.
    pub calls: usize,
    /// Calls whose outcome nobody knows.
    pub unknown: usize,
    /// Files that the calls were about.
    pub files: usize,
}

/// A proof that the files did not behave like one copy of each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct NotLinearizable {
    /// The longest order that was found for the calls on some files tied together by renames, or
    /// on one file: each call fits the calls before it, and none could be added.
    pub placed: Vec<Call>,
    /// One of these had to come next, but none fits.
    pub unplaced: Vec<Call>,
    /// The files after the calls placed: name and content.
    pub files: BTreeMap<String, Content>,
    /// How many calls on these files have a known outcome.
    pub answered: usize,
}

/// A history that was not decided: the search entered as many configurations as it may.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Undecided {
    /// The files whose calls were neither explained nor found to be wrong. All others are
    /// linearizable.
    pub files: Vec<String>,
    /// How many calls on these files there are.
    pub calls: usize,
    /// How many of them have an unknown outcome.
    pub unknown: usize,
    /// How many configurations were entered.
    pub configurations: usize,
}

/// Why a history was not found to be linearizable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinearizabilityError {
    /// It is not linearizable.
    #[error(transparent)]
    Violated(#[from] NotLinearizable),
    /// It may be or not.
    #[error(transparent)]
    Undecided(#[from] Undecided),
}

/// Most configurations that one check enters without a verdict, beside eight for each call. It is a
/// number, not a time, so that the same history always has the same verdict; it takes some seconds.
const MOST_CONFIGURATIONS: usize = 1 << 20;
/// How many configurations the first search for each group of files enters, beside two for each
/// call.
const FIRST_PATIENCE: usize = 1 << 13;

/// Checks that each file behaved as if every call on it took effect at one moment between its
/// invocation and its answer (Herlihy and Wing 1990). A call with an unknown outcome may have taken
/// effect at any time since its invocation, or never.
///
/// A verdict is certain, and takes a fraction of a second for ten thousand calls of twenty clients,
/// one in ten of unknown outcome. The problem is NP-complete, though. What makes it hard is a file
/// of which many calls say little, such as appends of equal bytes, or many renames of unknown
/// outcome among the same few names. So the search ends after about a million configurations, a few
/// seconds, and says that the history is not decided; the same history always is, or never. Memory
/// is bounded by a small multiple of the history and some 150 MB for the configurations remembered.
///
/// # Errors
///
/// [`LinearizabilityError::Violated`] if no order of the calls explains the answers: which files,
/// how far an order could be found, and which calls fit nowhere.
/// [`LinearizabilityError::Undecided`] if the search ended before: on which files.
pub fn check_linearizable(history: &History) -> Result<Summary, LinearizabilityError> {
    let most = MOST_CONFIGURATIONS.saturating_add(history.calls().len().saturating_mul(8));
    check_within(history, most).0
}

/// Checks a history without entering more than `most` configurations. Says how many it entered.
fn check_within(history: &History, most: usize) -> (Result<Summary, LinearizabilityError>, usize) {
    let groups = independent(history);
    let mut left = most;
    let mut open: Vec<_> = groups.iter().map(|calls| Model::new(calls)).collect();
    let files = open.iter().map(|model| model.names.len()).sum();
    let mut factor = 1_usize;
    // The short searches first: a violation is found though other files cannot be decided.
    while left > 0 && !open.is_empty() {
        let mut undecided = Vec::new();
        for model in open {
            let first = FIRST_PATIENCE + 2 * (model.answered.len() + model.unknown.len());
            match explain(&model, first.saturating_mul(factor), &mut left) {
                Ok(true) => {}
                Ok(false) => undecided.push(model),
                Err(violation) => return (Err(violation.into()), most - left),
            }
        }
        open = undecided;
        factor = factor.saturating_mul(4);
    }
    let count = |calls: &mut dyn Iterator<Item = &Call>| {
        calls.fold((0, 0), |(calls, unknown), call| {
            (calls + 1, unknown + usize::from(*call.outcome() == Outcome::Unknown))
        })
    };
    if open.is_empty() {
        let (calls, unknown) = count(&mut history.calls().iter());
        return (Ok(Summary { calls, unknown, files }), most - left);
    }
    let names: BTreeSet<_> = open.iter().flat_map(|model| &model.names).copied().collect();
    let concerned = |call: &&&Call| touched(call).any(|name| names.contains(name));
    let (calls, unknown) = count(&mut groups.iter().flatten().filter(concerned).copied());
    let files = names.iter().map(|name| (*name).to_owned()).collect();
    let undecided = Undecided { files, calls, unknown, configurations: most - left };
    (Err(undecided.into()), most - left)
}

/// Looks for an order that explains the answers, for so many configurations in each of two searches
/// at most, and no more than are left in all. Says whether it found one.
///
/// If calls with unknown outcome may take effect repeatedly, far fewer configurations differ: what
/// cannot be explained even so is wrong, and an explanation in which none does is right. Which of
/// the two searches is the short one depends on the history, so they take turns.
fn explain(model: &Model<'_>, patience: usize, left: &mut usize) -> Result<bool, NotLinearizable> {
    for supply in [Supply::Single, Supply::Endless] {
        let (verdict, entered) = Search::new(model, supply).run(patience.min(*left));
        *left -= entered;
        match verdict {
            Some(Ok(explained)) if explained.each_once => return Ok(true),
            Some(Err(violation)) => return Err(violation),
            _ => {}
        }
    }
    Ok(false)
}

/// The calls that may have happened, grouped so that calls in different groups concern different
/// files; in the order of the groups' first names.
fn independent(history: &History) -> Vec<Vec<&Call>> {
    let calls = history.calls().iter().filter(|call| *call.outcome() != Outcome::NotDone);
    let mut groups = Groups::default();
    for call in calls.clone() {
        let mut names = touched(call);
        if let Some(first) = names.next() {
            groups.join(first, names.next().unwrap_or(first));
        }
    }
    let mut found: BTreeMap<usize, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        for name in touched(call).take(1) {
            found.entry(groups.of(name)).or_default().push(call);
        }
    }
    found.into_values().collect()
}

/// Names in disjoint sets (union-find with path halving).
#[derive(Default)]
struct Groups<'h> {
    places: BTreeMap<&'h str, usize>,
    parents: Vec<usize>,
}

impl<'h> Groups<'h> {
    fn of(&mut self, name: &'h str) -> usize {
        let fresh = self.parents.len();
        let mut place = *self.places.entry(name).or_insert(fresh);
        if place == fresh {
            self.parents.push(fresh);
        }
        while self.parents[place] != place {
            self.parents[place] = self.parents[self.parents[place]];
            place = self.parents[place];
        }
        place
    }

    fn join(&mut self, one: &'h str, other: &'h str) {
        let (one, other) = (self.of(one), self.of(other));
        self.parents[one.max(other)] = one.min(other);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, unknown, files } = self;
        let plural = if *files == 1 { "" } else { "s" };
        write!(
            f,
            "linearizable: {calls} calls on {files} file{plural}, {unknown} with unknown outcome"
        )
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, calls, unknown, configurations } = self;
        write!(
            f,
            "not decided: {configurations} configurations do not tell whether the {calls} calls on \
             {}, {unknown} of them with unknown outcome, are linearizable. Nothing was found to be \
             wrong. A history is easier to decide with fewer clients at a time, fewer calls of \
             unknown outcome, and appends of bytes that no other call adds",
            files.join(", ")
        )
    }
}

impl fmt::Display for NotLinearizable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let names: BTreeSet<_> =
            self.placed.iter().chain(&self.unplaced).flat_map(touched).collect();
        let names = Vec::from_iter(names).join(", ");
        let known = |call: &&Call| *call.outcome() != Outcome::Unknown;
        let (placed, answered) = (self.placed.iter().filter(known).count(), self.answered);
        writeln!(f, "not linearizable: no order of the calls on {names} explains their answers.")?;
        writeln!(
            f,
            "{placed} of {answered} answered calls can be put in order, the last of them:"
        )?;
        for call in &self.placed[self.placed.len().saturating_sub(SHOWN)..] {
            writeln!(f, "  {call}")?;
        }
        f.write_str("After them,")?;
        for (name, content) in &self.files {
            write!(f, " {name} holds {content}.")?;
        }
        if self.files.is_empty() {
            f.write_str(" there is no file.")?;
        }
        f.write_str(" Of these one had to come next, and none fits:")?;
        for call in self.unplaced.iter().take(SHOWN) {
            write!(f, "\n  {call}")?;
        }
        match self.unplaced.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
