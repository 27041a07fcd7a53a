//! Sequence diagrams of a run, from its trace.
//!
//! Servers are columns, time runs down. Everything of one moment that belongs together is one
//! line: a broadcast with its receivers, the answers to it with their senders. The lines of a
//! moment stand in the order of cause and effect. Between moments time is not to scale: pauses,
//! and heartbeats that bring no news, are folded into one row that says how long and how many.
//!
//! `trace` reads the lines, `story` finds out what belongs together and what is no news, `layout`
//! gives everything a place, `svg` writes it.

mod layout;
mod story;
mod svg;
mod trace;

use std::io::BufRead;
use std::time::Duration;

use crate::raft::ServerId;

pub use trace::DiagramError;

/// What is to be seen of a trace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// Stands above the diagram.
    pub title: String,
    /// Nothing before this moment of the run.
    pub from: Duration,
    /// Nothing after this one.
    pub to: Option<Duration>,
    /// Only these servers and what passes between them; all of them if it is empty.
    pub servers: Vec<ServerId>,
}

/// A diagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagram {
    /// The picture, as SVG, with a background of its own.
    pub svg: String,
    /// The moment at which it was cut, because it would be too long: the trace goes on.
    pub cut: Option<Duration>,
}

/// Draws the trace that `jangada run --trace` writes. At most 200,000 lines of it are looked at,
/// and the picture is at most some 15,000 pixels long: what is more is cut.
///
/// # Errors
/// If it is no trace, or if nothing of it is to be seen.
pub fn draw(trace: impl BufRead, view: &View) -> Result<Diagram, DiagramError> {
    let story = story::Story::read(trace, view)?;
    let scene = layout::lay_out(&story, view);
    Ok(Diagram { svg: svg::write(&scene), cut: scene.cut })
}
