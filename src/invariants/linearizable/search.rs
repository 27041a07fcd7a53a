//! The search for an order, depth first, without recursion.
//!
//! A configuration is the set of calls placed so far and the state of the files after them. The
//! next call is one that was invoked before any unplaced call was answered. What keeps the number
//! of configurations small:
//!
//! * A call that changes nothing (a read, a refusal) is placed as soon as it fits: whatever order
//!   works with it later works with it now.
//! * Of calls with equal effects, only the one answered first is tried: in any order that works
//!   with another of them here, the two can be exchanged.
//! * A configuration is left at once if the next read of some file saw a content that can no longer
//!   come about, or if a content that is still to be read was just lost. An append that is done on
//!   a condition reads, too.
//! * It is left as well if a content that is still to be read needs a call ([`Needs`]) that is
//!   placed, and no file holds the content up to there: the call does not come a second time. So
//!   appends that somebody saw are placed where they were seen, not one by one wherever they fit.
//! * What no call to come can observe, nor anything that appends make of it, is as good as any other
//!   such content (`Search::is_spent`): configurations that only differ in it are the same. (A call
//!   that is done on the condition that a file holds it and has no answer may be left out.)
//! * A file that is there may as well hold an observable content as a spent one: whatever works with
//!   the second works with the first. So an append of bytes that nobody saw is placed as soon as its
//!   files hold spent contents: there it does no harm, and later it may.
//! * Calls on files that have nothing to do with the answer due next wait (`Search::scope`).
//! * Calls with unknown outcome are tried last, only where they change something, and only right
//!   before a call on the same files, or on one that a rename ties to them. A configuration reached
//!   before with fewer of them is not entered again.

use std::collections::BTreeMap;

use super::NotLinearizable;
use super::model::{Effect, Model, Slot, Step};
use super::needs::Needs;
use crate::invariants::history::{Call, Content, Operation, Outcome};

/// How much is remembered of the configurations entered, in words of 8 bytes (a million of them,
/// 128 MB). Beyond, the search may repeat itself: slower, not wrong.
const REMEMBERED: usize = 1 << 24;

pub(super) struct Search<'m, 'h> {
    model: &'m Model<'h>,
    supply: Supply,
    /// The answered calls, then those with unknown outcome.
    steps: Vec<Step<'h>>,
    answered: usize,
    placed: Vec<bool>,
    /// The placed calls in order, with the slots they changed as these were before.
    trail: Vec<Placed>,
    slots: Vec<Slot>,
    events: Events,
    reads: Vec<Reads>,
    /// The calls that put an observable content into a file from nothing.
    creates: Vec<usize>,
    /// The calls that change two files.
    ties: Vec<usize>,
    /// For each rank, how many unplaced answered calls saw that content.
    awaited: Vec<usize>,
    /// For each rank, how many unplaced creates begin it.
    sources: Vec<usize>,
    needs: Needs,
    /// Exclusive or of the keys of the answered calls placed.
    fingerprint: u128,
    /// Which calls with unknown outcome are placed, of those in short supply: one bit each.
    used: Vec<u64>,
    /// For each fingerprint, the sets of such calls it was entered with.
    seen: BTreeMap<u128, Vec<Box<[u64]>>>,
    remembered: usize,
}

/// How often a call with unknown outcome may be placed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Supply {
    /// Once, as is right.
    Single,
    /// Any number of times if it leaves nothing that reads observe: it deletes, renames, or creates
    /// a file of unobserved content. Which of those are used up need not be remembered then, so
    /// that much fewer configurations differ.
    Endless,
}

/// An order of the calls that explains every answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Explained {
    /// Whether each call takes effect once at most in it.
    pub(super) each_once: bool,
}

struct Placed {
    step: usize,
    /// Whether it was placed before.
    again: bool,
    before: [Option<(usize, Slot)>; 2],
}

/// One configuration on the way: the alternatives not yet tried, the best one last.
struct Fork {
    depth: usize,
    /// Only calls on these names are tried.
    scope: Vec<bool>,
    choices: Vec<usize>,
    with_unknown: bool,
}

