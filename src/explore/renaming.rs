//! Servers' names decide nothing: states that differ in them alone are one.

use crate::raft::ServerId;

/// No number of a table.
const NOTHING: u32 = u32::MAX;

/// New names for the servers: the one at place `n` is that of the server `n + 1`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Renaming(Vec<ServerId>);

impl Renaming {
    /// Every way to rename `servers` servers; the first keeps all names.
    fn all(servers: u64) -> Vec<Self> {
        let mut all = vec![Vec::new()];
        for _ in 0..servers {
            let extend = |names: Vec<ServerId>| {
                let free = (1..=servers).map(ServerId).filter(|id| !names.contains(id));
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

/// All ways to rename the servers.
pub(crate) struct Renamings {
    pub(crate) all: Vec<Renaming>,
    /// For each way and each new place, the place that the server there had before.
    pub(crate) origins: Vec<Vec<usize>>,
    /// The way that is one way and then another.
    products: Vec<Vec<usize>>,
}

impl Renamings {
    pub(crate) fn new(servers: u64) -> Self {
        let all = Renaming::all(servers);
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
        Self { origins: all.iter().map(origins).collect(), products: products.collect(), all }
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
        let all = Renaming::all(3);
        assert_eq!(all.len(), 6);
        assert_eq!(all[0], Renaming([1, 2, 3].map(ServerId).to_vec()));
        for one in &all {
            let products = all.iter().map(|other| one.then(other));
            assert!(products.clone().all(|product| all.contains(&product)));
            assert_eq!(products.filter(|product| *product == all[0]).count(), 1);
        }
    }
}
