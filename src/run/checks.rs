//! The checks of a whole run: the aliases of an attached gateway before it, and the known findings after it.

use std::collections::BTreeSet;

use super::MatrixRun;
use crate::plan::Planned;
use crate::results::Results;
use crate::results::stale::{self, StaleFinding};
use crate::session::Session;
use crate::session::preflight;

impl MatrixRun {
    /// Sends one minimal request to each alias of the run.
    pub(super) async fn preflight(&self, session: &Session) {
        let project = &self.selected.project;
        let aliases: BTreeSet<String> = (self.trials().iter())
            .filter_map(|name| match project.plan(None, name) {
                Planned::Run(planned) => Some(planned.alias),
                Planned::Broken(_) | Planned::NotApplicable(_) => None,
            })
            .collect();
        let (base_url, key) = (&session.gateway.base_url, &session.gateway.key);
        let report = preflight::check(
            base_url,
            key,
            &self.options.wanted().headers,
            aliases,
            session.provider.as_ref(),
            &session.secrets,
        )
        .await;
        for line in preflight::summary(&report.unusable) {
            self.progress.note(&line);
        }
        let _ = self.preflight.set(report);
    }

    /// The errors about known findings that no longer show. Of several processes, the one that finishes a column reports it.
    pub(super) fn stale(&self, results: &Results) -> Vec<String> {
        if self.known.findings.is_empty() {
            return Vec::new();
        }
        // What a declaration shows in all client formats was measured in the usual one.
        let is_usual = self.options.client_format().is_usual();
        let project = &self.selected.project;
        let is_own = |stale: &StaleFinding<'_>| {
            let mut names = self.selected.names.iter();
            names.any(|name| stale.concerns(name))
        };
        let lacks = &self.selected.gateway.lacks;
        let mut trials = project.applicable_trials();
        trials.retain(|name| lacks.reason(&name.cell).is_none());
        stale::stale(results, &self.known, &trials)
            .iter()
            .filter(|stale| is_usual || stale.known.client_formats.is_some())
            .filter(|stale| !self.is_shared || is_own(stale))
            .map(|stale| format!("error: {stale}"))
            .collect()
    }
}