/// The answered calls on one file that saw a content, by the moment of their answers.
#[derive(Default)]
struct Reads {
    steps: Vec<usize>,
    /// All before this place are placed.
    next: usize,
}

impl<'m, 'h> Search<'m, 'h> {
    pub(super) fn new(model: &'m Model<'h>, supply: Supply) -> Self {
        let steps: Vec<_> = model.answered.iter().chain(&model.unknown).copied().collect();
        let mut reads: Vec<Reads> = model.names.iter().map(|_| Reads::default()).collect();
        let (mut creates, mut ties) = (Vec::new(), Vec::new());
        let none = || vec![0; model.observed.len()];
        let (mut awaited, mut sources) = (none(), none());
        for (place, step) in steps.iter().enumerate() {
            match step.effect {
                Effect::Create { slot, .. } => {
                    slot.ranks().for_each(|rank| sources[rank] += 1);
                    if slot != Slot::Unobserved {
                        creates.push(place);
                    }
                }
                effect if effect.ties() => ties.push(place),
                _ => {}
            }
            match step.effect.demanded() {
                Some((name, rank)) if place < model.answered.len() => {
                    reads[name].steps.push(place);
                    awaited[rank] += 1;
                }
                _ => {}
            }
        }
        for reads in &mut reads {
            reads.steps.sort_by_key(|step| steps[*step].returned);
        }
        Self {
            awaited,
            sources,
            needs: Needs::new(&model.observed, &steps),
            used: vec![0; model.unknown.len().div_ceil(64)],
            remembered: 0,
            events: Events::new(&model.answered),
            answered: model.answered.len(),
            placed: vec![false; steps.len()],
            trail: Vec::new(),
            slots: vec![Slot::Absent; model.names.len()],
            fingerprint: 0,
            seen: BTreeMap::new(),
            model,
            supply,
            steps,
            reads,
            creates,
            ties,
        }
    }

    /// Searches until there is a verdict, or until this many configurations were entered. Says how
    /// many were.
    pub(super) fn run(
        mut self,
        patience: usize,
    ) -> (Option<Result<Explained, NotLinearizable>>, usize) {
        let mut entered = 0;
        let mut forks: Vec<Fork> = Vec::new();
        let mut longest: Vec<usize> = Vec::new();
        let mut unused = None;
        // What was placed since the configuration before.
        let mut since = 0;
        loop {
            let depth = self.trail.len();
            self.place_what_does_no_harm();
            if self.trail[depth..].iter().any(|placed| self.share(placed.step, unused)) {
                unused = None;
            }
            if self.events.is_empty() {
                let each_once = !self.trail.iter().any(|placed| placed.again);
                return (Some(Ok(Explained { each_once })), entered);
            }
            if entered == patience {
                return (None, entered);
            }
            entered += 1;
            if self.has_hope(since) && self.is_new(unused) {
                let scope = self.scope(unused);
                let (depth, choices) = (self.trail.len(), self.answered_choices(&scope));
                forks.push(Fork { depth, scope, choices, with_unknown: false });
            } else {
                self.keep_longest(&mut longest);
            }
            loop {
                let Some(fork) = forks.last_mut() else {
                    return (Some(Err(self.violation(&longest))), entered);
                };
                self.take_back_to(fork.depth);
                since = fork.depth;
                if let Some(step) = fork.choices.pop() {
                    self.place(step);
                    unused = (step >= self.answered).then_some(step);
                    break;
                }
                if !fork.with_unknown {
                    fork.with_unknown = true;
                    fork.choices = self.unknown_choices(&fork.scope);
                    continue;
                }
                forks.pop();
                self.keep_longest(&mut longest);
            }
        }
    }

    fn keep_longest(&self, longest: &mut Vec<usize>) {
        if self.trail.len() > longest.len() && !self.trail.iter().any(|placed| placed.again) {
            longest.clear();
            longest.extend(self.trail.iter().map(|placed| placed.step));
        }
    }

