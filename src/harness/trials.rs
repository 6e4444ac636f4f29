//! The trials as tests of libtest-mimic.

use std::io::{ErrorKind, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use libtest_mimic::{Completion, Failed, Trial};

use crate::ids::TrialName;
use crate::progress::output::NotApplicable;
use crate::run::{MatrixRun, TrialEnd};

/// The tests of a run, and `excluded` more that libtest-mimic only counts.
pub(super) fn tests(
    run: &Arc<MatrixRun>,
    excluded: usize,
    not_applicable: &Arc<NotApplicable>,
) -> Vec<Trial> {
    let selected = run.trials().iter().cloned().enumerate().map(|(rank, name)| {
        let (run, title) = (Arc::clone(run), name.to_string());
        let not_applicable = Arc::clone(not_applicable);
        let test = move || {
            let end = run.trial(&name, rank);
            if let TrialEnd::NotApplicable(reason) = &end {
                not_applicable.add(&name, reason);
            }
            completion(end)
        };
        Trial::ignorable_test(title, test).with_ignored_flag(true)
    });
    selected.chain(filtered_out(excluded)).collect()
}

/// Tests that libtest-mimic counts as filtered out.
pub(super) fn filtered_out(count: usize) -> impl Iterator<Item = Trial> {
    (0..count).map(|_| Trial::test("filtered out", || Ok(())))
}

fn completion(end: TrialEnd) -> Result<Completion, Failed> {
    use TrialEnd::{Failed as Red, Known, NotApplicable, NotStarted, Passed};
    match end {
        Passed => Ok(Completion::Completed),
        NotApplicable(why) | Known(why) | NotStarted(why) => Ok(Completion::ignored_with(why)),
        Red(report) => Err(Failed::from(report)),
    }
}

/// Lists the trials as libtest does. libtest-mimic would panic when stdout is closed.
pub(super) fn list(names: &[TrialName], logfile: Option<&str>) -> anyhow::Result<()> {
    let lines: String = names.iter().map(|name| format!("{name}: test\n")).collect();
    let written = match logfile {
        Some(file) => std::fs::write(file, lines),
        None => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush())
        }
    };
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the list of trials"),
    }
}
