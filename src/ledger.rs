//! A list of exchanges that are recorded while they happen.

use std::sync::Arc;

use parking_lot::Mutex;

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