    /// Places the call if it fits, and says whether it does.
    fn place(&mut self, step: usize) -> bool {
        let Some(changes) = self.model.apply(self.steps[step].effect, &self.slots) else {
            return false;
        };
        let before = changes.map(|change| change.map(|(name, _)| (name, self.slots[name])));
        for (name, slot) in changes.into_iter().flatten() {
            self.set(name, slot);
        }
        let again = self.placed[step];
        if !again {
            self.mark(step, true);
        }
        self.trail.push(Placed { step, again, before });
        true
    }

    fn take_back_to(&mut self, depth: usize) {
        for Placed { step, again, before } in self.trail.split_off(depth).into_iter().rev() {
            if !again {
                self.mark(step, false);
            }
            for (name, slot) in before.into_iter().flatten() {
                self.set(name, slot);
            }
            if let Some((name, _)) = self.steps[step].effect.demanded() {
                let returned = self.steps[step].returned;
                let steps = &self.steps;
                let reads = &mut self.reads[name];
                let place = reads.steps.partition_point(|read| steps[*read].returned < returned);
                reads.next = reads.next.min(place);
            }
        }
    }

    fn mark(&mut self, step: usize, placed: bool) {
        self.placed[step] = placed;
        match step.checked_sub(self.answered) {
            Some(_) if self.is_endless(step) => {}
            Some(unknown) => self.used[unknown / 64] ^= 1 << (unknown % 64),
            None => {
                self.fingerprint ^= key(0, [step, 0, 0, 0]);
                if placed { self.events.unlink(step) } else { self.events.relink(step) }
            }
        }
        let left = |count: &mut usize| if placed { *count -= 1 } else { *count += 1 };
        match self.steps[step].effect {
            Effect::Create { slot, .. } => self.sources[slot.ranks()].iter_mut().for_each(left),
            effect => match effect.demanded() {
                Some((_, rank)) if step < self.answered => left(&mut self.awaited[rank]),
                _ => {}
            },
        }
    }

    fn set(&mut self, name: usize, slot: Slot) {
        self.slots[name] = slot;
    }

    fn place_what_does_no_harm(&mut self) {
        let mut at = Events::HEAD;
        while let Some(step) = self.events.invoked_after(at) {
            let placed = self.does_no_harm(self.steps[step].effect) && self.place(step);
            if !placed {
                at = Events::invocation(step);
            }
        }
    }

    /// Whether the call may be placed as soon as it fits.
    fn does_no_harm(&self, effect: Effect<'h>) -> bool {
        effect.changes_nothing()
            || effect.is_unseen() && effect.names().all(|name| self.is_spent(self.slots[name]))
    }

    /// Whether what the file holds will never be observed, nor what appends make of it.
    fn is_spent(&self, slot: Slot) -> bool {
        slot != Slot::Absent && slot.ranks().all(|rank| self.awaited[rank] == 0)
    }

    /// The answered calls to try next, the one answered first at the end.
    fn answered_choices(&self, scope: &[bool]) -> Vec<usize> {
        let mut choices = self.fitting(self.events.candidates(), scope);
        choices.sort_by_key(|step| std::cmp::Reverse(self.steps[*step].returned));
        choices
    }

    /// The calls with unknown outcome to try next, the one invoked first at the end.
    fn unknown_choices(&self, scope: &[bool]) -> Vec<usize> {
        let first_answer = self.steps[self.events.first_answered()].returned;
        let invoked = (self.answered..self.steps.len())
            .take_while(|step| self.steps[*step].invoked <= first_answer);
        let fresh = invoked.clone().filter(|step| !self.placed[*step]);
        let again = invoked.filter(|step| self.placed[*step] && self.is_endless(*step));
        let unknown = fresh.chain(again);
        let mut choices = self.fitting(unknown, scope);
        choices.retain(|step| self.helps(self.steps[*step].effect));
        choices.sort_unstable_by(|one, other| other.cmp(one));
        choices
    }

