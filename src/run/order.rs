//! How many trials run at once, and in which order they start.

use std::num::NonZeroUsize;

use super::SelectedTrials;
use crate::cells::ProxyConfig;
use crate::env::{self, Environment};
use crate::ids::TrialName;
use crate::plan::{Planned, selection};
use crate::watch;

/// The default number of trials that run at once. Most wait for a provider, which only takes memory (about 250 MB each,
/// measured with Claude Code 2.1.326).
pub(super) const CONCURRENT: usize = 32;

/// The number of trials that run at once: `asked`, else `RUST_TEST_THREADS`, else 32.
pub fn concurrency(asked: Option<NonZeroUsize>, environment: &Environment) -> anyhow::Result<usize> {
    let variable = env::RUST_TEST_THREADS;
    match (asked, environment.get(variable)) {
        (Some(threads), _) => Ok(threads.get()),
        (None, None) => Ok(CONCURRENT),
        (None, Some(text)) => match text.parse() {
            Ok(threads @ 1..) => Ok(threads),
            _ => anyhow::bail!("`{variable}` is `{text}`, expected a number from 1"),
        },
    }
}

/// First the trials of files that changed after the last results: their author waits. Then the trials with the most replies:
/// a long trial should not start last.
pub(super) fn start_order(selected: &SelectedTrials, proxy_config: Option<&ProxyConfig>) -> Vec<TrialName> {
    let project = &selected.project;
    let written = selected
        .results_path
        .metadata()
        .and_then(|metadata| metadata.modified());
    let changed = written.map_or_else(
        |_| Vec::new(),
        |time| selection::touched(&watch::changed_since(&project.root, time), selected.names.clone()),
    );
    let replies = |name: &TrialName| match project.plan(proxy_config, name) {
        Planned::Run(planned) => planned.test().script.replies.len(),
        Planned::Broken(_) | Planned::NotApplicable(_) => 0,
    };
    let mut names = selected.names.clone();
    names.sort_by_cached_key(|name| (!changed.contains(name), std::cmp::Reverse(replies(name))));
    names
}
