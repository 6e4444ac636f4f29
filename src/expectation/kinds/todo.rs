//! `todo`: an expectation that is not written yet.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};

/// What is still to be written. It never holds, so a cell cannot be green before it says what must hold. `compat new
/// feature` begins every row with one.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(transparent)]
#[schemars(extend("examples" = ["say what the reply must quote"]))]
pub struct TodoCheck(#[schemars(length(min = 1))] pub String);

impl Kind for TodoCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "Nothing is known, because the expectation is not written yet.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        if form.0.trim().is_empty() {
            checker.reader.error(path, "the text is empty");
        }
        Some(Self(form.0.trim().to_owned()))
    }

    fn judge(&self, _: &Scene<'_>) -> Ruling {
        Ruling::Judged(vec![Deviation {
            summary: format!("write me: {}", self.0),
            expected: "an expectation that its author has written".into(),
            actual: "a `todo`".into(),
            evidence: None,
        }])
    }

    fn interests(&self) -> Vec<Interest> {
        Vec::new()
    }
}
