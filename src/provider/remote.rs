//! The client of a simulator that `compat provider serve` runs in another process.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::control::{PREFIX, SERVICE};
use crate::clock::now_ms;
use crate::env::Secret;
use crate::http;
use crate::ids::TrialKey;
use crate::wire::exchange::ProviderExchange;
use crate::wire::script::Script;
use crate::wire::secrets::Secrets;

#[derive(Debug)]
pub struct RemoteSimulator {
    client: reqwest::Client,
    base_url: String,
    control_key: Secret,
    /// The values that no recording may contain.
    secrets: Vec<Secret>,
    connected_ms: u64,
    /// The simulator's clock minus this process's, in milliseconds.
    clock_ahead_ms: i64,
    first_byte_delay_ms: u64,
    place: BTreeMap<String, String>,
}

impl RemoteSimulator {
    /// Connects to the simulator at `base_url` (`http://host:port`).
    pub async fn connect(base_url: &str, control_key: &str) -> anyhow::Result<Self> {
        let mut remote = Self {
            client: http::client(),
            base_url: base_url.trim_end_matches('/').to_owned(),
            control_key: Secret::new(control_key),
            secrets: vec![Secret::new(control_key)],
            connected_ms: now_ms(),
            clock_ahead_ms: 0,
            first_byte_delay_ms: 0,
            place: BTreeMap::new(),
        };
        let asked_ms = now_ms();
        let hello: Value = remote.ask("hello", &json!({})).await?;
        // An older simulator does not tell its clock.
        if let Some(there_ms) = hello["now_ms"].as_u64() {
            remote.clock_ahead_ms = clock_ahead_ms(asked_ms, there_ms, now_ms());
        }
        ensure!(hello["service"] == SERVICE, remote.is_something_else());
        let secrets = hello["secrets"].as_array().into_iter().flatten();
        remote
            .secrets
            .extend(secrets.filter_map(Value::as_str).map(Secret::new));
        remote.place = serde_json::from_value(hello["place"].clone()).unwrap_or_default();
        remote.first_byte_delay_ms = hello["first_byte_delay_ms"].as_u64().unwrap_or_default();
        Ok(remote)
    }

    /// The control key and the credentials of the simulator.
    pub fn secrets(&self) -> Vec<String> {
        let secrets = self.secrets.iter();
        secrets.map(|secret| secret.expose().to_owned()).collect()
    }

    pub fn first_byte_delay_ms(&self) -> u64 {
        self.first_byte_delay_ms
    }

    /// Whether `error` proves that the simulator does not run any more: nothing listens there, or something else does.
    pub fn is_gone(error: &anyhow::Error) -> bool {
        let failed = error.downcast_ref::<reqwest::Error>();
        failed.is_none_or(reqwest::Error::is_connect)
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub async fn register(&self, key: TrialKey, script: &Script) -> anyhow::Result<()> {
        let _: Value = self.ask("register", &(key, script)).await?;
        Ok(())
    }

    pub async fn watch(&self, credential: &str) -> anyhow::Result<()> {
        let _: Value = self.ask("watch", &credential).await?;
        Ok(())
    }

    pub(super) fn place(&self) -> &BTreeMap<String, String> {
        &self.place
    }

    pub async fn shown(&self, key: TrialKey, deltas: usize) -> anyhow::Result<()> {
        let _: Value = self.ask("shown", &(key, deltas)).await?;
        Ok(())
    }

    pub async fn take(&self, key: TrialKey) -> anyhow::Result<Vec<ProviderExchange>> {
        let exchanges: Vec<ProviderExchange> = self.ask("take", &key).await?;
        Ok(self.on_this_clock(exchanges))
    }

    pub async fn exchanges(&self, key: TrialKey) -> anyhow::Result<Vec<ProviderExchange>> {
        let exchanges: Vec<ProviderExchange> = self.ask("exchanges", &key).await?;
        Ok(self.on_this_clock(exchanges))
    }

    pub async fn claim(&self, orphan: usize) -> anyhow::Result<bool> {
        self.ask("claim", &orphan).await
    }

    /// [`super::Simulator::orphans`] since the connection: earlier ones are from earlier runs.
    pub async fn orphans(&self) -> anyhow::Result<Vec<ProviderExchange>> {
        let mut orphans = self.on_this_clock(self.ask("orphans", &json!({})).await?);
        orphans.retain(|orphan| orphan.request.at_ms >= self.connected_ms);
        Ok(orphans)
    }

    /// The exchanges with the times of this process's clock, so that they pair with those of the relay.
    fn on_this_clock(&self, mut exchanges: Vec<ProviderExchange>) -> Vec<ProviderExchange> {
        let moved = |at_ms: &mut u64| *at_ms = at_ms.saturating_add_signed(-self.clock_ahead_ms);
        for exchange in &mut exchanges {
            moved(&mut exchange.request.at_ms);
            exchange
                .reply
                .events
                .iter_mut()
                .for_each(|event| moved(&mut event.at_ms));
        }
        exchanges
    }

    async fn ask<T: DeserializeOwned>(&self, command: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let url = format!("{}{PREFIX}{command}", self.base_url);
        let key = self.control_key.expose();
        let request = self.client.post(&url).bearer_auth(key).json(body);
        let received = async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let (status, body) = received.await.with_context(|| {
            format!(
                "cannot reach the provider simulator at `{url}`: is `compat provider serve` running there?"
            )
        })?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .ok()
                .with_context(|| self.is_something_else()),
            StatusCode::UNAUTHORIZED => bail!(
                "the provider simulator at `{}` refuses the control key: use the key that `compat provider serve` was \
                 started with",
                self.base_url
            ),
            _ => bail!(
                "the provider simulator at `{url}` answers {status}: {}",
                Secrets::new(self.secrets()).removed(&String::from_utf8_lossy(&body))
            ),
        }
    }

    fn is_something_else(&self) -> String {
        format!(
            "the server at `{}` is not a provider simulator of `compat provider serve`",
            self.base_url
        )
    }
}

/// How far a clock is ahead that showed `there_ms` between two times of this clock; 0 if it may be the same clock.
fn clock_ahead_ms(asked_ms: u64, there_ms: u64, answered_ms: u64) -> i64 {
    // Two processes on one machine round their times differently.
    let is_between = asked_ms <= there_ms + 2 && there_ms <= answered_ms + 2;
    match is_between {
        true => 0,
        false => there_ms as i64 - asked_ms.midpoint(answered_ms) as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_clock_has_no_offset_and_another_one_has_its_own() {
        assert_eq!(clock_ahead_ms(1000, 1030, 1040), 0);
        assert_eq!(clock_ahead_ms(1000, 999, 1000), 0);
        assert_eq!(clock_ahead_ms(1000, 61_020, 1040), 60_000);
        assert_eq!(clock_ahead_ms(61_000, 1020, 61_040), -60_000);
    }
}
