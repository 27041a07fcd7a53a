//! Calls and file contents, boiled down to what the search must compare.
//!
//! Two contents that no read ever observed, and that are the beginning of none it observed, cannot
//! be told apart by the history. So the observed contents are sorted, and a file's content is a
//! range of them (all that begin with it) and its length, or merely "unobserved". States are small
//! and exact, and whether a content can still grow into what a read saw is a comparison of numbers.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::invariants::history::{Call, Content, Operation, Outcome};

/// One file, as far as the history can tell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Slot {
    /// There is no such file.
    Absent,
    /// Its content is the beginning of nothing that was ever observed.
    Unobserved,
    /// Its content is the first `len` bytes of every observed content from `first` to before `end`.
    Prefix { first: usize, end: usize, len: usize },
}

/// What a call does and what it shows. Calls with equal effects are interchangeable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Effect<'h> {
    /// Shows only whether the file is there.
    Exists { name: usize, exists: bool },
    /// Shows that the file holds the observed content of this rank.
    Read { name: usize, rank: usize },
    /// Puts this content there.
    Create { name: usize, slot: Slot, replace: bool },
    /// Adds these bytes; `None` if no observed content has them anywhere.
    Append { name: usize, piece: Option<&'h [u8]> },
    /// Adds these bytes to a file that holds the observed content of this rank.
    AppendIf { name: usize, rank: usize, piece: Option<&'h [u8]> },
    /// Adds these bytes to both files.
    AppendBoth { names: [usize; 2], piece: Option<&'h [u8]> },
    /// Removes the file.
    Delete { name: usize },
    /// Moves the file.
    Rename { from: usize, to: usize },
    /// An answer that no state of the files can give.
    Impossible { name: usize },
}

/// The slots that an effect changes: at most two.
pub(super) type Changes = [Option<(usize, Slot)>; 2];

/// A call that took place, or may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'h> {
    pub(super) call: &'h Call,
    pub(super) effect: Effect<'h>,
    pub(super) invoked: u64,
    /// When it was answered; never, if its outcome is unknown.
    pub(super) returned: u64,
}

/// The calls that bear on some files, and what was observed of these.
pub(super) struct Model<'h> {
    pub(super) names: Vec<&'h str>,
    /// The calls with a known outcome, in the order of invocation.
    pub(super) answered: Vec<Step<'h>>,
    /// Calls that may have changed a file or not, in the order of invocation.
    pub(super) unknown: Vec<Step<'h>>,
    /// The contents that reads observed, or that appends were conditional on, sorted.
    pub(super) observed: Vec<&'h [u8]>,
}

