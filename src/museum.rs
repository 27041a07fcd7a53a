//! Bugs that Raft implementations had, and those that students make, to be put back on purpose:
//! what the simulation does not catch, it does not check.
//!
//! The code asks `on` where a bug would change what it does. In a normal build the answer is
//! always no, known when the code is compiled, and nothing is left of the question. With the
//! feature `museum` one bug a thread may be on: `switch_on`, or the environment variable
//! `JANGADA_BUG` for the threads that begin without one.
//!
//! [`Bug`] is the catalogue. "TRAPS n" is row n of the project's catalogue of real bugs, which its
//! tests are named after.

mod catalogue;

use std::fmt;
use std::str::FromStr;

pub use catalogue::Bug;

/// What the catalogue says of a bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// What goes wrong, in one line.
    pub what: &'static str,
    /// The room that the bug is in.
    pub room: &'static str,
    /// Where it was seen, or the rule that it breaks.
    pub source: &'static str,
    /// The property that is expected to be violated first, by its name in reports; [`A_TEST`] if
    /// the simulation takes too many seeds, and a test of its room finds it.
    pub breaks: &'static str,
}

/// What finds a bug that the simulation is not asked for.
pub const A_TEST: &str = "a test";

/// No bug has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no bug `{0}` in the museum; docs/museum.md lists them")]
pub struct UnknownBug(pub String);

/// Whether this bug is on.
#[cfg(not(feature = "museum"))]
#[inline(always)]
pub(crate) const fn on(_: Bug) -> bool {
    false
}

#[cfg(feature = "museum")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ON: Cell<Option<Bug>> = Cell::new(from_environment());
    }

    /// Whether this bug is on.
    pub(crate) fn on(bug: Bug) -> bool {
        ON.get() == Some(bug)
    }

    /// Switches this bug on in this thread, and any other off.
    pub fn switch_on(bug: Bug) {
        ON.set(Some(bug));
    }

    /// Switches every bug off in this thread.
    pub fn switch_off() {
        ON.set(None);
    }

    /// A name that is not known must not pass for a correct build.
    fn from_environment() -> Option<Bug> {
        let name = std::env::var("JANGADA_BUG").ok()?;
        match name.parse() {
            Ok(bug) => Some(bug),
            Err(error) => panic!("JANGADA_BUG: {error}"),
        }
    }
}

#[cfg(feature = "museum")]
pub(crate) use switch::on;
#[cfg(feature = "museum")]
pub use switch::{switch_off, switch_on};

impl Bug {
    /// Its name, as it is typed: `votes-twice`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        let found = Bug::ALL.iter().find(|bug| bug.name() == name);
        found.copied().ok_or_else(|| UnknownBug(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_understood() {
        for bug in Bug::ALL {
            assert_eq!(bug.name().parse(), Ok(*bug));
        }
        assert_eq!(Bug::VotesTwice.to_string(), "votes-twice");
        assert_eq!("sails-twice".parse::<Bug>(), Err(UnknownBug("sails-twice".to_owned())));
    }

    #[test]
    fn what_goes_wrong_is_one_line() {
        for bug in Bug::ALL {
            let About { what, source, .. } = bug.about();
            assert!(!what.starts_with(' ') && what.ends_with('.'), "{bug}: {what}");
            assert!(what.len() <= 92 && !source.is_empty(), "{bug}: {what}");
        }
    }

    #[test]
    fn a_bug_is_on_where_it_was_switched_on() {
        assert!(!on(Bug::VotesTwice));
        #[cfg(feature = "museum")]
        {
            switch_on(Bug::VotesTwice);
            assert!(on(Bug::VotesTwice) && !on(Bug::HalfIsAMajority));
            switch_off();
            assert!(!on(Bug::VotesTwice));
        }
    }
}
