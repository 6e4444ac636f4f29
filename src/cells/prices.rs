//! What the models cost: `prices.yaml`, a dated table with its source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use chrono::NaiveDate;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Diagnostic, Form, KeyPath, Reader, yaml};
use crate::ids::ProviderId;
use crate::text::listed;
use crate::wire::{Usage, model};

/// `prices.yaml`.
pub static FORM: LazyLock<Form> = LazyLock::new(Form::of::<PricesForm>);

/// What the models cost, in US dollars for a million tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-matrix prices")]
pub struct PricesForm {
    /// The day on which the prices were read.
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"), extend("examples" = ["2026-11-27"]))]
    pub as_of: String,
    /// The address of the price list.
    #[schemars(regex(pattern = "^https://"), extend("examples" = ["https://platform.claude.com/docs/en/about-claude/pricing"]))]
    pub source: String,
    /// The prices of each model of the manifest's tiers.
    pub models: IndexMap<String, PriceForm>,
    /// By how much a provider's price differs from the table's: `1.1` is ten percent more.
    #[serde(default)]
    pub factors: BTreeMap<String, f64>,
}

/// The prices of a model.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceForm {
    /// Prompt tokens outside of the cache.
    #[schemars(range(min = 0))]
    pub input: f64,
    /// Prompt tokens written to the cache for five minutes.
    #[schemars(range(min = 0))]
    pub cache_write: f64,
    /// Prompt tokens read from the cache.
    #[schemars(range(min = 0))]
    pub cache_read: f64,
    /// Tokens of answers.
    #[schemars(range(min = 0))]
    pub output: f64,
    /// By how much a request with a prompt of more than 100,000 tokens costs more.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub long_prompt_factor: Option<f64>,
}

/// The least price in US dollars for a million tokens. A lower one is rather the price of one token.
const LEAST: f64 = 0.001;

/// A prompt of more tokens has another price, where a model has two.
const LONG_PROMPT: u64 = 100_000;

/// The price table.
#[derive(Clone, Debug)]
pub struct Prices {
    pub as_of: String,
    pub source: String,
    /// A note for each model of `models` without a price. A run may go on without it.
    pub missing: Vec<Diagnostic>,
    models: IndexMap<String, PriceForm>,
    factors: BTreeMap<String, f64>,
}

impl Prices {
    /// Reads the table from the bytes of `file`. `models` are those of the manifest. No price was read after `today`.
    pub fn parse(
        file: &Path,
        bytes: &[u8],
        providers: &[ProviderId],
        models: &[&str],
        today: NaiveDate,
    ) -> Result<Self, Vec<Diagnostic>> {
        let node = yaml::parse(file, bytes)?;
        let (form_errors, read) = FORM.read::<PricesForm>(&node);
        let Some((form, repaired)) = read else {
            return Err(form_errors);
        };
        let mut reader = Reader::new(&repaired.node);
        reader.diagnostics = form_errors;
        let (day, at) = (&form.as_of, KeyPath::of("as_of"));
        match NaiveDate::parse_from_str(day, "%Y-%m-%d") {
            _ if repaired.is_damaged(&["as_of"]) => {}
            Err(_) => {
                let error = reader.at(&at, format!("`{day}` is no day"));
                reader.report(error.allowed("a day of the calendar, such as `2026-11-27`"));
            }
            Ok(read) if read > today => {
                let error = reader.at(&at, format!("`{day}` is in the future"));
                reader.report(error.allowed("the day on which the prices were read"));
            }
            Ok(_) => {}
        }
        for (name, price) in &form.models {
            let path = KeyPath::of("models").then(name);
            if !models.contains(&name.as_str()) && model::find(name).is_none() {
                let error = reader.at_key(&path, format!("there is no model `{name}`"));
                let error = error.allowed(listed(models.iter().copied()));
                reader.report(error.did_you_mean(name, models.iter().copied()));
            }
            let parts = [
                ("input", price.input),
                ("cache_write", price.cache_write),
                ("cache_read", price.cache_read),
                ("output", price.output),
            ];
            for (part, dollars) in parts.into_iter().filter(|(_, dollars)| *dollars < LEAST) {
                let error = reader.at(
                    &path.then(part),
                    format!("`{part}` of `{name}` costs {dollars}, almost nothing"),
                );
                reader.report(error.allowed(format!("US dollars for a million tokens, at least {LEAST}")));
            }
            let input = price.input;
            for (part, is_wrong, allowed) in [
                (
                    "cache_write",
                    price.cache_write < input,
                    "at least the price of `input`",
                ),
                (
                    "cache_read",
                    price.cache_read > input,
                    "at most the price of `input`",
                ),
                ("output", price.output < input, "at least the price of `input`"),
            ] {
                if is_wrong {
                    let text = format!("`{part}` of `{name}` does not fit to `input`, which costs {input}");
                    reader.report(reader.at(&path.then(part), text).allowed(allowed));
                }
            }
        }
        for (name, factor) in &form.factors {
            let path = KeyPath::of("factors").then(name);
            if !providers.iter().any(|provider| provider.as_str() == name) {
                let error = reader.at_key(&path, format!("the manifest has no provider `{name}`"));
                reader.report(error);
            }
            if !(0.1..=10.0).contains(factor) {
                let error = reader.at(&path, format!("`{factor}` is no factor of a price"));
                reader.report(error.allowed("a number from 0.1 to 10"));
            }
        }
        let tiers: BTreeSet<&str> = models.iter().copied().collect();
        let unpriced = tiers.into_iter().filter(|name| !form.models.contains_key(*name));
        let missing = unpriced.map(|name| {
            let text = format!("there is no price of `{name}`, the model of a tier");
            let error = reader.at_key(&KeyPath::of("models"), text);
            let form = format!(
                "`{name}: {{ input: …, cache_write: …, cache_read: …, output: … }}`, in US dollars for a million tokens"
            );
            error.allowed(form).note()
        });
        let missing = missing.collect();
        match reader.diagnostics.is_empty() {
            true => Ok(Self {
                missing,
                as_of: form.as_of,
                source: form.source,
                models: form.models,
                factors: form.factors,
            }),
            false => Err(reader.diagnostics),
        }
    }