impl<'h> Model<'h> {
    pub(super) fn new(calls: &[&'h Call]) -> Self {
        let names: BTreeSet<_> = calls.iter().flat_map(|call| touched(call)).collect();
        let names: Vec<_> = names.into_iter().collect();
        let observed: BTreeSet<&[u8]> = calls
            .iter()
            .filter_map(|call| match (&call.operation, call.outcome()) {
                (_, Outcome::Observed(content)) => Some(&content.0[..]),
                (Operation::AppendIf { holds, .. }, _) => Some(&holds.0[..]),
                _ => None,
            })
            .collect();
        let observed: Vec<_> = observed.into_iter().collect();
        let mut model = Self { names, answered: Vec::new(), unknown: Vec::new(), observed };
        let windows = Windows::new(&model.observed);
        for call in calls {
            let effect = model.effect(call, &windows);
            let invoked = call.invoked;
            match &call.answer {
                Some(answer) if answer.outcome != Outcome::Unknown => {
                    model.answered.push(Step { call, effect, invoked, returned: answer.at });
                }
                // A call that changes nothing need not be placed, nor one whose only trace would
                // be to hide a content from reads.
                _ if effect.changes_nothing() => {}
                _ if effect.hides() => {}
                _ => model.unknown.push(Step { call, effect, invoked, returned: u64::MAX }),
            }
        }
        model.answered.sort_by_key(|step| step.invoked);
        model.unknown.sort_by_key(|step| step.invoked);
        model
    }

    /// What the effect changes in this state; `None` if the call cannot have had its outcome here.
    pub(super) fn apply(&self, effect: Effect<'h>, slots: &[Slot]) -> Option<Changes> {
        let exists = |name: usize| slots[name] != Slot::Absent;
        let (possible, changes) = match effect {
            Effect::Exists { name, exists: expected } => (exists(name) == expected, [None, None]),
            Effect::Read { name, rank } => (self.is_observed(slots[name], rank), [None, None]),
            Effect::Create { name, slot, replace } => {
                (replace || !exists(name), [Some((name, slot)), None])
            }
            Effect::Append { name, piece } => {
                (exists(name), [Some((name, self.extend(slots[name], piece))), None])
            }
            Effect::AppendIf { name, rank, piece } => (
                self.is_observed(slots[name], rank),
                [Some((name, self.extend(slots[name], piece))), None],
            ),
            Effect::AppendBoth { names, piece } => (
                names.into_iter().all(exists),
                names.map(|name| Some((name, self.extend(slots[name], piece)))),
            ),
            Effect::Delete { name } => (exists(name), [Some((name, Slot::Absent)), None]),
            Effect::Rename { from, to } if from == to => (exists(from), [None, None]),
            Effect::Rename { from, to } => {
                (exists(from) && !exists(to), [Some((from, Slot::Absent)), Some((to, slots[from]))])
            }
            Effect::Impossible { .. } => (false, [None, None]),
        };
        possible.then_some(changes)
    }

    fn effect(&self, call: &'h Call, windows: &Windows) -> Effect<'h> {
        let place = |name: &str| {
            self.names.binary_search(&name).expect("invariant: the model names every file it has")
        };
        if let (Operation::Rename { to, .. }, Outcome::NameExists) =
            (&call.operation, call.outcome())
        {
            return Effect::Exists { name: place(to), exists: true };
        }
        let name = place(call.operation.name());
        match (&call.operation, call.outcome()) {
            (Operation::Create { replace: false, .. }, Outcome::NameExists) => {
                Effect::Exists { name, exists: true }
            }
            // Which of the two is not there, nobody is told.
            (Operation::Create { .. } | Operation::AppendBoth { .. }, Outcome::NoSuchFile) => {
                Effect::Impossible { name }
            }
            (_, Outcome::NoSuchFile) => Effect::Exists { name, exists: false },
            (Operation::Read { .. }, Outcome::Observed(content)) => {
                let rank = self.observed.binary_search(&&content.0[..]);
                Effect::Read { name, rank: rank.expect("invariant: observed holds every content") }
            }
            (Operation::Read { .. }, Outcome::Unknown) => Effect::Exists { name, exists: true },
            (Operation::Create { content, replace, .. }, Outcome::Done | Outcome::Unknown) => {
                let slot = self.narrow(0, self.observed.len(), 0, &content.0);
                Effect::Create { name, slot, replace: *replace }
            }
            (Operation::Append { content, .. }, Outcome::Done | Outcome::Unknown) => {
                if content.0.is_empty() {
                    return Effect::Exists { name, exists: true };
                }
                let piece = windows.piece(content);
                Effect::Append { name, piece }
            }
            (Operation::AppendIf { holds, content, .. }, Outcome::Done | Outcome::Unknown) => {
                let rank = self.observed.binary_search(&&holds.0[..]);
                let rank = rank.expect("invariant: observed holds every condition");
                let piece = windows.piece(content);
                Effect::AppendIf { name, rank, piece }
            }
            (
                Operation::AppendBoth { names: [_, other], content },
                Outcome::Done | Outcome::Unknown,
            ) => {
                let piece = windows.piece(content);
                Effect::AppendBoth { names: [name, place(other)], piece }
            }
            (Operation::Delete { .. }, Outcome::Done | Outcome::Unknown) => Effect::Delete { name },
            (Operation::Rename { to, .. }, Outcome::Done | Outcome::Unknown) => {
                Effect::Rename { from: name, to: place(to) }
            }
            _ => Effect::Impossible { name },
        }
    }

    fn is_observed(&self, slot: Slot, rank: usize) -> bool {
        // A content is the first in order of all that begin with it.
        matches!(slot, Slot::Prefix { first, len, .. }
            if first == rank && len == self.observed[rank].len())
    }

    fn extend(&self, slot: Slot, piece: Option<&[u8]>) -> Slot {
        match (slot, piece) {
            (Slot::Prefix { first, end, len }, Some(piece)) => self.narrow(first, end, len, piece),
            _ => Slot::Unobserved,
        }
    }

    /// The slot of the content that is `len` bytes long, begins the observed contents from `first`
    /// to before `end`, and is followed by `piece`.
    fn narrow(&self, first: usize, end: usize, len: usize, piece: &[u8]) -> Slot {
        let range = &self.observed[first..end];
        let skipped = range.partition_point(|content| &content[len..] < piece);
        let kept = range[skipped..].partition_point(|content| content[len..].starts_with(piece));
        let first = first + skipped;
        match kept {
            0 => Slot::Unobserved,
            _ => Slot::Prefix { first, end: first + kept, len: len + piece.len() },
        }
    }
}

impl Effect<'_> {
    /// The names that the call changes or looks at.
    pub(super) fn names(&self) -> impl Iterator<Item = usize> + use<> {
        let (name, other) = match *self {
            Self::Exists { name, .. }
            | Self::Read { name, .. }
            | Self::Create { name, .. }
            | Self::Append { name, .. }
            | Self::AppendIf { name, .. }
            | Self::Delete { name }
            | Self::Impossible { name } => (name, None),
            Self::AppendBoth { names: [name, other], .. } => (name, Some(other)),
            Self::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(name).chain(other)
    }

    /// Whether all that it can do is to hide a content from reads.
    fn hides(&self) -> bool {
        matches!(
            self,
            Self::Append { piece: None, .. }
                | Self::AppendIf { piece: None, .. }
                | Self::AppendBoth { piece: None, .. }
        )
    }

    /// The file that must hold an observed content for the call to be done, and its rank.
    pub(super) fn demanded(&self) -> Option<(usize, usize)> {
        match *self {
            Self::Read { name, rank } | Self::AppendIf { name, rank, .. } => Some((name, rank)),
            _ => None,
        }
    }

    /// Whether it adds bytes that no observed content has.
    pub(super) fn is_unseen(&self) -> bool {
        matches!(self, Self::Append { piece: None, .. } | Self::AppendBoth { piece: None, .. })
    }

    /// Whether it adds bytes.
    pub(super) fn appends(&self) -> bool {
        matches!(self, Self::Append { .. } | Self::AppendIf { .. } | Self::AppendBoth { .. })
    }

    /// Whether it changes two files at once.
    pub(super) fn ties(&self) -> bool {
        matches!(self, Self::Rename { .. } | Self::AppendBoth { .. })
    }

    /// Whether the call leaves every state as it is.
    pub(super) fn changes_nothing(&self) -> bool {
        match self {
            Self::Exists { .. } | Self::Read { .. } | Self::Impossible { .. } => true,
            Self::Rename { from, to } => from == to,
            _ => false,
        }
    }
}

impl Slot {
    /// The content, if it is the beginning of an observed one.
    pub(super) fn bytes<'h>(self, observed: &[&'h [u8]]) -> Option<&'h [u8]> {
        match self {
            Self::Prefix { first, len, .. } => Some(&observed[first][..len]),
            Self::Absent | Self::Unobserved => None,
        }
    }

    /// The observed contents that the content can grow into, or is.
    pub(super) fn ranks(self) -> Range<usize> {
        match self {
            Self::Prefix { first, end, .. } => first..end,
            Self::Absent | Self::Unobserved => 0..0,
        }
    }

    /// How many bytes are known of the content.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Prefix { len, .. } => len,
            Self::Absent | Self::Unobserved => 0,
        }
    }

    /// Whether the content can grow into the observed content of this rank, or is it.
    pub(super) fn begins(self, rank: usize) -> bool {
        self.ranks().contains(&rank)
    }
}

