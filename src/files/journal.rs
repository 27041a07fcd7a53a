//! What a batch has touched, so that it can be undone.

use std::collections::BTreeMap;

/// Between `begin` and `end`: what was there before, of all that was touched since.
#[derive(Clone, Debug)]
pub(super) struct Journal<K, V> {
    touched: Option<BTreeMap<K, Option<V>>>,
}

impl<K, V> Default for Journal<K, V> {
    fn default() -> Self {
        Self { touched: None }
    }
}

impl<K: Ord, V> Journal<K, V> {
    pub(super) fn begin(&mut self) {
        self.touched = Some(BTreeMap::new());
    }

    /// `key` is about to change; `before` is asked for the first time only.
    pub(super) fn note(&mut self, key: K, before: impl FnOnce() -> Option<V>) {
        if let Some(touched) = &mut self.touched {
            touched.entry(key).or_insert_with(before);
        }
    }

    /// Everything that was touched, as it was before: `None` was not there.
    pub(super) fn end(&mut self) -> BTreeMap<K, Option<V>> {
        self.touched.take().unwrap_or_default()
    }
}
