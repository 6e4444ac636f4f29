//! The age of the published matrix, which shows whether the daily run still publishes.
//!
//! Pure.
#![warn(clippy::disallowed_methods)]

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::matrix::Matrix;
use crate::results::json::timestamp;
use crate::versions::age::Age;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    /// Whether it is younger than the limit.
    pub fresh: bool,
    #[serde(with = "timestamp")]
    pub generated_at: DateTime<Utc>,
    pub age_seconds: i64,
    pub max_age_seconds: i64,
    /// The tag of the LiteLLM release.
    pub litellm_version: String,
    pub claude_code_version: String,
}

impl Freshness {
    /// Measures `matrix` at `now`. A matrix from the future is not fresh: a clock is wrong.
    pub fn of(matrix: &Matrix, max_age: Age, now: DateTime<Utc>) -> Self {
        let age = now - matrix.generated_at;
        // The clocks of two machines always differ a little.
        let is_past = age.num_minutes() >= -10;
        Self {
            fresh: is_past && age <= max_age.0,
            generated_at: matrix.generated_at,
            age_seconds: age.num_seconds(),
            max_age_seconds: max_age.0.num_seconds(),
            litellm_version: matrix.litellm_version.clone(),
            claude_code_version: matrix.claude_code_version.clone(),
        }
    }

    pub fn to_line(&self) -> String {
        let age = Age(chrono::TimeDelta::seconds(self.age_seconds));
        let verdict = match (self.fresh, self.age_seconds < 0) {
            (true, _) => String::new(),
            (false, true) => "; it is from the future: a clock is wrong".into(),
            (false, false) => format!(
                "; older than {}: the daily run has not published since then",
                Age(chrono::TimeDelta::seconds(self.max_age_seconds))
            ),
        };
        format!(
            "the published matrix is {age} old ({}, LiteLLM {}, Claude Code {}){verdict}",
            timestamp::to_text(&self.generated_at),
            self.litellm_version,
            self.claude_code_version
        )
    }
}
