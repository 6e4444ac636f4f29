//! What the trials of each model cost, by the price table and as Claude Code reports it.

use std::collections::BTreeMap;

/// The largest factor between both sums that is no error. The price of a one-hour cache explains most of it.
const DIFFERENCE: f64 = 1.5;

/// Sums that differ by less, in US dollars, are too small to compare.
const CENT: f64 = 0.01;

#[derive(Default)]
pub(super) struct CostsByModel(BTreeMap<String, TwoCosts>);

/// US dollars.
#[derive(Clone, Copy, Default)]
struct TwoCosts {
    table: f64,
    claude: f64,
}

impl TwoCosts {
    fn differ(self) -> bool {
        let is_factor = self.claude > self.table * DIFFERENCE || self.table > self.claude * DIFFERENCE;
        is_factor && (self.claude - self.table).abs() >= CENT
    }
}

impl CostsByModel {
    /// Adds what a trial cost. It counts if both know its cost.
    pub(super) fn add(&mut self, model: &str, table: f64, claude: f64) {
        if table > 0.0 && claude > 0.0 {
            let costs = self.0.entry(model.to_owned()).or_default();
            costs.table += table;
            costs.claude += claude;
        }
    }

    fn differing(&self) -> impl Iterator<Item = (&String, &TwoCosts)> {
        self.0.iter().filter(|(_, costs)| costs.differ())
    }

    /// By how much Claude Code's sums are larger than the table's, for the models on which they do not agree.
    pub(super) fn missing_usd(&self) -> f64 {
        let more = self.differing().map(|(_, costs)| costs.claude - costs.table);
        more.map(|more| more.max(0.0)).sum()
    }

    /// A line for each model on which they do not agree.
    pub(super) fn reports(&self) -> impl Iterator<Item = String> {
        self.differing().map(|(model, costs)| {
            format!(
                "the trials of `{model}` cost US$ {:.2} by `prices.yaml`, and US$ {:.2} as Claude Code reports: compare the table with \
                 its source. `--max-cost` counts the larger sum",
                costs.table, costs.claude
            )
        })
    }
}
