//! `todo`: an expectation that is not written yet.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Side};
use crate::document::KeyPath;
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};

/// What is still to be written. It never holds, so a cell cannot be green before it says what must hold. `compat new
/// feature` begins every row with one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("examples" = ["say what the reply must quote"]))]
pub struct TodoForm(#[schemars(length(min = 1))] String);

#[derive(Clone, Debug, PartialEq)]
pub struct TodoCheck(pub String);

impl Kind for TodoCheck {
    type Form = TodoForm;
    const SIDE: Side = Side::Client;

    fn resolve(form: &TodoForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        if form.0.trim().is_empty() {
            checker.fault(path, "the text is empty");
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

    fn interest(&self) -> Interest {
        Interest::reply(&[], None)
    }
}
