//! `exit`: the exit status of `claude`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::claude_side::{ending, last_sign_of_life, transcript_end};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::wire_diff::Part;

/// CLI side: the exit status of `claude`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(transparent)]
#[schemars(extend("examples" = [0]))]
pub struct ExitCheck(#[schemars(range(min = 0, max = 255))] pub i32);

impl Kind for ExitCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "A script that starts Claude Code gets a wrong exit status.";

    fn resolve(form: &Self, _: &mut Checker<'_>, _: &KeyPath) -> Option<Self> {
        Some(form.clone())
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

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(&[Part::Status, Part::Error, Part::Event], None)]
    }
}
