//! Which calls the observed contents cannot do without.
//!
//! An observed content was made by one create and by appends, one after the other. So it can be cut
//! into what creates and appends add, mostly in one way only, since clients rarely write the same
//! bytes twice. Where every way of cutting has the same piece at the same place, and one call alone
//! adds it, that call is needed: whoever is to see the content sees it behind that call.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::model::{Effect, Step};

/// Most pieces that are looked for. What is not found is not needed: the search takes longer.
const MOST_LOOKUPS: usize = 1 << 23;

/// The calls that observed contents need.
#[derive(Default)]
pub(super) struct Needs {
    /// For each step, the contents that need it and how many bytes these have when it is over.
    pub(super) of_step: Vec<Vec<(Range<usize>, usize)>>,
    /// For each content, how many bytes it has after the first call that it needs.
    pub(super) first: Vec<Option<usize>>,
}

/// A piece at its place in a content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    from: usize,
    to: usize,
    /// The call that adds it, if it is one only.
    step: Option<usize>,
}

impl Needs {
    /// Finds what these contents need, which are sorted.
    pub(super) fn new(observed: &[&[u8]], steps: &[Step<'_>]) -> Self {
        let mut adding: BTreeMap<&[u8], Option<usize>> = BTreeMap::new();
        let mut lengths = BTreeSet::new();
        for (place, step) in steps.iter().enumerate() {
            let bytes = match step.effect {
                Effect::Create { slot, .. } => slot.bytes(observed),
                Effect::Append { piece, .. }
                | Effect::AppendIf { piece, .. }
                | Effect::AppendBoth { piece, .. } => piece,
                _ => None,
            };
            if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                adding.entry(bytes).and_modify(|only| *only = None).or_insert(Some(place));
                lengths.insert(bytes.len());
            }
        }
        let longest = lengths.last().copied().unwrap_or(0);
        let mut needs =
            Self { of_step: vec![Vec::new(); steps.len()], first: vec![None; observed.len()] };
        let (mut pieces, mut before, mut lookups): (Vec<Piece>, &[u8], usize) = Default::default();
        for (rank, content) in observed.iter().enumerate() {
            // What it shares with its neighbour can be cut in the same ways.
            let shared = content.iter().zip(before).take_while(|(a, b)| a == b).count();
            before = content;
            pieces.retain(|piece| piece.to <= shared);
            let reached = pieces.iter().map(|piece| piece.to).chain([0]);
            let mut reached: BTreeSet<_> = reached.filter(|at| at + longest > shared).collect();
            while let Some(from) = reached.pop_first() {
                for to in lengths.iter().map(|len| from + len).filter(|to| *to > shared) {
                    if to > content.len() {
                        break;
                    }
                    lookups += 1;
                    if let Some(step) = adding.get(&content[from..to]) {
                        pieces.push(Piece { from, to, step: *step });
                        reached.insert(to);
                    }
                }
                if lookups > MOST_LOOKUPS {
                    return needs;
                }
            }
            pieces.sort_unstable();
            for Piece { to, step, .. } in inevitable(&pieces, content.len()) {
                if let Some(step) = step {
                    needs.add(rank, step, to);
                }
            }
        }
        needs
    }

    fn add(&mut self, rank: usize, step: usize, len: usize) {
        self.first[rank].get_or_insert(len);
        match self.of_step[step].last_mut() {
            Some((ranks, known)) if *known == len && ranks.end == rank => ranks.end = rank + 1,
            _ => self.of_step[step].push((rank..rank + 1, len)),
        }
    }
}

/// The pieces, of these in the order of their places, that every way has from 0 to `len`.
fn inevitable(pieces: &[Piece], len: usize) -> Vec<Piece> {
    let mut leads_on = vec![false; len + 1];
    leads_on[len] = true;
    let mut useful = Vec::new();
    for piece in pieces.iter().rev().filter(|piece| piece.to <= len) {
        if leads_on[piece.to] {
            leads_on[piece.from] = true;
            useful.push(*piece);
        }
    }
    useful.reverse();
    // Another one overlaps a piece unless all before it end, and all behind it begin, outside.
    let mut reach = 0;
    let mut alone = Vec::new();
    for (place, piece) in useful.iter().enumerate() {
        let next = useful.get(place + 1).is_none_or(|next| next.from >= piece.to);
        if reach <= piece.from && next {
            alone.push(*piece);
        }
        reach = reach.max(piece.to);
    }
    alone
}
