//! The language of the console and of the scenarios: text in, typed statements out.
//!
//! A person types it at the prompt, a `*.jangada` file holds it, `save` writes it. One statement a
//! line, its words separated by blanks; words and keywords are accepted in any case. The table in
//! `words` is the single source for parsing, help, completion and the nearest known word.
//!
//! # Words, quotes, comments
//!
//! - A bare word ends at a blank. Everything in it stands for itself, a backslash too, so that the
//!   paths of every system can be typed; only variables are replaced.
//! - `"double quotes"` may hold blanks, variables and the escapes `\n \r \t \\ \" \$ \xNN`.
//! - `'single quotes'` hold everything but a single quote as it stands.
//! - Quotes have a meaning only at the beginning of a word: `don't.txt` is a name.
//! - `#` at the beginning of a word starts a comment, up to the end of the line.
//! - `$name` and `${name}` are replaced by the value that `let` gave; the result is never split
//!   into words. Any other `$` stands for itself.
//!
//! The text of `append FILE TEXT` and `expect content FILE TEXT` is the rest of the line after the
//! blanks that follow FILE, byte by byte: blanks at its end, `#` and `$` included. If it starts
//! with a double quote, it is a quoted text as above; if it starts with `@`, it is a path of the
//! host whose content is meant. What follows a quoted text or a path, such as `if revision 3`, is
//! no part of it. In a `batch`, whose commands are separated by `;`, every text is quoted.
//!
//! # Files
//!
//! A file is UTF-8, with a byte order mark or not, with either line ending. Control characters
//! other than the tab are refused. A line has at most 64 KiB, a scenario at most 4 MiB.
//!
//! Variables get their values when a scenario runs, so a line is parsed twice: once beforehand,
//! with values that only stand in for the real ones, to find every mistake before anything runs;
//! and once when its turn comes.

mod complete;
mod cursor;
mod display;
mod error;
mod expect;
mod files;
mod help;
pub(crate) mod members;
mod orders;
mod parse;
#[cfg(test)]
mod properties;
mod run;
mod scenario;
mod statement;
#[cfg(test)]
mod tests;
mod travel;
mod value;
mod why;
mod words;

pub use complete::{Completion, Known, complete};
pub(crate) use display::Bare;
pub use error::ParseError;
pub(crate) use help::usage;
pub use help::{help, help_for};
pub use parse::parse;
pub use run::{
    Failure, Flow, HostError, Plain, Progress, Runner, Screen, Unmet, World, read_scenario,
};
pub use scenario::{Mistake, Scenario, ScenarioError, Step};
pub use statement::{
    Binding, Clients, Content, Expectation, FileCall, FileCommand, Follow, Inquiry, Load, NoLeader,
    OneServer, Question, Role, Setting, Snapshots, Statement, Travel, Value, Variables, View, Wait,
};
pub(crate) use value::DISK_KINDS;
pub use value::duration_of;
pub(crate) use value::{NORMAL, Percent, SLOW, Time};
