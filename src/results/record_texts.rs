//! The text of results that grow. A run writes its results after each trial: without this, a run of a thousand trials would turn
//! each record into text hundreds of times.

use std::collections::HashMap;

use super::file::{Results, TrialRecord};
use super::json;
use crate::ids::TrialName;

/// The texts of the records that were written before.
#[derive(Debug, Default)]
pub struct RecordTexts(HashMap<TrialName, String>);

impl RecordTexts {
    /// Forgets the text of the trial's record, which has changed.
    pub fn forget(&mut self, trial: &TrialName) {
        self.0.remove(trial);
    }

    /// The same text as [`Results::to_text`].
    pub fn of(&mut self, results: &Results) -> String {
        let frame = Results {
            schema_version: results.schema_version,
            run: results.run.clone(),
            findings: results.findings.clone(),
            results: Vec::new(),
        };
        const NO_RECORDS: &str = "[]\n}\n";
        let mut text = json::write(&frame);
        if results.results.is_empty() {
            return text;
        }
        // The records are the last field.
        text.truncate(text.len() - NO_RECORDS.len());
        let mut before = "[\n";
        for record in &results.results {
            let known = self.0.entry(record.nodeid.clone());
            text += before;
            text += known.or_insert_with(|| indented(record));
            before = ",\n";
        }
        text + "\n  ]\n}\n"
    }
}

/// The record two levels deep. A text in JSON has no line break of its own.
fn indented(record: &TrialRecord) -> String {
    format!("    {}", json::write(record).trim_end().replace('\n', "\n    "))
}