    /// Of the calls that fit, one for each effect: the first answered.
    fn fitting(&self, steps: impl Iterator<Item = usize>, scope: &[bool]) -> Vec<usize> {
        let mut best: BTreeMap<Effect<'h>, usize> = BTreeMap::new();
        for step in steps.filter(|step| self.steps[*step].effect.names().any(|name| scope[name])) {
            let Step { effect, returned, .. } = self.steps[step];
            let kept = best.entry(effect).or_insert(step);
            if returned < self.steps[*kept].returned {
                *kept = step;
            }
        }
        best.retain(|effect, _| self.model.apply(*effect, &self.slots).is_some());
        best.into_values().collect()
    }

    /// Whether the effect is worth the use of a call with unknown outcome. Merely to hide a content
    /// from reads never is.
    fn helps(&self, effect: Effect<'h>) -> bool {
        let changes = self.model.apply(effect, &self.slots).into_iter().flatten().flatten();
        let hides = |slot| effect.appends() && slot == Slot::Unobserved;
        changes.into_iter().any(|(name, slot)| self.slots[name] != slot && !hides(slot))
    }

    /// The names that the next call must touch.
    ///
    /// A call with unknown outcome that was just placed could as well be placed later, as long as
    /// nothing placed touches what it touched: so what comes next does, or touches the other name
    /// of a rename, or of an append to two files, that does. Such a call may need more than one
    /// before it.
    ///
    /// Otherwise some call has to be placed before the first answer that is due, and those on names
    /// that none of these ties to its own could as well be placed after it.
    fn scope(&self, unused: Option<usize>) -> Vec<bool> {
        let mut scope = vec![false; self.slots.len()];
        let due = self.events.first_answered();
        let from = self.steps[unused.unwrap_or(due)].effect;
        from.names().for_each(|name| scope[name] = true);
        let first_answer = self.steps[due].returned;
        let open = |step: &&usize| self.is_open(**step, first_answer);
        let ties: Vec<_> = self.ties.iter().filter(open).collect();
        let mut size = 0;
        while size != scope.iter().filter(|inside| **inside).count() {
            size = scope.iter().filter(|inside| **inside).count();
            let tied = scope.clone();
            for tie in &ties {
                let effect = self.steps[**tie].effect;
                if effect.names().any(|name| tied[name]) {
                    effect.names().for_each(|name| scope[name] = true);
                }
            }
            if unused.is_some() {
                break;
            }
        }
        scope
    }

    /// Whether the call can be placed before an answer of that moment.
    fn is_open(&self, step: usize, answer: u64) -> bool {
        (!self.placed[step] || self.is_endless(step)) && self.steps[step].invoked <= answer
    }

    fn is_endless(&self, step: usize) -> bool {
        let endless = match self.steps[step].effect {
            Effect::Create { slot, .. } => slot == Slot::Unobserved,
            Effect::Delete { .. } | Effect::Rename { .. } => true,
            _ => false,
        };
        endless && step >= self.answered && self.supply == Supply::Endless
    }

    fn share(&self, step: usize, other: Option<usize>) -> bool {
        let names = |step: usize| self.steps[step].effect.names();
        other.is_some_and(|other| names(step).any(|name| names(other).any(|other| other == name)))
    }

    /// Whether every file can still come to hold what its next read saw, and no content that was
    /// to be read has been lost by what was placed from `since` on.
    fn has_hope(&mut self, since: usize) -> bool {
        if self.trail[since..].iter().any(|placed| self.loses(placed)) {
            return false;
        }
        (0..self.slots.len()).all(|name| match self.next_read(name) {
            None => true,
            Some((rank, returned)) => {
                self.slots[name].begins(rank) || self.can_be_put(name, rank, returned)
            }
        })
    }

