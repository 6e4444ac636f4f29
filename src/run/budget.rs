//! The money of a live run: what it may cost, what it has cost, and the end of the budget.

use std::collections::{BTreeMap, HashMap};

use parking_lot::{Condvar, Mutex};

use super::model_costs::CostsByModel;
use super::selected::is_live;
use super::status::NOT_JUDGED;
use super::trial::ATTEMPTS;
use super::{RunOptions, SelectedTrials};
use crate::cells::prices::Prices;
use crate::cells::{Manifest, Test};
use crate::env::Environment;
use crate::files::project::broken_project;
use crate::ids::{ProviderId, TrialName};
use crate::plan::Planned;
use crate::results::{Results, Spending, TrialRecord, TrialResult};
use crate::text::counted;
use crate::wire::Usage;
use crate::wire::script::PromptBlock;

/// The tokens of a trial of which no earlier run tells any: two requests with the system prompt and the tools of Claude Code
/// (measured with version 2.1.327: about 25,000 tokens).
const UNKNOWN: Usage = Usage {
    input_tokens: 1_000,
    cache_creation_input_tokens: 60_000,
    cache_read_input_tokens: 60_000,
    output_tokens: 2_000,
};

/// A token has about four bytes of English text (<https://platform.claude.com/docs/en/about-claude/glossary>).
const BYTES_OF_A_TOKEN: usize = 4;

/// [`UNKNOWN`], with the prompts and files of `test` in both requests, and with the requests of the harness itself.
fn unknown(test: &Test) -> Usage {
    let blocks = test.workspace.blocks(&test.prompts);
    let bytes: usize = blocks
        .map(|block| match block {
            PromptBlock::Text(text) => text.len(),
            PromptBlock::Image { bytes, .. } | PromptBlock::Document { bytes, .. } => bytes.len(),
        })
        .sum();
    let direct = test.direct.as_ref().map_or(0, |body| body.to_string().len());
    let tokens = |bytes: usize| (bytes / BYTES_OF_A_TOKEN) as u64;
    Usage {
        input_tokens: UNKNOWN.input_tokens + tokens(direct),
        cache_creation_input_tokens: UNKNOWN.cache_creation_input_tokens + tokens(bytes),
        cache_read_input_tokens: UNKNOWN.cache_read_input_tokens + tokens(bytes),
        ..UNKNOWN
    }
}

/// The budget of a live run. It stops the run before the money is spent, not after.
pub(super) struct Budget {
    /// `None` without a `prices.yaml`: then Claude Code's own numbers count.
    prices: Option<Prices>,
    /// The model of each tier.
    models: HashMap<String, String>,
    estimates: HashMap<TrialName, f64>,
    /// The models without a price, and how many trials each has.
    unpriced: BTreeMap<String, usize>,
    most_usd: Option<f64>,
    state: Mutex<State>,
    /// Wakes the trials that wait until others have settled.
    settled: Condvar,
}

#[derive(Default)]
struct State {
    spent: Spending,
    costs: CostsByModel,
    /// For each trial under way.
    reserved: HashMap<TrialName, f64>,
    left_out: usize,
    /// The failed trials that got no second attempt.
    unrepeated: usize,
}

impl State {
    /// What is spent. Of a model on which the table and Claude Code do not agree, the larger sum counts.
    fn spent_usd(&self) -> f64 {
        self.spent.usd + self.costs.missing_usd()
    }

