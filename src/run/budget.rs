//! The money of a live run: what it may cost, what it has cost, and the end of the budget.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use super::selected::is_live;
use super::trial::ATTEMPTS;
use super::{RunOptions, SelectedTrials};
use crate::cells::Manifest;
use crate::cells::prices::Prices;
use crate::env::Environment;
use crate::files::project::broken_project;
use crate::ids::{ProviderId, TrialName};
use crate::results::{Results, Spending, TrialRecord};
use crate::wire::Usage;

/// The tokens of a trial of which no earlier run tells any: two requests with the system prompt and the tools of Claude Code
/// (measured with version 2.1.327: about 25,000 tokens).
const UNKNOWN: Usage = Usage {
    input_tokens: 1_000,
    cache_creation_input_tokens: 60_000,
    cache_read_input_tokens: 60_000,
    output_tokens: 2_000,
};

/// The budget of a live run. It stops the run before the money is spent, not after.
pub(super) struct Budget {
    prices: Prices,
    /// The model of each tier.
    models: HashMap<String, String>,
    estimates: HashMap<TrialName, f64>,
    most_usd: Option<f64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spent: Spending,
    /// For the trials under way.
    reserved: f64,
    left_out: usize,
}

impl Budget {
    /// The budget of a live run. It puts the trials of cheap tiers first, and says what the run may cost.
    pub(super) fn of_run(
        options: &RunOptions,
        environment: &Environment,
        selected: &SelectedTrials,
        order: &mut [TrialName],
    ) -> anyhow::Result<Option<Self>> {
        if !is_live(environment) {
            anyhow::ensure!(
                options.max_cost.is_none(),
                "`--max-cost` is for a live run, and a simulated one costs nothing: remove it"
            );
            return Ok(None);
        }
        let project = &selected.project;
        let Some(prices) = project.prices().map_err(broken_project)? else {
            anyhow::ensure!(
                options.max_cost.is_none(),
                "`--max-cost` needs the prices of `prices.yaml`, and there is no such file"
            );
            return Ok(None);
        };
        cheapest_first(order, &project.manifest, &prices);
        let applicable = project.applicable_trials();
        let names: Vec<TrialName> = order
            .iter()
            .filter(|name| applicable.contains(name))
            .cloned()
            .collect();
        let last = std::fs::read_to_string(&selected.results_path).ok();
        let last = last.and_then(|text| Results::parse(&text).ok());
        Self::new(prices, &project.manifest, &names, last.as_ref(), options.max_cost).map(Some)
    }

    /// `last` are the results of an earlier run, simulated or live. Fails if a limit is set and a price is missing.
    pub(super) fn new(
        prices: Prices,
        manifest: &Manifest,
        names: &[TrialName],
        last: Option<&Results>,
        most_usd: Option<f64>,
    ) -> anyhow::Result<Self> {
        let tiers = manifest.tiers.iter();
        let models: HashMap<String, String> = tiers
            .map(|tier| (tier.id.to_string(), tier.model.clone()))
            .collect();
        let earlier = last.into_iter().flat_map(|last| &last.results);
        let usages: HashMap<&TrialName, Usage> = earlier
            .filter(|trial| trial.usage != Usage::default())
            .map(|trial| (&trial.nodeid, trial.usage))
            .collect();
        let mut estimates = HashMap::new();
        for name in names {
            let model = models.get(name.tier.as_str()).map_or("", String::as_str);
            let usage = usages.get(name).copied().unwrap_or(UNKNOWN);
            match prices.cost(&name.cell.provider, model, usage) {
                Some(cost) => {
                    estimates.insert(name.clone(), cost);
                }
                None => anyhow::ensure!(
                    most_usd.is_none(),
                    "`prices.yaml` has no price of `{model}`, so `--max-cost` cannot be kept: add the model's price"
                ),
            }
        }
        Ok(Self {
            prices,
            models,
            estimates,
            most_usd,
            state: Mutex::default(),
        })
    }

    /// The estimate in words, a column each.
    pub(super) fn estimate(&self) -> String {
        let mut estimate = Spending::default();
        for (name, cost) in &self.estimates {
            estimate.add(&name.cell.provider, *cost);
        }
        format!(
            "estimate: {estimate}, for {} trials at the prices of {} ({})",
            self.estimates.len(),
            self.prices.as_of,
            self.prices.source
        )
    }

    /// Reserves what a trial may cost, with its retry. `false` if the budget may not last: the trial must not start.
    pub(super) fn reserve(&self, name: &TrialName) -> bool {
        let mut state = self.state.lock();
        let cost = self.reservation(name);
        let is_over = (self.most_usd).is_some_and(|most| state.spent.usd + state.reserved + cost > most);
        match is_over {
            true => state.left_out += 1,
            false => state.reserved += cost,
        }
        !is_over
    }

    /// Counts what a trial cost, and returns what the run has cost so far.
    pub(super) fn settle(&self, trial: &TrialRecord) -> Spending {
        let mut state = self.state.lock();
        state.reserved -= self.reservation(&trial.nodeid);
        state
            .spent
            .add(&trial.provider, self.cost(&trial.provider, trial));
        state.spent.clone()
    }

    fn reservation(&self, name: &TrialName) -> f64 {
        let estimate = self.estimates.get(name).copied().unwrap_or_default();
        estimate * ATTEMPTS as f64
    }