    /// Whether a content that is still to be read was overwritten, or the call that was placed is
    /// one that such a content needs elsewhere.
    fn loses(&self, placed: &Placed) -> bool {
        let is_awaited = |rank: &usize| self.awaited[*rank] > 0;
        let overwritten = placed.before.into_iter().flatten().any(|(_, slot)| {
            let lost = |rank: usize| {
                let made = self.needs.first[rank].filter(|first| *first <= slot.len());
                !self.is_held(rank, made.unwrap_or(0))
                    && (made.is_some() || self.sources[rank] == 0)
            };
            slot.ranks().filter(is_awaited).any(lost)
        });
        overwritten
            || self.needs.of_step[placed.step].iter().any(|(ranks, len)| {
                ranks.clone().filter(is_awaited).any(|rank| !self.is_held(rank, *len))
            })
    }

    /// Whether some file holds so many bytes, at least, of the observed content.
    fn is_held(&self, rank: usize, len: usize) -> bool {
        self.slots.iter().any(|slot| slot.begins(rank) && slot.len() >= len)
    }

    /// The observed content, and the moment of the answer, of the unplaced read answered first.
    fn next_read(&mut self, name: usize) -> Option<(usize, u64)> {
        let reads = &mut self.reads[name];
        while reads.steps.get(reads.next).is_some_and(|read| self.placed[*read]) {
            reads.next += 1;
        }
        let step = self.steps[*reads.steps.get(reads.next)?];
        step.effect.demanded().map(|(_, rank)| (rank, step.returned))
    }

    /// Whether an unplaced create or rename may, before that moment, put under this name a content
    /// that begins the observed one.
    fn can_be_put(&self, name: usize, rank: usize, before: u64) -> bool {
        let open = |step: &usize| self.is_open(*step, before);
        let renamed = self.ties.iter().any(|step| {
            open(step)
                && matches!(self.steps[*step].effect, Effect::Rename { to, .. } if to == name)
        });
        let created = self.creates.iter().filter(|step| open(step)).any(|step| {
            matches!(self.steps[*step].effect, Effect::Create { name: target, slot, .. }
                if slot.begins(rank) && (renamed || target == name))
        });
        created || renamed && self.slots.iter().any(|slot| slot.begins(rank))
    }

    /// Whether nothing at least as good was seen: the same answered calls placed, the same files,
    /// and no call with unknown outcome placed that is not placed now.
    fn is_new(&mut self, unused: Option<usize>) -> bool {
        let mut fingerprint = self.fingerprint ^ unused.map_or(0, |step| key(4, [step, 0, 0, 0]));
        for (name, slot) in self.slots.iter().enumerate() {
            let slot = if self.is_spent(*slot) { Slot::Unobserved } else { *slot };
            fingerprint ^= slot_key(name, slot);
        }
        let covers = |seen: &[u64]| seen.iter().zip(&self.used).all(|(seen, now)| seen & !now == 0);
        let known = self.seen.get(&fingerprint);
        if known.is_some_and(|sets| sets.iter().any(|seen| covers(seen))) {
            return false;
        }
        if self.remembered < REMEMBERED {
            self.remembered += 16 + self.used.len();
            self.seen.entry(fingerprint).or_default().push(self.used.as_slice().into());
        }
        true
    }

    /// The longest order found, made longer as far as it goes.
    fn violation(mut self, longest: &[usize]) -> NotLinearizable {
        let everywhere = vec![true; self.slots.len()];
        self.take_back_to(0);
        for step in longest {
            self.place(*step);
        }
        loop {
            self.place_what_does_no_harm();
            let Some(step) = self.answered_choices(&everywhere).pop() else { break };
            self.place(step);
        }
        let call = |step: usize| self.steps[step].call.clone();
        let placed: Vec<_> = self.trail.iter().map(|placed| call(placed.step)).collect();
        let unplaced = self.events.candidates().map(call).collect();
        let files = contents(&placed);
        NotLinearizable { files, placed, unplaced, answered: self.answered }
    }
}