    /// What the tokens of a trial cost, in US dollars; `None` if the table lacks the model. If the trial's prompts may contain a
    /// long one, all tokens have the price of long prompts.
    pub fn cost(&self, provider: &ProviderId, model: &str, usage: Usage) -> Option<f64> {
        let price = self.models.get(model)?;
        let prompt = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
        let long = price.long_prompt_factor.filter(|_| prompt > LONG_PROMPT);
        let factor = self.factors.get(provider.as_str()).unwrap_or(&1.0) * long.unwrap_or(1.0);
        let parts = [
            (usage.input_tokens, price.input),
            (usage.cache_creation_input_tokens, price.cache_write),
            (usage.cache_read_input_tokens, price.cache_read),
            (usage.output_tokens, price.output),
        ];
        let sum: f64 = parts.iter().map(|(tokens, price)| *tokens as f64 * price).sum();
        Some(sum * factor / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "as_of: '2026-11-27'\nsource: https://example.com\nmodels:\n  m: { input: 1, cache_write: 1.25, \
                         cache_read: 0.1, output: 5, long_prompt_factor: 5 }\nfactors: { azure: 1.1 }\n";

    fn parse(text: &str) -> Result<Prices, Vec<Diagnostic>> {
        Prices::parse(
            Path::new("prices.yaml"),
            text.as_bytes(),
            &[ProviderId::new("azure")],
            &["m"],
            NaiveDate::from_ymd_opt(2026, 11, 28).unwrap(),
        )
    }

    #[test]
    fn the_parts_of_the_usage_have_their_own_prices() {
        let prices = parse(TABLE).unwrap();
        let usage = Usage {
            input_tokens: 10_000,
            cache_creation_input_tokens: 40_000,
            cache_read_input_tokens: 50_000,
            output_tokens: 1_000,
        };
        let cost = |provider: &str, usage| prices.cost(&ProviderId::new(provider), "m", usage).unwrap();
        assert!((cost("anthropic", usage) - 0.07).abs() < 1e-9);
        assert!((cost("azure", usage) - 0.077).abs() < 1e-9);
        let long = Usage {
            input_tokens: 10_001,
            ..usage
        };
        assert!(cost("anthropic", long) > 0.34);
        assert_eq!(prices.cost(&ProviderId::new("azure"), "other", usage), None);
    }

    #[test]
    fn a_wrong_key_hides_no_other_error() {
        let text = TABLE.replace("factors: {", "  n: { inputs: 1 }\nfactors: { azur: 1,");
        let errors = parse(&text).unwrap_err();
        let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        assert!(messages.contains(&"unknown key `inputs`"), "{messages:?}");
        assert!(
            messages.contains(&"the manifest has no provider `azur`"),
            "{messages:?}"
        );
    }

    #[test]
    fn a_wrong_table_names_its_line() {
        for (wrong, right, said) in [
            ("-1", "input: 1,", "input"),
            (
                "factors: { azur: 1.1 }",
                "factors: { azure: 1.1 }",
                "no provider `azur`",
            ),
            (
                "factors: { azure: 99 }",
                "factors: { azure: 1.1 }",
                "is no factor",
            ),
            ("as_of: today", "as_of: '2026-11-27'", "as_of"),
            ("'2026-99-99'", "'2026-11-27'", "`2026-99-99` is no day"),
            ("'2026-11-29'", "'2026-11-27'", "`2026-11-29` is in the future"),
            ("input: 0.000001,", "input: 1,", "almost nothing"),
            (
                "cache_read: 10,",
                "cache_read: 0.1,",
                "`cache_read` of `m` does not fit",
            ),
            (
                "cache_write: 0.5,",
                "cache_write: 1.25,",
                "`cache_write` of `m` does not fit",
            ),
            ("output: 0.5,", "output: 5,", "`output` of `m` does not fit"),
            ("  mm: {", "  m: {", "did you mean `m`?"),
            (
                "output: 0,",
                "output: 5,",
                "`output` of `m` costs 0, almost nothing",
            ),
            ("inputs: 1,", "input: 1,", "input"),
        ] {
            let wrong = if wrong == "-1" { "input: -1," } else { wrong };
            let errors = parse(&TABLE.replace(right, wrong)).unwrap_err();
            let shown = format!("{errors:?}");
            assert!(shown.contains(said), "{wrong}: {shown}");
            assert!(errors[0].place.line > 0, "{wrong}");
        }
    }
}
