//! `--fail-fast`: each column runs one tier first, and ends with its first failure.

use std::collections::HashMap;

use parking_lot::{Condvar, Mutex};

use crate::ids::{ProviderId, TierId, TrialName};

/// The columns of a run that end with their first failure.
pub(super) struct FailFast {
    columns: Mutex<HashMap<ProviderId, Column>>,
    /// Wakes the trials that wait for the first tier of their column.
    changed: Condvar,
}

struct Column {
    first: TierId,
    /// The trials on the first tier that have not ended.
    open: usize,
    failed: Option<TrialName>,
}

impl FailFast {
    /// The first tier of a column is that of its first trial in `order`, in a live run the cheapest. Its trials move before those of
    /// other tiers, so that a trial only waits for earlier ones.
    pub(super) fn of_run(order: &mut [TrialName]) -> Self {
        let mut columns: HashMap<ProviderId, Column> = HashMap::new();
        for name in order.iter() {
            let column = columns
                .entry(name.cell.provider.clone())
                .or_insert_with(|| Column {
                    first: name.tier.clone(),
                    open: 0,
                    failed: None,
                });
            column.open += usize::from(column.first == name.tier);
        }
        order.sort_by_key(|name| columns[&name.cell.provider].first != name.tier);
        Self {
            columns: Mutex::new(columns),
            changed: Condvar::new(),
        }
    }

    /// Waits until a trial may start; calls `waits` before. An error is the trial whose failure ended the column.
    pub(super) fn may_start(&self, name: &TrialName, waits: impl FnOnce()) -> Result<(), TrialName> {
        let mut waits = Some(waits);
        let mut columns = self.columns.lock();
        loop {
            let Some(column) = columns.get(&name.cell.provider) else {
                return Ok(());
            };
            if let Some(failed) = &column.failed {
                return Err(failed.clone());
            }
            if column.first == name.tier || column.open == 0 {
                return Ok(());
            }
            if let Some(waits) = waits.take() {
                waits();
            }
            self.changed.wait(&mut columns);
        }
    }

    /// A trial ended, or did not start.
    pub(super) fn ended(&self, name: &TrialName, failed: bool) {
        let mut columns = self.columns.lock();
        if let Some(column) = columns.get_mut(&name.cell.provider) {
            column.open = column.open.saturating_sub(usize::from(column.first == name.tier));
            if failed && column.failed.is_none() {
                column.failed = Some(name.clone());
            }
        }
        self.changed.notify_all();
    }

    /// A line for each column that ended early.
    pub(super) fn reports(&self) -> Vec<String> {
        let columns = self.columns.lock();
        let failed = columns.iter().filter_map(|(column, state)| {
            let failed = state.failed.as_ref()?;
            Some(format!(
                "fail-fast: {column} ended with the failure of {failed}; `--rerun-failed` goes on with its other trials"
            ))
        });
        let mut lines: Vec<String> = failed.collect();
        lines.sort();
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn names(texts: &[&str]) -> Vec<TrialName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn dear_tiers_wait_for_the_cheap_one_of_their_column() {
        let mut order = names(&[
            "a::azure::haiku",
            "a::azure::opus",
            "a::vertex::opus",
            "b::azure::haiku",
        ]);
        let fail_fast = FailFast::of_run(&mut order);
        assert_eq!(
            order,
            names(&[
                "a::azure::haiku",
                "a::vertex::opus",
                "b::azure::haiku",
                "a::azure::opus"
            ])
        );
        let (cheap, other, dear) = (&order[0], &order[2], &order[3]);
        let is_waiting = AtomicBool::new(false);
        std::thread::scope(|scope| {
            assert_eq!(fail_fast.may_start(cheap, || ()), Ok(()));
            let waiting = scope.spawn(|| fail_fast.may_start(dear, || is_waiting.store(true, Relaxed)));
            fail_fast.ended(cheap, false);
            while !is_waiting.load(Relaxed) {
                std::thread::yield_now();
            }
            assert!(!waiting.is_finished(), "one trial of the cheap tier is open");
            fail_fast.ended(other, false);
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
        assert_eq!(fail_fast.reports(), [""; 0]);
    }

    #[test]
    fn a_failure_ends_its_column_only() {
        let mut order = names(&["a::azure::haiku", "a::vertex::haiku", "a::azure::opus"]);
        let fail_fast = FailFast::of_run(&mut order);
        let failed = order[0].clone();
        fail_fast.ended(&failed, true);
        assert_eq!(fail_fast.may_start(&order[2], || ()), Err(failed));
        assert_eq!(fail_fast.may_start(&order[1], || ()), Ok(()));
        assert_eq!(fail_fast.reports().len(), 1);
    }
}
