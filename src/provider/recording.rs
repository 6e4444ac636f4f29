//! The exchanges of a trial, or of nobody, as they happen.

use parking_lot::Mutex;
use std::sync::Arc;

use serde_json::Value;

use super::now_ms;
use crate::wire::exchange::{Lockstep, ProviderExchange, SentEvent};

/// A list of exchanges that grows.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    exchanges: Arc<Mutex<Vec<ProviderExchange>>>,
}

/// One exchange of a ledger, under way. It counts as cut off until [`Recording::finish`].
pub(super) struct Recording {
    ledger: Ledger,
    index: usize,
}

impl Ledger {
    /// Adds an exchange; its number is given here.
    pub(super) fn begin(&self, mut exchange: ProviderExchange) -> Recording {
        let mut exchanges = self.exchanges.lock();
        exchange.number = exchanges.len() + 1;
        exchange.reply.cut_off = true;
        exchanges.push(exchange);
        Recording {
            ledger: self.clone(),
            index: exchanges.len() - 1,
        }
    }

    pub(super) fn exchanges(&self) -> Vec<ProviderExchange> {
        self.exchanges.lock().clone()
    }

    /// The exchanges so far, of which nothing more is recorded.
    pub(super) fn take(&self) -> Vec<ProviderExchange> {
        std::mem::take(&mut self.exchanges.lock())
    }
}

impl Recording {
    /// An event, or the one body, goes out.
    pub(super) fn send(&self, data: Value) {
        self.update(|exchange| {
            exchange.reply.events.push(SentEvent {
                at_ms: now_ms(),
                data,
            })
        });
    }

    pub(super) fn lockstep(&self, lockstep: Lockstep) {
        self.update(|exchange| exchange.reply.lockstep = Some(lockstep));
    }

    pub(super) fn finish(&self) {
        self.update(|exchange| exchange.reply.cut_off = false);
    }

    fn update(&self, change: impl FnOnce(&mut ProviderExchange)) {
        if let Some(exchange) = self.ledger.exchanges.lock().get_mut(self.index) {
            change(exchange);
        }
    }
}