    /// What is spent or reserved.
    fn bound(&self) -> f64 {
        self.spent_usd() + self.reserved.values().sum::<f64>()
    }
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
        let prices = project.prices().map_err(broken_project)?;
        anyhow::ensure!(
            prices.is_some() || options.max_cost.is_none(),
            "`--max-cost` needs the prices of `prices.yaml`, and there is no such file"
        );
        if let Some(prices) = &prices {
            cheapest_first(order, &project.manifest, prices);
        }
        let applicable = project.applicable_trials();
        let names: Vec<TrialName> = order
            .iter()
            .filter(|name| applicable.contains(name))
            .cloned()
            .collect();
        let last = std::fs::read_to_string(&selected.results_path).ok();
        let last = last.and_then(|text| Results::parse(&text).ok());
        let unknown = |name: &TrialName| match project.plan(None, name) {
            Planned::Run(planned) => unknown(planned.test()),
            Planned::Broken(_) | Planned::NotApplicable(_) => UNKNOWN,
        };
        let (manifest, most) = (&project.manifest, options.max_cost);
        let earlier = last.map_or_else(Vec::new, |last| last.results);
        Self::new(prices, manifest, &names, &earlier, unknown, most).map(Some)
    }

    /// `earlier` are the records of an earlier run, simulated or live; `unknown` is the usage of a trial without any. Fails if a limit is set and a price is missing.
    pub(super) fn new(
        prices: Option<Prices>,
        manifest: &Manifest,
        names: &[TrialName],
        earlier: &[TrialRecord],
        unknown: impl Fn(&TrialName) -> Usage,
        most_usd: Option<f64>,
    ) -> anyhow::Result<Self> {
        let tiers = manifest.tiers.iter();
        let models: HashMap<String, String> = tiers
            .map(|tier| (tier.id.to_string(), tier.model.clone()))
            .collect();
        let usages: HashMap<&TrialName, &TrialRecord> = earlier
            .iter()
            .filter(|trial| trial.usage != Usage::default())
            .map(|trial| (&trial.nodeid, trial))
            .collect();
        let (mut estimates, mut unpriced) = (HashMap::new(), BTreeMap::new());
        for name in names {
            let model = models.get(name.tier.as_str()).map_or("", String::as_str);
            let cost = |usage| {
                let prices = prices.as_ref()?;
                prices.cost(&name.cell.provider, model, usage)
            };
            let cost = match usages.get(name) {
                // A failed trial may have ended at its first request.
                Some(trial) if matches!(trial.result, TrialResult::Fail { .. }) => {
                    let costs = [cost(trial.usage), cost(unknown(name))];
                    costs.into_iter().flatten().reduce(f64::max)
                }
                Some(trial) => cost(trial.usage),
                None => cost(unknown(name)),
            };
            match cost {
                Some(cost) => {
                    estimates.insert(name.clone(), cost);
                }
                None => {
                    anyhow::ensure!(
                        most_usd.is_none(),
                        "`prices.yaml` has no price of `{model}`, so `--max-cost` cannot be kept: add the model's price"
                    );
                    *unpriced.entry(model.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(Self {
            prices,
            models,
            estimates,
            unpriced,
            most_usd,
            state: Mutex::default(),
            settled: Condvar::new(),
        })
    }

    /// The estimate in words, a column each.
    pub(super) fn estimate(&self) -> String {
        let Some(prices) = &self.prices else {
            return "estimate: none, because there is no `prices.yaml`; what is spent is then what Claude Code reports".to_owned();
        };
        let mut estimate = Spending::default();
        for (name, cost) in &self.estimates {
            estimate.add(&name.cell.provider, *cost);
        }
        let unpriced: String = (self.unpriced.iter())
            .map(|(model, trials)| {
                let trials = counted(*trials, "trial");
                format!("; without {trials} of `{model}`, of which `prices.yaml` has no price: add it")
            })
            .collect();
        format!(
            "estimate: {estimate}, for {} at the prices of {} ({}){unpriced}",
            counted(self.estimates.len(), "trial"),
            prices.as_of,
            prices.source
        )
    }

    /// Reserves what a trial may cost, with its retry. If the reservations of other trials leave too little, it waits until one
    /// of them settles; `waits` is called first. `false` if the budget does not last: the trial must not start.
    pub(super) fn reserve(&self, name: &TrialName, waits: impl Fn()) -> bool {
        let mut state = self.state.lock();
        let cost = self.reservation(name);
        while self.is_passed_by(state.bound() + cost) {
            if state.reserved.is_empty() || self.is_passed_by(state.spent_usd() + cost) {
                state.left_out += 1;
                return false;
            }
            waits();
            self.settled.wait(&mut state);
        }
        state.reserved.insert(name.clone(), cost);
        true
    }

    /// Whether the budget lasts for another attempt at a trial under way, which may cost as much as the one before. If it does, that is
    /// reserved.
    pub(super) fn affords_again(&self, trial: &TrialRecord) -> bool {
        let mut state = self.state.lock();
        let cost = self.cost(&trial.provider, trial);
        let estimate = self.estimates.get(&trial.nodeid).copied().unwrap_or_default();
        let own = state.reserved.get(&trial.nodeid).copied().unwrap_or_default();
        let needed = (cost + cost.max(estimate)).max(own);
        let affords = !self.is_passed_by(state.bound() - own + needed);
        match affords {
            true => drop(state.reserved.insert(trial.nodeid.clone(), needed)),
            false => state.unrepeated += 1,
        }
        affords
    }

    /// Counts what a trial cost, and adds it to `recorded`: the cost of this run, of its other processes, and of the run that
    /// it reruns.
    pub(super) fn settle(&self, trial: &TrialRecord, recorded: &mut Spending) {
        let mut state = self.state.lock();
        state.reserved.remove(&trial.nodeid);
        let cost = self.cost(&trial.provider, trial);
        state.costs.add(self.model(trial), cost, trial.cost_usd);
        state.spent.add(&trial.provider, cost);
        recorded.add(&trial.provider, cost);
        self.settled.notify_all();
    }

    /// Whether `usd` is more than the limit, if there is one.
    fn is_passed_by(&self, usd: f64) -> bool {
        self.most_usd.is_some_and(|most| usd > most)
    }

    fn reservation(&self, name: &TrialName) -> f64 {
        let estimate = self.estimates.get(name).copied().unwrap_or_default();
        estimate * ATTEMPTS as f64
    }

    /// The model of the trial's tier.
    fn model(&self, trial: &TrialRecord) -> &str {
        self.models.get(trial.tier.as_str()).map_or("", String::as_str)
    }

    /// By the table, else as Claude Code reports it.
    fn cost(&self, provider: &ProviderId, trial: &TrialRecord) -> f64 {
        let prices = self.prices.as_ref();
        let cost = prices.and_then(|prices| prices.cost(provider, self.model(trial), trial.usage));
        cost.unwrap_or(trial.cost_usd)
    }

    /// What was spent, and which trials did not start.
    pub(super) fn reports(&self) -> Vec<String> {
        let state = self.state.lock();
        let mut lines = vec![format!("spent: {}", state.spent)];
        lines.extend(state.costs.reports());
        if let Some(most) = self.most_usd.filter(|most| state.spent_usd() > *most) {
            let why = match state.costs.missing_usd() > 0.0 {
                true => "by the larger of the two sums",
                false => "because a trial cost more than its estimate",
            };
            lines.push(format!(
                "more than US$ {most:.2} (`--max-cost`) was spent, {why}, and no other trial started after it"
            ));
        }
        if let (Some(most), 1..) = (self.most_usd, state.left_out) {
            lines.push(format!(
                "the budget of US$ {most:.2} (`--max-cost`) ends here: {} did not start; `--rerun-failed` goes on",
                counted(state.left_out, "trial")
            ));
        }
        if let (Some(most), 1..) = (self.most_usd, state.unrepeated) {
            lines.push(format!(
                "the budget of US$ {most:.2} (`--max-cost`) did not last for a second attempt of {}",
                counted(state.unrepeated, "failed trial")
            ));
        }
        lines
    }

    fn has_ended(&self) -> bool {
        let state = self.state.lock();
        state.left_out + state.unrepeated > 0 || self.is_passed_by(state.spent_usd())
    }

    /// The exit status of a run that would end with `status`: no success if its budget ended it.
    pub(super) fn status(of_run: Option<&Self>, status: u8) -> u8 {
        match status {
            0 if of_run.is_some_and(Self::has_ended) => NOT_JUDGED,
            status => status,
        }
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
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use chrono::{DateTime, NaiveDate};

    use super::*;
    use crate::cells::manifest::ALL_SETS;
    use crate::env;
    use crate::outcome::Outcome;
    use crate::plan::selection::Axes;

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

    fn prices() -> Option<Prices> {
        let file = Path::new("prices.yaml");
        Prices::parse(file, PRICES.as_bytes(), &[], &["cheap", "dear"], NaiveDate::MAX).ok()
    }

    fn record(name: &TrialName, tokens: u64) -> TrialRecord {
        let mut record = TrialRecord::new(name, "m", &Outcome::Pass, DateTime::UNIX_EPOCH);
        record.usage.input_tokens = tokens;
        record
    }

    fn budget(names: &[TrialName], most: Option<f64>) -> Budget {
        Budget::new(prices(), &manifest(), names, &[], |_| UNKNOWN, most).unwrap()
    }

    #[test]
    fn a_run_stops_before_its_budget_is_passed() {
        let names = names(&[
            "vision::azure::haiku",
            "vision::anthropic::haiku",
            "vision::azure::opus",
        ]);
        // Each trial counts as 123,000 tokens, twice: US$ 0.246 on haiku.
        let budget = budget(&names, Some(0.4));
        assert!(budget.reserve(&names[0], || ()));
        let is_waiting = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The first may still cost twice its estimate.
            let second = scope.spawn(|| budget.reserve(&names[1], || is_waiting.store(true, Relaxed)));
            while !is_waiting.load(Relaxed) && !second.is_finished() {
                std::thread::yield_now();
            }
            assert!(!second.is_finished());
            let mut recorded = Spending::default();
            recorded.add(&ProviderId::new("anthropic"), 2.0);
            budget.settle(&record(&names[0], 100_000), &mut recorded);
            assert_eq!(
                recorded.to_string(),
                "US$ 2.10 in all: anthropic 2.00, azure 0.10",
                "an earlier run's money stays"
            );
            assert!(second.join().unwrap(), "it waited");
        });
        assert!(!budget.reserve(&names[2], || ()));
        let reports = budget.reports().join("\n");
        assert!(
            reports.contains("spent: US$ 0.10 in all: azure 0.10"),
            "{reports}"
        );
        assert!(reports.contains("1 trial did not start"), "{reports}");
        assert!(budget.has_ended());
    }

    #[test]
    fn a_second_attempt_needs_a_budget_too() {
        let names = names(&["vision::azure::haiku"]);
        let budget = budget(&names, Some(0.4));
        assert!(budget.reserve(&names[0], || ()));
        assert!(budget.affords_again(&record(&names[0], 200_000)));
        assert!((budget.state.lock().bound() - 0.4).abs() < 1e-9, "it is reserved");
        assert!(!budget.affords_again(&record(&names[0], 201_000)));
        budget.settle(&record(&names[0], 201_000), &mut Spending::default());
        assert!(budget.has_ended());
        let reports = budget.reports().join("\n");
        assert!(
            reports.contains("a second attempt of 1 failed trial"),
            "{reports}"
        );
    }

    #[test]
    fn a_run_that_spent_too_much_says_so() {
        let names = names(&["vision::azure::haiku"]);
        let budget = budget(&names, Some(0.4));
        assert!(budget.reserve(&names[0], || ()));
        assert!(!budget.has_ended());
        budget.settle(&record(&names[0], 500_000), &mut Spending::default());
        assert!(budget.has_ended());
        let reports = budget.reports().join("\n");
        assert!(reports.contains("more than US$ 0.40"), "{reports}");
    }

    #[test]
    fn an_estimate_uses_the_tokens_of_the_last_run() {
        let names = names(&["vision::azure::haiku", "vision::azure::opus"]);
        let estimate = |tokens: &[u64]| {
            let records = names.iter().zip(tokens);
            let earlier: Vec<TrialRecord> = records.map(|(name, tokens)| record(name, *tokens)).collect();
            let budget = Budget::new(prices(), &manifest(), &names, &earlier, |_| UNKNOWN, None);
            budget.unwrap().estimate()
        };
        let both = estimate(&[1_000_000, 1_000_000]);
        assert!(both.starts_with("estimate: US$ 11.00 in all"), "{both}");
        let one = estimate(&[1_000_000]);
        assert!(one.starts_with("estimate: US$ 2.23 in all"), "{one}");
        // The first request of a failed trial is not its whole cost.
        let of_failed = |tokens| {
            let mut failed = record(&names[0], tokens);
            failed.result = TrialResult::Fail { error: String::new() };
            let budget = Budget::new(prices(), &manifest(), &names[..1], &[failed], |_| UNKNOWN, None);
            budget.unwrap().estimate()
        };
        assert!(of_failed(10).starts_with("estimate: US$ 0.12 in all"));
        assert!(of_failed(1_000_000).starts_with("estimate: US$ 1.00 in all"));
    }

    #[test]
    fn the_larger_of_two_sums_counts_for_the_budget() {
        let names = names(&["vision::azure::haiku", "vision::azure::opus"]);
        for (claude, table_note) in [(0.1, false), (0.14, false), (0.3, true), (0.05, true)] {
            let budget = budget(&names, Some(0.25));
            let mut trial = record(&names[0], 100_000);
            trial.cost_usd = claude;
            budget.settle(&trial, &mut Spending::default());
            let reports = budget.reports().join("\n");
            assert!(reports.contains("spent: US$ 0.10 in all"), "{reports}");
            let note =
                format!("`cheap` cost US$ 0.10 by `prices.yaml`, and US$ {claude:.2} as Claude Code reports");
            assert_eq!(reports.contains(&note), table_note, "{claude}: {reports}");
            assert_eq!(budget.has_ended(), claude > 0.25, "{claude}");
        }
    }

    #[test]
    fn an_estimate_without_an_earlier_run_uses_a_usual_number() {
        let names = names(&["vision::azure::haiku", "vision::azure::opus"]);
        let budget = budget(&names, None);
        assert!(
            budget
                .estimate()
                .starts_with("estimate: US$ 1.35 in all: azure 1.35, for 2 trials"),
            "{}",
            budget.estimate()
        );
        assert!(
            budget.reserve(&names[0], || ()) && budget.reserve(&names[1], || ()),
            "no limit"
        );
        let unknown = PRICES.replace("cheap", "other");
        let unknown = Prices::parse(
            Path::new("prices.yaml"),
            unknown.as_bytes(),
            &[],
            &["other", "dear"],
            NaiveDate::MAX,
        )
        .ok();
        let estimate = Budget::new(unknown.clone(), &manifest(), &names, &[], |_| UNKNOWN, None);
        let estimate = estimate.unwrap().estimate();
        assert!(
            estimate.contains("; without 1 trial of `cheap`, of which `prices.yaml` has no price"),
            "{estimate}"
        );
        let error = Budget::new(unknown, &manifest(), &names, &[], |_| UNKNOWN, Some(1.0))
            .err()
            .unwrap();
        assert!(error.to_string().contains("no price of `cheap`"), "{error}");
    }

    /// What a live run of the trials of `axes` is estimated to cost, without earlier results.
    fn estimate_of(axes: Axes, root: &Path) -> f64 {
        let options = RunOptions {
            axes,
            max_cost: Some(1.0),
            ..RunOptions::default()
        };
        let variables = [
            (env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:9"),
            (env::COMPAT_RESULTS_PATH, "/nonexistent/results.json"),
        ];
        let environment = Environment::from_iter(variables);
        let selected = SelectedTrials::in_project(&options, &environment, root).unwrap();
        let mut order = selected.names.clone();
        let budget = Budget::of_run(&options, &environment, &selected, &mut order);
        budget.unwrap().unwrap().estimates.values().sum()
    }

    /// Trials under way reserve twice their cost, so a budget needs a margin.
    #[test]
    fn the_default_budgets_cover_a_run_without_earlier_results() {
        // Cargo runs tests in the package's folder.
        let root = Path::new(".");
        let number = |file: &str, before: &str| -> f64 {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let (_, after) = text
                .split_once(before)
                .unwrap_or_else(|| panic!("{file} has no `{before}`"));
            let end = after.find(|digit: char| !digit.is_ascii_digit());
            after[..end.unwrap_or(after.len())].parse().unwrap()
        };
        let whole = estimate_of(
            Axes {
                set: Some(ALL_SETS.to_owned()),
                ..Axes::default()
            },
            root,
        );
        for (file, before) in [
            (
                ".github/workflows/claude_code_compat_matrix.yml",
                "vars.COMPAT_MAX_COST || '",
            ),
            ("deploy/systemd/compat-matrix-run.service", "COMPAT_MAX_COST="),
        ] {
            let budget = number(file, before);
            assert!(budget >= 1.2 * whole, "{file}: US$ {budget} for US$ {whole:.2}");
        }
        let first_set = estimate_of(Axes::default(), root);
        let circleci = ".circleci/config.yml";
        let budget = number(circleci, "${COMPAT_MAX_COST:-")
            * number(
                circleci,
                "The number of containers that share the trials\n        type: integer\n        default: ",
            );
        assert!(
            budget >= 1.2 * first_set,
            "{circleci}: US$ {budget} for US$ {first_set:.2}"
        );
    }

    #[test]
    fn cheap_tiers_start_first() {
        let mut names = names(&[
            "vision::azure::opus",
            "vision::anthropic::haiku",
            "vision::anthropic::opus",
        ]);
        cheapest_first(&mut names, &manifest(), &prices().unwrap());
        assert_eq!(names[0].tier.as_str(), "haiku");
        assert_eq!(names[1].cell.provider.as_str(), "azure", "else the order stays");
    }
}
