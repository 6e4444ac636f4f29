//! The trials of a simulator or a relay, and the exchanges that they record.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::TrialKey;

/// A list of exchanges that grows while they happen. With a bound, it forgets the oldest.
pub struct Ledger<T>(Arc<Mutex<Entries<T>>>);

struct Entries<T> {
    kept: VecDeque<T>,
    /// The number of exchanges before the kept ones.
    forgotten: usize,
    most: usize,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

/// An exchange of a ledger, to be completed.
pub struct OpenExchange<T> {
    ledger: Ledger<T>,
    index: usize,
}

impl<T> Ledger<T> {
    /// A ledger that keeps the last `most` exchanges.
    pub fn bounded(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Entries {
            kept: VecDeque::new(),
            forgotten: 0,
            most,
        })))
    }

    /// Adds the exchange that `new` makes from its number in the ledger, from 1.
    pub fn begin(&self, new: impl FnOnce(usize) -> T) -> OpenExchange<T> {
        let mut entries = self.0.lock();
        let index = entries.forgotten + entries.kept.len();
        entries.kept.push_back(new(index + 1));
        if entries.kept.len() > entries.most {
            entries.kept.pop_front();
            entries.forgotten += 1;
        }
        OpenExchange {
            ledger: Self(Arc::clone(&self.0)),
            index,
        }
    }

    /// The number of exchanges that it has forgotten.
    pub fn forgotten(&self) -> usize {
        self.0.lock().forgotten
    }

    /// Removes all exchanges. Later changes to them are lost.
    pub fn take(&self) -> Vec<T> {
        let mut entries = self.0.lock();
        std::mem::take(&mut entries.kept).into()
    }
}

impl<T: Clone> Ledger<T> {
    pub fn exchanges(&self) -> Vec<T> {
        self.0.lock().kept.iter().cloned().collect()
    }
}

impl<T> OpenExchange<T> {
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        let mut entries = self.ledger.0.lock();
        let index = self.index.checked_sub(entries.forgotten);
        if let Some(exchange) = index.and_then(|index| entries.kept.get_mut(index)) {
            change(exchange);
        }
    }
}

/// The registered trials, by key.
pub struct TrialMap<T>(Mutex<HashMap<TrialKey, Arc<T>>>);

impl<T> Default for TrialMap<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> TrialMap<T> {
    pub fn insert(&self, key: TrialKey, trial: T) {
        self.0.lock().insert(key, Arc::new(trial));
    }

    pub fn get(&self, key: TrialKey) -> Option<Arc<T>> {
        self.0.lock().get(&key).cloned()
    }

    pub fn remove(&self, key: TrialKey) -> Option<Arc<T>> {
        self.0.lock().remove(&key)
    }

    /// The trial of the first registered key in `texts`.
    pub fn owner<'a>(&self, texts: impl IntoIterator<Item = &'a [u8]>) -> Option<Arc<T>> {
        let trials = self.0.lock();
        let mut keys = texts.into_iter().flat_map(TrialKey::all_in);
        keys.find_map(|key| trials.get(&key)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_ledger_forgets_the_oldest() {
        let ledger = Ledger::bounded(2);
        let first = ledger.begin(|number| number);
        let second = ledger.begin(|number| number);
        ledger.begin(|number| number);
        first.update(|number| *number = 100);
        second.update(|number| *number = 200);
        assert_eq!((ledger.exchanges(), ledger.forgotten()), (vec![200, 3], 1));
        assert_eq!(ledger.take(), [200, 3]);
    }
}