    /// By the table, else as Claude Code reports it.
    fn cost(&self, provider: &ProviderId, trial: &TrialRecord) -> f64 {
        let model = self.models.get(trial.tier.as_str()).map_or("", String::as_str);
        let cost = self.prices.cost(provider, model, trial.usage);
        cost.unwrap_or(trial.cost_usd)
    }

    /// What was spent, and which trials did not start.
    pub(super) fn reports(&self) -> Vec<String> {
        let state = self.state.lock();
        let mut lines = vec![format!("spent: {}", state.spent)];
        if let (Some(most), 1..) = (self.most_usd, state.left_out) {
            lines.push(format!(
                "the budget of US$ {most:.2} (`--max-cost`) ends here: {} trials did not start; `--rerun-failed` goes on with them",
                state.left_out
            ));
        }
        lines
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().left_out > 0
    }
}

/// The trials of cheap columns and tiers first: what is wrong with all of them then shows for little money.
fn cheapest_first(names: &mut [TrialName], manifest: &Manifest, prices: &Prices) {
    let models: BTreeMap<&str, &str> = (manifest.tiers.iter())
        .map(|tier| (tier.id.as_str(), tier.model.as_str()))
        .collect();
    names.sort_by_key(|name| {
        let model = models.get(name.tier.as_str()).copied().unwrap_or_default();
        let cost = prices.cost(&name.cell.provider, model, UNKNOWN);
        // The columns of a tier run side by side.
        let tier = prices.cost(&ProviderId::new("any"), model, UNKNOWN).or(cost);
        tier.map_or(u64::MAX, |cost| (cost * 1e6) as u64)
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::DateTime;

    use super::*;
    use crate::outcome::Outcome;

    const MANIFEST: &str = "schema_version: \"1\"\nproviders: [azure, anthropic]\nfeatures: [{ id: vision, name: Vision }]\n\
        tiers: [{ id: opus, name: Opus, model: dear }, { id: haiku, name: Haiku, model: cheap }]\n\
        aliases: { azure: \"{model}-a\", anthropic: \"{model}\" }\n";
    const PRICES: &str = "as_of: '2026-11-27'\nsource: https://example.com\nmodels:\n  cheap: { input: 1, cache_write: 1, \
        cache_read: 1, output: 1 }\n  dear: { input: 10, cache_write: 10, cache_read: 10, output: 10 }\n";

    fn names(texts: &[&str]) -> Vec<TrialName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn manifest() -> Manifest {
        Manifest::parse(Path::new("manifest.yaml"), MANIFEST.as_bytes()).unwrap()
    }

    fn prices() -> Prices {
        Prices::parse(Path::new("prices.yaml"), PRICES.as_bytes(), &[]).unwrap()
    }

    fn record(name: &TrialName, tokens: u64) -> TrialRecord {
        let mut record = TrialRecord::new(name, "m", &Outcome::Pass, DateTime::UNIX_EPOCH);
        record.usage.input_tokens = tokens;
        record
    }

    #[test]
    fn a_run_stops_before_its_budget_is_passed() {
        let names = names(&[
            "vision::azure::haiku",
            "vision::anthropic::haiku",
            "vision::azure::opus",
        ]);
        // Each trial counts as 123,000 tokens, twice: US$ 0.246 on haiku.
        let budget = Budget::new(prices(), &manifest(), &names, None, Some(0.4)).unwrap();
        assert!(budget.reserve(&names[0]));
        assert!(
            !budget.reserve(&names[1]),
            "the first may still cost twice its estimate"
        );
        let spent = budget.settle(&record(&names[0], 100_000));
        assert!((spent.usd - 0.1).abs() < 1e-9, "{spent}");
        assert!(budget.reserve(&names[1]));
        assert!(!budget.reserve(&names[2]));
        let reports = budget.reports().join("\n");
        assert!(
            reports.contains("spent: US$ 0.10 in all: azure 0.10"),
            "{reports}"
        );
        assert!(reports.contains("2 trials did not start"), "{reports}");
        assert!(budget.has_ended());
    }

    #[test]
    fn an_estimate_uses_the_tokens_of_the_last_run() {
        let names = names(&["vision::azure::haiku", "vision::azure::opus"]);
        let budget = Budget::new(prices(), &manifest(), &names, None, None).unwrap();
        assert!(
            budget
                .estimate()
                .starts_with("estimate: US$ 1.35 in all: azure 1.35, for 2 trials"),
            "{}",
            budget.estimate()
        );
        assert!(budget.reserve(&names[0]) && budget.reserve(&names[1]), "no limit");
        let unknown = PRICES.replace("cheap", "other");
        let unknown = Prices::parse(Path::new("prices.yaml"), unknown.as_bytes(), &[]).unwrap();
        let error = Budget::new(unknown, &manifest(), &names, None, Some(1.0))
            .err()
            .unwrap();
        assert!(error.to_string().contains("no price of `cheap`"), "{error}");
    }

    #[test]
    fn cheap_tiers_start_first() {
        let mut names = names(&[
            "vision::azure::opus",
            "vision::anthropic::haiku",
            "vision::anthropic::opus",
        ]);
        cheapest_first(&mut names, &manifest(), &prices());
        assert_eq!(names[0].tier.as_str(), "haiku");
        assert_eq!(names[1].cell.provider.as_str(), "azure", "else the order stays");
    }
}