/// What the files hold after these calls, which fit one another.
fn contents(placed: &[Call]) -> BTreeMap<String, Content> {
    let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let writes = |call: &&Call| matches!(call.outcome(), Outcome::Done | Outcome::Unknown);
    for call in placed.iter().filter(writes) {
        match &call.operation {
            Operation::Create { name, content, .. } => {
                files.insert(name, content.0.to_vec());
            }
            Operation::Append { name, content } | Operation::AppendIf { name, content, .. } => {
                files.entry(name).or_default().extend_from_slice(&content.0);
            }
            Operation::AppendBoth { names, content } => {
                for name in names {
                    files.entry(name).or_default().extend_from_slice(&content.0);
                }
            }
            Operation::Read { .. } => {}
            Operation::Delete { name } => {
                files.remove(name.as_str());
            }
            Operation::Rename { from, to } => {
                let content = files.remove(from.as_str()).unwrap_or_default();
                files.insert(to, content);
            }
        }
    }
    files.into_iter().map(|(name, content)| (name.to_owned(), content.into())).collect()
}

/// Invocations and answers of the unplaced calls in the order of time: a doubly linked list, from
/// which a call leaves and to which it returns in constant time (in reverse order).
struct Events {
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Events {
    /// Before the first event and after the last; the two events of step `s` are `2s + 1`, its
    /// invocation, and `2s + 2`, its answer.
    const HEAD: usize = 0;

    fn new(steps: &[Step<'_>]) -> Self {
        let mut moments = vec![u64::MAX];
        moments.extend(steps.iter().flat_map(|step| [step.invoked, step.returned]));
        let mut order: Vec<_> = (1..moments.len()).collect();
        // Calls that touch are concurrent: at one moment, invocations come first.
        order.sort_by_key(|event| (moments[*event], event % 2 == 0));
        let mut next = vec![Self::HEAD; moments.len()];
        let mut previous = next.clone();
        let mut last = Self::HEAD;
        for event in order {
            (next[last], previous[event]) = (event, last);
            last = event;
        }
        previous[Self::HEAD] = last;
        Self { next, previous }
    }

    fn invocation(step: usize) -> usize {
        2 * step + 1
    }

    fn is_empty(&self) -> bool {
        self.next[Self::HEAD] == Self::HEAD
    }

    /// The step invoked next after this event, unless an answer comes first.
    fn invoked_after(&self, event: usize) -> Option<usize> {
        let next = self.next[event];
        (next % 2 == 1).then_some(next / 2)
    }

    /// The steps that were invoked before any was answered.
    fn candidates(&self) -> impl Iterator<Item = usize> {
        let first = self.invoked_after(Self::HEAD);
        std::iter::successors(first, |step| self.invoked_after(Self::invocation(*step)))
    }

    /// The step answered first, of any left.
    fn first_answered(&self) -> usize {
        let last = self.candidates().last().map_or(Self::HEAD, Self::invocation);
        (self.next[last] - 1) / 2
    }

    fn unlink(&mut self, step: usize) {
        for event in [Self::invocation(step), Self::invocation(step) + 1] {
            let (previous, next) = (self.previous[event], self.next[event]);
            (self.next[previous], self.previous[next]) = (next, previous);
        }
    }

    /// Undoes the latest [`Events::unlink`] that is not undone.
    fn relink(&mut self, step: usize) {
        for event in [Self::invocation(step) + 1, Self::invocation(step)] {
            let (previous, next) = (self.previous[event], self.next[event]);
            (self.next[previous], self.previous[next]) = (event, event);
        }
    }
}

fn slot_key(name: usize, slot: Slot) -> u128 {
    match slot {
        Slot::Absent => key(1, [name, 0, 0, 0]),
        Slot::Unobserved => key(2, [name, 0, 0, 0]),
        Slot::Prefix { first, end, len } => key(3, [name, first, end, len]),
    }
}

/// 128 well mixed bits, so that the combinations of a billion configurations still all differ
/// (SplitMix64's finaliser, once for each half).
fn key(kind: u64, numbers: [usize; 4]) -> u128 {
    let half = |seed: u64| {
        numbers.iter().fold(seed ^ kind, |hash, number| {
            let mut z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(*number as u64);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    };
    u128::from(half(0x243f_6a88_85a3_08d3)) << 64 | u128::from(half(0x1319_8a2e_0370_7344))
}
