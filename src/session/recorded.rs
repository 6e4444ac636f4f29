//! Collects what both sides of the gateway recorded about a trial, with the requests that lost its key.

use std::collections::HashSet;
use std::iter;

use super::{Provider, Session};
use crate::clock::now_ms;
use crate::ids::TrialKey;
use crate::wire::exchange::{GatewayExchange, ProviderExchange};
use crate::wire_diff::lost::{RecordedSides, with_lost};

/// The recordings of one trial.
#[derive(Debug, Default)]
pub struct Recorded {
    pub sent: Vec<GatewayExchange>,
    pub exchanges: Vec<ProviderExchange>,
    /// Requests without a key that fit this trial and another one equally well.
    pub ambiguous: Vec<ProviderExchange>,
}

/// The numbers of the requests without a key that fit several trials.
pub(super) type Ambiguous = tokio::sync::Mutex<HashSet<usize>>;

impl Session {
    /// Removes a trial and returns its recordings.
    pub async fn take(&self, key: TrialKey) -> anyhow::Result<Recorded> {
        let recorded = self.recorded(key).await;
        self.unregister(key);
        recorded
    }

    async fn recorded(&self, key: TrialKey) -> anyhow::Result<Recorded> {
        let Some(provider) = &self.provider else {
            return Ok(Recorded {
                sent: self.front.exchanges(key),
                ..Recorded::default()
            });
        };
        let sides = self.sides(provider, key).await?;
        let (mut own, mut ambiguous) = (Vec::new(), Vec::new());
        if self.has_gateway() && sides.lacks_one() {
            // One trial at a time: the trials compete for the same requests.
            let mut earlier = self.ambiguous.lock().await;
            let orphans = provider.orphans().await?;
            let mut lost = sides.lost(&[], &orphans);
            if !lost.own.is_empty() {
                let mut others = Vec::new();
                let running: Vec<TrialKey> = self.running.lock().keys().copied().collect();
                for other in running.into_iter().filter(|other| *other != key) {
                    others.push(self.sides(provider, other).await?);
                }
                lost = sides.lost(&others, &orphans);
            }
            for orphan in lost.own {
                if earlier.contains(&orphan.number) {
                    ambiguous.push(orphan);
                } else if provider.claim(orphan.number).await? {
                    own.push(orphan);
                }
            }
            ambiguous.extend(lost.ambiguous);
            earlier.extend(ambiguous.iter().map(|orphan| orphan.number));
            self.unregister(key);
        }
        Ok(Recorded {
            sent: self.with_cpu_waits(sides.sent),
            exchanges: with_lost(provider.take(key).await?, own),
            ambiguous,
        })
    }

    fn with_cpu_waits(&self, mut sent: Vec<GatewayExchange>) -> Vec<GatewayExchange> {
        for GatewayExchange { request, reply, .. } in &mut sent {
            if let (Some(reply), Some(waits)) = (reply, &self.cpu_waits) {
                let end = *reply.ended_at_ms.get_or_insert_with(now_ms);
                reply.cpu_waits = waits.between(request.at_ms, end);
            }
        }
        sent
    }

    /// The recordings so far of a running trial.
    async fn sides(&self, provider: &Provider, key: TrialKey) -> anyhow::Result<RecordedSides> {
        Ok(RecordedSides {
            sent: self.front.exchanges(key),
            exchanges: provider.exchanges(key).await?,
            route: self.running.lock().get(&key).copied().flatten(),
        })
    }

    /// Later requests of the trial pass the relay behind the gateway unrecorded. The front relay refuses them.
    fn unregister(&self, key: TrialKey) {
        self.running.lock().remove(&key);
        for relay in iter::once(&self.front).chain(&self.back) {
            relay.remove(key);
        }
    }
}
