//! The trials as tests of libtest-mimic.

use std::io::{ErrorKind, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use anyhow::Context as _;
use compat_matrix::ids::TrialName;
use compat_matrix::run::{MatrixRun, TrialEnd};
use libtest_mimic::{Completion, Failed, Trial};

/// The tests of a run, and `excluded` more that libtest-mimic only counts.
pub fn tests(run: &Arc<MatrixRun>, excluded: usize) -> Vec<Trial> {
    let selected = run.trials().iter().cloned().enumerate().map(|(rank, name)| {
        let (run, title) = (Arc::clone(run), name.to_string());
        let test = move || completion(run.trial(&name, rank));
        Trial::ignorable_test(title, test).with_ignored_flag(true)
    });
    selected.chain(filtered_out(excluded)).collect()
}

/// Tests that libtest-mimic counts as filtered out.
pub fn filtered_out(count: usize) -> impl Iterator<Item = Trial> {
    (0..count).map(|_| Trial::test("filtered out", || Ok(())))
}

fn completion(end: TrialEnd) -> Result<Completion, Failed> {
    match end {
        TrialEnd::Passed => Ok(Completion::Completed),
        TrialEnd::Ignored(reason) => Ok(Completion::ignored_with(reason)),
        TrialEnd::Failed(report) => Err(Failed::from(report)),
    }
}

/// Lists the trials as libtest does. libtest-mimic would panic when stdout is closed.
pub fn list(names: &[TrialName], logfile: Option<&str>) -> anyhow::Result<()> {
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

/// Returns `None` if stdout was closed, as by `head`, or is full. libtest-mimic panics then: with one thread at once, with more threads
/// after all trials. That panic is not printed.
pub fn until_stdout_closes<T>(run: impl FnOnce() -> T) -> Option<T> {
    fn is_closed(text: Option<&str>) -> bool {
        text.is_some_and(|text| text.contains("BrokenPipe") || text.contains("StorageFull"))
    }
    let printing = std::thread::current().id();
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != printing || !is_closed(info.payload_as_str()) {
            default(info);
        }
    }));
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => Some(done),
        Err(payload) if is_closed(payload.downcast_ref::<String>().map(String::as_str)) => None,
        Err(payload) => panic::resume_unwind(payload),
    }
}
