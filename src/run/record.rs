//! The cassette of a run (`--record`): what passed on the sides of the gateway, without private values.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use parking_lot::Mutex;

use crate::cells::{Manifest, ProxyConfig};
use crate::drift::cassette::ONLY_CLIENT;
use crate::drift::{CassetteHead, PrivateValues, RecordedSide, Recording};
use crate::env::Environment;
use crate::evidence::Behind;
use crate::files::cassette_files;
use crate::gateway;
use crate::ids::{TierId, TrialName};
use crate::results::RunRecord;
use crate::results::json::SchemaVersion;
use crate::session::{Recorded, Session};
use crate::wire::secrets::Secrets;

/// The cassette of a run, in its folder.
#[derive(Debug)]
pub struct RunCassette {
    folder: PathBuf,
    /// The head before this run.
    earlier: Option<CassetteHead>,
    private: PrivateValues,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    head: CassetteHead,
    /// The first error; it ends the run.
    error: Option<anyhow::Error>,
}

impl RunCassette {
    /// Makes the folder.
    pub(super) fn start(folder: &Path, run: &RunRecord, environment: &Environment) -> anyhow::Result<Self> {
        let earlier = cassette_files::prepare(folder).context("`--record`")?;
        let head = CassetteHead {
            schema_version: SchemaVersion::One,
            compat_version: env!("CARGO_PKG_VERSION").to_owned(),
            recorded_at: run.started_at,
            // A rehearsal looks live until a trial meets the simulator.
            behind: match run.rehearsal {
                true => Behind::Live,
                false => run.behind,
            },
            // Its earlier recordings stay.
            rehearsal: earlier.as_ref().is_some_and(|earlier| earlier.rehearsal),
            gateway: run.gateway.name.clone(),
            gateway_version: run.gateway.version.clone(),
            claude_code_version: None,
            sides: Vec::new(),
            missing: None,
            models: earlier
                .as_ref()
                .map(|earlier| earlier.models.clone())
                .unwrap_or_default(),
        };
        ensure_same_conditions(folder, earlier.as_ref(), &head)?;
        Ok(Self {
            folder: folder.to_owned(),
            earlier,
            private: PrivateValues::new(gateway::private_names(environment.variables())),
            state: Mutex::new(State { head, error: None }),
        })
    }

    /// The session is up: its versions and its sides are known. Fails if the cassette is of other ones.
    pub(super) fn begin(&self, session: &Session) -> anyhow::Result<()> {
        let mut now = self.state.lock().head.clone();
        let versions = session.versions();
        now.behind = session.behind();
        now.gateway_version = versions.gateway.map(str::to_owned);
        self.private.remove_from_head(&mut now, &[]);
        ensure_same_conditions(&self.folder, self.earlier.as_ref(), &now)?;
        self.change(|head| {
            head.behind = now.behind;
            head.gateway_version = now.gateway_version;
            head.claude_code_version = versions.claude_code.map(str::to_owned);
            (head.sides, head.missing) = match session.behind() {
                Behind::Simulated => (vec![RecordedSide::Client, RecordedSide::Provider], None),
                Behind::Live => (vec![RecordedSide::Client], Some(ONLY_CLIENT.to_owned())),
            };
        });
        Ok(())
    }

    /// Notes the model behind each of `aliases` of the gateway: that of its configuration, else that of the tier. Fails if the
    /// cassette has another model behind one of them.
    pub(super) fn name_models(
        &self,
        aliases: impl Iterator<Item = (String, TierId)>,
        config: Option<&ProxyConfig>,
        manifest: &Manifest,
    ) -> anyhow::Result<()> {
        let of_tier = |id: &TierId| manifest.tiers.iter().find(|tier| tier.id == *id);
        let mut head = self.state.lock().head.clone();
        head.models = aliases
            .filter_map(|(alias, tier)| {
                let model = config.and_then(|config| config.model(&alias));
                let model = model.or_else(|| of_tier(&tier).map(|tier| tier.model.clone()))?;
                Some((alias, model))
            })
            .collect();
        // A private name of a model is not in the cassette.
        self.private.remove_from_head(&mut head, &[]);
        let earlier = self.earlier.iter().flat_map(|earlier| &earlier.models);
        for (alias, then) in earlier {
            if let Some(now) = head.models.get(alias).filter(|now| *now != then) {
                bail!(
                    "`--record` adds to the cassette `{}`, where `{alias}` is the model `{then}`, and now it is `{now}`: name \
                     another folder",
                    self.folder.display()
                );
            }
        }
        // The start of the session writes them.
        self.state.lock().head.models.extend(head.models);
        Ok(())
    }

    pub(super) fn mark_as_rehearsal(&self) {
        self.change(|head| head.rehearsal = true);
    }

    /// Forgets the recordings of an earlier run of `trial`.
    pub(super) fn forget(&self, trial: &TrialName) {
        self.keep(cassette_files::forget(&self.folder, trial));
    }

    /// Adds what an attempt at `trial` recorded, without `secrets`.
    pub(super) fn add(&self, trial: &TrialName, recorded: &Recorded, secrets: &[&Secrets]) {
        let sent = recorded.sent.iter().cloned();
        let sent = sent.map(|exchange| Recording::of_client(trial, exchange));
        let exchanges = recorded.exchanges.iter().cloned();
        let exchanges = exchanges.map(|exchange| Recording::of_provider(trial, exchange));
        let mut recordings: Vec<Recording> = sent.chain(exchanges).collect();
        for recording in &mut recordings {
            self.private.remove_from(recording, secrets);
        }
        self.keep(cassette_files::add(&self.folder, trial, &recordings));
    }

    /// The first error of the recording.
    pub(super) fn finish(&self) -> anyhow::Result<()> {
        self.state.lock().error.take().map_or(Ok(()), Err)
    }

    fn change(&self, change: impl FnOnce(&mut CassetteHead)) {
        let mut state = self.state.lock();
        change(&mut state.head);
        self.private.remove_from_head(&mut state.head, &[]);
        let written = cassette_files::write_head(&self.folder, &state.head);
        drop(state);
        self.keep(written);
    }

    fn keep(&self, written: anyhow::Result<()>) {
        if let Err(error) = written {
            self.state.lock().error.get_or_insert(error);
        }
    }
}

/// Fails if `folder` has recordings of another provider, gateway or version than `now`.
fn ensure_same_conditions(
    folder: &Path,
    earlier: Option<&CassetteHead>,
    now: &CassetteHead,
) -> anyhow::Result<()> {
    let differing = earlier.and_then(|earlier| now.differing_condition(earlier));
    if let Some((fact, then, now)) = differing {
        bail!(
            "`--record` adds to the cassette `{}`, whose `{fact}` is `{then}`, and that of this run is `{now}`: name another folder",
            folder.display()
        );
    }
    Ok(())
}
