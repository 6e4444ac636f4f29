//! Matchers for token counts.

use schemars::JsonSchema;
use serde::Deserialize;

use super::context::Checker;
use crate::document::KeyPath;

/// What a token count must be.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct CountMatcher {
    /// At least this.
    pub min: Option<u64>,
    /// At most this.
    pub max: Option<u64>,
    /// Exactly the provider's number. Not judged in a live run.
    pub as_provider: bool,
}

impl CountMatcher {
    /// Reports conditions that could never fail or never hold.
    pub(super) fn check(&self, checker: &mut Checker<'_>, path: &KeyPath) {
        let nothing_more = !self.as_provider && self.max.is_none();
        if nothing_more && self.min.is_none() {
            checker.no_condition(path, ["min", "max", "as_provider: true"]);
        } else if nothing_more && self.min == Some(0) {
            checker.reader.error(
                &path.then("min"),
                "a count is never less than 0, so this could never fail",
            );
        }
        if let (Some(least), Some(most)) = (self.min, self.max)
            && least > most
        {
            let message = format!("no count is both at least {least} and at most {most}");
            checker.reader.error(path, message);
        }
    }

    /// Whether a live run can judge it.
    pub(super) fn has_bounds(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    pub(super) fn is_within(&self, count: u64) -> bool {
        self.min.is_none_or(|least| count >= least) && self.max.is_none_or(|most| count <= most)
    }

    /// The conditions in words; `exact` is the provider's number where it counts.
    pub(super) fn in_words(&self, exact: Option<u64>) -> String {
        // A provider's number outside the bounds contradicts them, so it is not shown with them.
        let exact = exact.filter(|count| self.is_within(*count));
        let conditions = [
            self.min.map(|least| format!("at least {least}")),
            self.max.map(|most| format!("at most {most}")),
            exact.map(|wanted| format!("{wanted}, as the provider reported")),
        ];
        conditions.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
}
