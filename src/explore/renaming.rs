//! Servers' names decide nothing: states that differ in them alone are one.

use crate::raft::ServerId;

/// No number of a table.
const NOTHING: u32 = u32::MAX;

/// New names for the servers: the one at place `n` is that of the server `n + 1`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Renaming(Vec<ServerId>);

impl Renaming {
    /// Every way to rename servers of these kinds, so that each keeps its kind; the first keeps all
    /// names.
    fn all(kinds: &[u8]) -> Vec<Self> {
        let mut all = vec![Vec::new()];
        for kind in kinds {
            let extend = |names: Vec<ServerId>| {
                let of_the_kind = kinds.iter().zip(1..).filter(|(other, _)| *other == kind);
                let free = of_the_kind.map(|(_, id)| ServerId(id)).filter(|id| !names.contains(id));
                free.map(|id| [&names[..], &[id]].concat()).collect::<Vec<_>>()
            };
            all = all.into_iter().flat_map(extend).collect();
        }
        all.into_iter().map(Self).collect()
    }

    pub(crate) fn name(&self, server: ServerId) -> ServerId {
        self.0[server.0 as usize - 1]
    }

    /// This renaming and then `next`.
    fn then(&self, next: &Self) -> Self {
        Self(self.0.iter().map(|name| next.name(*name)).collect())
    }
}

/// All ways to rename the servers of these kinds.
pub(crate) struct Renamings {
    pub(crate) all: Vec<Renaming>,
    /// Every two places of the same kind without another of it between them.
    pub(crate) neighbours: Vec<(usize, usize)>,
    /// For each way and each new place, the place that the server there had before.
    pub(crate) origins: Vec<Vec<usize>>,
    /// The way that is one way and then another.
    products: Vec<Vec<usize>>,
}

impl Renamings {
    pub(crate) fn new(kinds: &[u8]) -> Self {
        let servers = kinds.len() as u64;
        let all = Renaming::all(kinds);
        let next = |place: usize| {
            let behind = kinds.iter().skip(place + 1).position(|kind| *kind == kinds[place]);
            behind.map(|distance| (place, place + 1 + distance))
        };
        let neighbours = (0..kinds.len()).filter_map(next).collect();
        let origins = |renaming: &Renaming| {
            let place = |id: u64| {
                let old = (1..=servers).find(|old| renaming.name(ServerId(*old)) == ServerId(id));
                old.expect("invariant: a renaming gives every name") as usize - 1
            };
            (1..=servers).map(place).collect()
        };
        let way = |renaming: Renaming| {
            let way = all.iter().position(|other| *other == renaming);
            way.expect("invariant: renamings are a group")
        };
        let products = all.iter().map(|one| all.iter().map(|two| way(one.then(two))).collect());
        let (origins, products) = (all.iter().map(origins).collect(), products.collect());
        Self { neighbours, origins, products, all }
    }
}

/// For each value of a table, the numbers of its images under all renamings.
pub(crate) struct Images {
    ways: usize,
    numbers: Vec<u32>,
}

impl Images {
    pub(crate) fn new(ways: usize) -> Self {
        Self { ways, numbers: Vec::new() }
    }

    pub(crate) fn of(&self, number: u32, way: usize) -> u32 {
        self.numbers[number as usize * self.ways + way]
    }

    /// Notes the images of a value, the first of which is itself, and the images of those.
    pub(crate) fn add(&mut self, images: &[u32], renamings: &Renamings) {
        let most = images.iter().max().copied().unwrap_or_default() as usize;
        let length = self.numbers.len().max((most + 1) * self.ways);
        self.numbers.resize(length, NOTHING);
        for (one, number) in images.iter().enumerate() {
            let row = &mut self.numbers[*number as usize * self.ways..][..self.ways];
            for (two, place) in row.iter_mut().enumerate() {
                let image = images[renamings.products[one][two]];
                debug_assert!(
                    *place == NOTHING || *place == image,
                    "invariant: names decide nothing"
                );
                *place = image;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamings_are_a_group() {
        for (kinds, count) in [(&[0, 0, 0][..], 6), (&[0, 1, 0], 2), (&[0, 1, 2], 1)] {
            let all = Renaming::all(kinds);
            assert_eq!(all.len(), count);
            assert_eq!(all[0], Renaming([1, 2, 3].map(ServerId).to_vec()));
            for one in &all {
                let products = all.iter().map(|other| one.then(other));
                assert!(products.clone().all(|product| all.contains(&product)));
                assert_eq!(products.filter(|product| *product == all[0]).count(), 1);
            }
        }
        assert_eq!(Renamings::new(&[0, 1, 0, 0, 1]).neighbours, [(0, 2), (1, 4), (2, 3)]);
    }
}
