//! The trials of a simulator or a relay, and the exchanges that they record.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::TrialKey;

/// A list of exchanges that grows while they happen.
pub struct Ledger<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// An exchange of a ledger, to be completed.
pub struct OpenExchange<T> {
    ledger: Ledger<T>,
    index: usize,
}

impl<T> Ledger<T> {
    /// Adds the exchange that `new` makes from its number in the ledger, from 1.
    pub fn begin(&self, new: impl FnOnce(usize) -> T) -> OpenExchange<T> {
        let mut exchanges = self.0.lock();
        let index = exchanges.len();
        exchanges.push(new(index + 1));
        OpenExchange {
            ledger: Self(Arc::clone(&self.0)),
            index,
        }
    }

    /// Removes all exchanges. Later changes to them are lost.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock())
    }
}

impl<T: Clone> Ledger<T> {
    pub fn exchanges(&self) -> Vec<T> {
        self.0.lock().clone()
    }
}

impl<T> OpenExchange<T> {
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        if let Some(exchange) = self.ledger.0.lock().get_mut(self.index) {
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
