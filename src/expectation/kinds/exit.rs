//! `exit`: the exit status of `claude`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Side};
use crate::document::KeyPath;
use crate::expectation::claude_side::{ending, last_sign_of_life, transcript_end};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::wire_diff::Part;

/// CLI side: the exit status of `claude`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("examples" = [0]))]
pub struct ExitForm(#[schemars(range(min = 0, max = 255))] i32);

#[derive(Clone, Debug, PartialEq)]
pub struct ExitCheck(pub i32);

impl Kind for ExitCheck {
    type Form = ExitForm;
    const SIDE: Side = Side::Client;

    fn resolve(form: &ExitForm, _: &mut Checker<'_>, _: &KeyPath) -> Option<Self> {
        Some(Self(form.0))
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let evidence = scene.evidence;
        if evidence.exit.code == Some(self.0) && evidence.exit.killed.is_none() {
            return Ruling::Judged(Vec::new());
        }
        Ruling::Judged(vec![Deviation {
            summary: ending(evidence),
            expected: format!("exit status {}", self.0),
            actual: last_sign_of_life(evidence),
            evidence: transcript_end(evidence),
        }])
    }

    fn interest(&self) -> Interest {
        Interest::reply(&[Part::Status, Part::Error, Part::Event], None)
    }
}
