//! `usage`: token counts that Claude Code reports.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::evidence::{Behind, Evidence};
use crate::expectation::claude_side::{claude_exchanges, transcript_end};
use crate::expectation::count::CountMatcher;
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene, trace};
use crate::wire::Usage;
use crate::wire_diff::Part;

/// CLI side: token counts that Claude Code reports.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 2, "counts": {"cache_read_input_tokens": {"min": 1, "as_provider": true}}}]))]
pub struct UsageForm {
    /// Of which answer, from 1; of the whole run if not given.
    #[schemars(range(min = 1))]
    turn: Option<usize>,
    /// What each count must be.
    counts: UsageCountsForm,
}

/// What each token count must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct UsageCountsForm {
    /// Prompt tokens that were neither written to nor read from the cache.
    input_tokens: Option<CountMatcher>,
    /// Prompt tokens written to the cache.
    cache_creation_input_tokens: Option<CountMatcher>,
    /// Prompt tokens read from the cache.
    cache_read_input_tokens: Option<CountMatcher>,
    /// Tokens of the answer.
    output_tokens: Option<CountMatcher>,
}

/// One of the counts of an answer's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageCount {
    Input,
    CacheCreation,
    CacheRead,
    Output,
}

impl UsageCount {
    fn name(self) -> &'static str {
        match self {
            Self::Input => "input_tokens",
            Self::CacheCreation => "cache_creation_input_tokens",
            Self::CacheRead => "cache_read_input_tokens",
            Self::Output => "output_tokens",
        }
    }

    fn of(self, usage: &Usage) -> u64 {
        match self {
            Self::Input => usage.input_tokens,
            Self::CacheCreation => usage.cache_creation_input_tokens,
            Self::CacheRead => usage.cache_read_input_tokens,
            Self::Output => usage.output_tokens,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct UsageCheck {
    /// Of which answer, from 1; `None` for the whole run.
    pub turn: Option<usize>,
    pub counts: Vec<(UsageCount, CountMatcher)>,
}

impl Kind for UsageCheck {
    type Form = UsageForm;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "Claude Code shows a wrong count of tokens, and so a wrong cost.";

    fn resolve(form: &UsageForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.answer_exists(&path.then("turn"), form.turn);
        let counts = &form.counts;
        let given = [
            (UsageCount::Input, &counts.input_tokens),
            (UsageCount::CacheCreation, &counts.cache_creation_input_tokens),
            (UsageCount::CacheRead, &counts.cache_read_input_tokens),
            (UsageCount::Output, &counts.output_tokens),
        ];
        let mut counts = Vec::new();
        for (count, matcher) in given {
            if let Some(matcher) = *matcher {
                matcher.check(checker, &path.then("counts").then(count.name()));
                counts.push((count, matcher));
            }
        }
        Some(Self {
            turn: form.turn,
            counts,
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let evidence = scene.evidence;
        let simulated = evidence.behind == Behind::Simulated;
        if !simulated && !self.counts.iter().any(|(_, matcher)| matcher.has_bounds()) {
            return Ruling::NotJudged;
        }
        let Some(reported) = self.reported(evidence) else {
            return Ruling::Judged(vec![self.no_usage(evidence)]);
        };
        let provided = simulated.then(|| self.provided(evidence));
        let mut deviations = Vec::new();
        for (count, matcher) in &self.counts {
            let found = count.of(&reported);
            let exact = provided
                .filter(|_| matcher.as_provider)
                .map(|usage| count.of(&usage));
            if !matcher.is_within(found) || exact.is_some_and(|wanted| wanted != found) {
                deviations.push(Deviation {
                    summary: self.summary(*count, matcher, exact),
                    expected: matcher.in_words(exact),
                    actual: found.to_string(),
                    evidence: transcript_end(evidence),
                });
            }
        }
        // Without the provider's numbers, `as_provider` was not compared: it did not hold, however good the bounds.
        let compared = provided.is_some() || !self.counts.iter().any(|(_, matcher)| matcher.as_provider);
        match deviations.is_empty() && !compared {
            true => Ruling::NotJudged,
            false => Ruling::Judged(deviations),
        }
    }

    fn interests(&self) -> Vec<Interest> {
        // How much the provider's cache holds depends on the beginning of the prompt.
        let of_cache = self.counts.iter().any(|(count, matcher)| {
            matches!(count, UsageCount::CacheCreation | UsageCount::CacheRead) && matcher.has_bounds()
        });
        let of_prefix = of_cache.then(|| Interest::request(&[Part::Prefix], self.turn));
        let of_reply = Interest::reply(&[Part::Usage], self.turn);
        std::iter::once(of_reply).chain(of_prefix).collect()
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        trace::held_as_answered(self, scene)
    }
}

impl UsageCheck {
    fn of_what(&self) -> String {
        self.turn
            .map_or("of the run".into(), |turn| format!("of answer {turn}"))
    }

    fn no_usage(&self, evidence: &Evidence) -> Deviation {
        let of_what = self.of_what();
        let answers = evidence.transcript.messages().len();
        Deviation {
            summary: format!("Claude Code reported no usage {of_what}"),
            expected: format!("token counts {of_what}"),
            actual: format!("{answers} answers in the transcript"),
            evidence: transcript_end(evidence),
        }
    }

    fn summary(&self, count: UsageCount, matcher: &CountMatcher, exact: Option<u64>) -> String {
        let summary = format!("`{}` {} does not match", count.name(), self.of_what());
        match exact.filter(|count| !matcher.is_within(*count)) {
            Some(count) => format!("{summary}: the provider itself reported {count}"),
            None => summary,
        }
    }

    fn reported(&self, evidence: &Evidence) -> Option<Usage> {
        match self.turn {
            None => Some(evidence.transcript.total_usage()),
            Some(turn) => evidence.transcript.messages().get(turn - 1)?.usage,
        }
    }

    fn provided(&self, evidence: &Evidence) -> Usage {
        let replies = claude_exchanges(evidence)
            .filter(|exchange| exchange.reply.status == 200)
            .map(|exchange| exchange.reply.usage);
        match self.turn {
            Some(turn) => replies.skip(turn - 1).take(1).sum(),
            None => replies.sum(),
        }
    }
}