/// The names that a call changes or looks at. A refused rename tells of one of the two only.
pub(super) fn touched(call: &Call) -> impl Iterator<Item = &str> {
    let (name, other) = match (&call.operation, call.outcome()) {
        (Operation::Rename { to, .. }, Outcome::NameExists) => (to.as_str(), None),
        (Operation::Rename { from, .. }, Outcome::NoSuchFile) => (from.as_str(), None),
        (Operation::Rename { from, to }, _) => (from.as_str(), Some(to.as_str())),
        (Operation::AppendBoth { names: [one, other], .. }, _) => {
            (one.as_str(), Some(other.as_str()))
        }
        (operation, _) => (operation.name(), None),
    };
    std::iter::once(name).chain(other)
}

/// Every run of [`Windows::WIDTH`] bytes of the observed contents, to tell soon and surely that
/// some bytes are nowhere in them.
struct Windows(Vec<u64>);

impl Windows {
    const WIDTH: usize = 8;

    fn new(sorted: &[&[u8]]) -> Self {
        let mut windows = Vec::new();
        let mut before: &[u8] = &[];
        for content in sorted {
            // What it shares with its neighbour has been seen there.
            let shared = content.iter().zip(before).take_while(|(a, b)| a == b).count();
            let fresh = &content[shared.saturating_sub(Self::WIDTH - 1)..];
            windows.extend((0..fresh.len()).map(|at| Self::window(&fresh[at..])));
            before = content;
        }
        windows.sort_unstable();
        windows.dedup();
        Self(windows)
    }

    /// The bytes; `None` if no observed content has them anywhere.
    fn piece<'h>(&self, content: &'h Content) -> Option<&'h [u8]> {
        let bytes = &content.0[..];
        (bytes.is_empty() || self.may_hold(bytes)).then_some(bytes)
    }

    /// False only if no observed content has these bytes anywhere.
    fn may_hold(&self, piece: &[u8]) -> bool {
        let tail = piece.len().saturating_sub(Self::WIDTH);
        self.has_start_of(piece) && self.has_start_of(&piece[tail..])
    }

    fn has_start_of(&self, piece: &[u8]) -> bool {
        let lowest = Self::window(piece);
        let highest = lowest | u64::MAX.checked_shr(8 * piece.len() as u32).unwrap_or(0);
        let at = self.0.partition_point(|window| *window < lowest);
        self.0.get(at).is_some_and(|window| *window <= highest)
    }

    fn window(bytes: &[u8]) -> u64 {
        let mut window = [0; Self::WIDTH];
        let len = bytes.len().min(Self::WIDTH);
        window[..len].copy_from_slice(&bytes[..len]);
        u64::from_be_bytes(window)
    }
}
