//! The rules for CI logs: data, in order; the first that matches decides, and within a rule the last line.
//!
//! The order answers these questions:
//!
//! - Did the CI service refuse the configuration? Then no job ran.
//! - Did a test worker die? Then the named test is a victim.
//! - Did the machine fail? Then no test is at fault.
//! - Did a check, a compiler or an installer name the fault?
//! - What does the provider say? Its words outrank the status that carries them.
//! - Who refused whom: a missing secret, a failed sign-in, the own application?
//! - Do parallel tests share something? Was a deadline missed?
//! - Did an assertion fail? Then the code is the best guess.
//!
//! The words come from the tools' own sources and from public issue threads; each example has the form of such a line.

use std::sync::LazyLock;

use super::FailureCategory;
use crate::phrases::PhraseMatcher;

/// A phrase in a line that reads like an error. Such words are in many green lines too.
macro_rules! in_error {
    ($phrase:literal) => {
        concat!(
            r"^(?:\s*(?:E\s|Error|error|fatal|panic|FAIL|raise |assert|npm err)|.{0,60}(?:error|exception|failed|failure|✗|×|❌|✖|●)).{0,240}?(?:",
            $phrase,
            ")"
        )
    };
}

mod assertions;
mod checks;
mod connections;
mod credentials;
mod dependencies;
mod machines;
mod parallel;
mod pipeline;
mod providers;
mod timing;

pub(super) use crate::cause::rules::{GUESS, LIKELY, PLAUSIBLE, SURE};
pub(super) use providers::provider_words;

#[derive(Debug)]
pub struct LogRule {
    /// Unique, for reports and tests.
    pub name: &'static str,
    pub category: FailureCategory,
    /// The share of such verdicts expected to be right, from 0 to 1.
    pub confidence: f64,
    /// One of these is in a line.
    says: &'static [&'static str],
    /// None of these is in the same line.
    unless: &'static [&'static str],
    /// One of these is anywhere in the log; empty for no condition.
    with: &'static [&'static str],
    /// Whether it concerns a whole job: all failed tests of the job then have this cause.
    pub is_whole_job: bool,
    /// Whether the line only shows where the failure is: output that pytest captured may know why.
    pub(super) is_weak: bool,
    /// What the line means.
    pub why: &'static str,
    action: Option<&'static str>,
    rerun_helps: Option<bool>,
    /// A line that this rule matches and no earlier rule does.
    #[cfg(test)]
    example: &'static str,
    /// A similar line in a green log.
    #[cfg(test)]
    green: &'static str,
}

const fn rule(name: &'static str, category: FailureCategory, confidence: f64) -> LogRule {
    LogRule {
        name,
        category,
        confidence,
        says: &[],
        unless: &[],
        with: &[],
        is_whole_job: false,
        is_weak: false,
        why: "",
        action: None,
        rerun_helps: None,
        #[cfg(test)]
        example: "",
        #[cfg(test)]
        green: "",
    }
}

#[cfg_attr(
    not(test),
    expect(unused_variables, reason = "only the tests read the examples")
)]
impl LogRule {
    const fn says(self, says: &'static [&'static str]) -> Self {
        Self { says, ..self }
    }

    const fn unless(self, unless: &'static [&'static str]) -> Self {
        Self { unless, ..self }
    }

    const fn with(self, with: &'static [&'static str]) -> Self {
        Self { with, ..self }
    }

    const fn whole_job(self) -> Self {
        Self {
            is_whole_job: true,
            ..self
        }
    }

    const fn weak(self) -> Self {
        Self {
            is_weak: true,
            ..self
        }
    }

    const fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    const fn do_this(self, action: &'static str) -> Self {
        Self {
            action: Some(action),
            ..self
        }
    }

    const fn rerun(self, helps: bool) -> Self {
        Self {
            rerun_helps: Some(helps),
            ..self
        }
    }

    const fn example(self, example: &'static str) -> Self {
        Self {
            #[cfg(test)]
            example,
            ..self
        }
    }

    const fn green(self, green: &'static str) -> Self {
        Self {
            #[cfg(test)]
            green,
            ..self
        }
    }
}

/// The order, here and in each file, is the precedence.
const RULES: &[&[LogRule]] = &[
    pipeline::RULES,
    parallel::WORKERS,
    machines::RULES,
    checks::RULES,
    dependencies::RULES,
    providers::RULES,
    credentials::RULES,
    parallel::SHARED,
    connections::RULES,
    timing::RULES,
    assertions::RULES,
];

/// A rule with its compiled phrases.
pub(super) struct CompiledRule {
    pub(super) rule: &'static LogRule,
    phrases: PhraseMatcher,
    with: PhraseMatcher,
}

impl CompiledRule {
    /// The last match in `text`, if the condition on the rest of the log holds.
    pub(super) fn find_last(&self, text: &str, whole: &str) -> Option<std::ops::Range<usize>> {
        let found = self.phrases.find_last(text)?;
        (self.rule.with.is_empty() || self.with.find(whole).is_some()).then_some(found)
    }
}

pub(super) static COMPILED: LazyLock<Vec<CompiledRule>> = LazyLock::new(|| {
    let rules = RULES.iter().copied().flatten();
    rules
        .map(|rule| CompiledRule {
            rule,
            phrases: PhraseMatcher::new(rule.says, rule.unless),
            with: PhraseMatcher::new(rule.with, &[]),
        })
        .collect()
});

impl LogRule {
    pub fn action(&self) -> &'static str {
        self.action.unwrap_or_else(|| self.category.action())
    }

    pub fn rerun_helps(&self) -> bool {
        self.rerun_helps.unwrap_or_else(|| self.category.rerun_helps())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::{CiLog, sort};

    fn all() -> impl Iterator<Item = &'static LogRule> {
        COMPILED.iter().map(|compiled| compiled.rule)
    }

    #[test]
    fn every_rule_decides_its_own_example() {
        let astray: Vec<_> = all()
            .map(|rule| {
                let log = CiLog::new(rule.example);
                let (plain, whole) = (log.plain().text, log.all().text);
                let mut first = COMPILED.iter();
                let found = first.find(|compiled| compiled.find_last(&plain, &whole).is_some());
                (rule.name, found.map_or("none", |compiled| compiled.rule.name))
            })
            .filter(|(expected, found)| expected != found)
            .collect();
        assert!(
            astray.is_empty(),
            "(rule, the rule that decided instead): {astray:#?}"
        );
    }

    #[test]
    fn no_rule_takes_a_green_line_for_a_failure() {
        let wrong: Vec<_> = all()
            .map(|rule| (rule.name, sort(&CiLog::new(rule.green)).rule))
            .filter(|(_, decided)| !decided.is_empty())
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_rule_is_complete_and_its_name_unique() {
        let mut names = std::collections::HashSet::new();
        for rule in all() {
            assert!(names.insert(rule.name), "{} twice", rule.name);
            assert!((0.0..=1.0).contains(&rule.confidence), "{}", rule.name);
            let texts = [rule.why, rule.example, rule.green];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", rule.name);
            assert!(
                !rule.action().is_empty() && !rule.says.is_empty(),
                "{}",
                rule.name
            );
        }
    }
}
