//! The matrix under its mutants: a clean pass, then every mutant in the cells of its columns, all in one session and many at
//! once.
//!
//! It runs and counts; who caught what is for `mutant::score`, and what a trial is worth for `trial`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::evidence_files;
use crate::ids::{CellId, TierId, TrialName};
use crate::mutant::score::{self, CellRun, Judgeable, Scored, Vacuous};
use crate::mutant::{Mutant, MutantName};
use crate::outcome::{Failure, Outcome, TrialRecord, Verdict};
use crate::plan::{Planned, PlannedTrial};
use crate::relay::Mutation;
use crate::schedule::Line;
use crate::session::Session;
use crate::spec::cell::CellBody;
use crate::spec::proxy_config::ProxyConfig;
use crate::spec_files::Project;
use crate::trial::{self, Trial};
use crate::wire::exchange::{GatewayExchange, ProviderExchange};

/// Trials that are under way at once: each holds about 250 MB (measured with Claude Code 2.1.326), and most of them wait
/// for a slot to start in.
const UNDER_WAY: usize = 10;

pub struct Campaign<'a> {
    pub project: &'a Project,
    pub proxy_config: &'a ProxyConfig,
    /// The session; it has relays on both sides of the gateway.
    pub session: &'a Session,
    /// The tier of every mutant that names none.
    pub tier: TierId,
}

/// Is told how far a campaign has got.
pub trait Listener {
    /// So many trials will be run in all, as far as is known.
    fn begins(&self, trials: usize);
    fn trial(&self);
    fn mutant(&self, scored: &Scored);
}

/// A cell that is red without any mutant: it proves nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct NotClean {
    pub name: TrialName,
    pub failure: Failure,
}

#[derive(Clone, Debug)]
pub struct Conclusion {
    pub mutants: Vec<Scored>,
    pub vacuous: Vacuous,
    /// The trials that were run, the clean pass included.
    pub trials: usize,
}

/// A trial to run, with its mutant if it has one.
struct Job {
    name: TrialName,
    run: Box<PlannedTrial>,
    mutant: Option<usize>,
}

struct Done {
    job: Job,
    record: TrialRecord,
    touched: bool,
}

impl Campaign<'_> {
    /// Runs the clean pass, and if it is green every mutant.
    pub async fn run(
        &self,
        mutants: &[Arc<Mutant>],
        listener: &impl Listener,
    ) -> Result<Conclusion, Vec<NotClean>> {
        let every: Vec<Job> = mutants
            .iter()
            .enumerate()
            .flat_map(|(index, mutant)| self.jobs_under(index, mutant))
            .collect();
        let clean = self.clean(&every);
        let trials = clean.len();
        listener.begins(trials);
        let (judgeable, red) = self.control(clean, listener).await;
        if !red.is_empty() {
            return Err(red);
        }
        let jobs = self.worth_running(every, mutants);
        let trials = trials + jobs.len();
        listener.begins(trials);
        let mut runs: Vec<(Arc<Mutant>, Vec<CellRun>)> = mutants
            .iter()
            .map(|mutant| (Arc::clone(mutant), Vec::new()))
            .collect();
        let mut left: Vec<usize> = mutants.iter().map(|_| 0).collect();
        for job in &jobs {
            left[job.mutant.unwrap_or_default()] += 1;
        }
        // One that can change nothing anywhere is scored at once.
        let mut scored: Vec<Option<Scored>> = mutants
            .iter()
            .zip(&left)
            .map(|(mutant, left)| (*left == 0).then(|| score::score(mutant, &self.cells_under(mutant), &[])))
            .collect();
        let mut done = std::pin::pin!(self.all(jobs, mutants));
        while let Some(done) = done.next().await {
            listener.trial();
            let index = done.job.mutant.unwrap_or_default();
            runs[index].1.push(cell_run(&done));
            left[index] -= 1;
            if left[index] == 0 {
                let (mutant, cells) = &mut runs[index];
                cells.sort_by_key(|run| self.place(&run.cell));
                let result = score::score(mutant, &self.cells_under(mutant), cells);
                listener.mutant(&result);
                scored[index] = Some(result);
            }
        }
        Ok(Conclusion {
            mutants: scored.into_iter().flatten().collect(),
            vacuous: score::vacuous(&judgeable, &runs),
            trials,
        })
    }

    /// The place of a cell in the manifest's order.
    fn place(&self, cell: &CellId) -> (usize, usize) {
        let manifest = &self.project.manifest;
        let row = manifest
            .features
            .iter()
            .position(|feature| feature.id == cell.feature);
        let column = manifest
            .providers
            .iter()
            .position(|provider| *provider == cell.provider);
        (row.unwrap_or(usize::MAX), column.unwrap_or(usize::MAX))
    }

    fn jobs_under(&self, index: usize, mutant: &Mutant) -> Vec<Job> {
        let tier = mutant.tier.as_ref().unwrap_or(&self.tier);
        self.cells_under(mutant)
            .into_iter()
            .filter_map(|cell| self.job(cell.trial(tier), Some(index)))
            .collect()
    }

    /// The tests in the columns of a mutant.
    fn cells_under(&self, mutant: &Mutant) -> Vec<CellId> {
        let is_test = |cell: &CellId| {
            let read = self.project.cell(cell);
            !read.is_ok_and(|cell| matches!(cell.body, CellBody::NotApplicable(_)))
        };
        let mut cells = self.project.cells();
        cells.retain(|cell| mutant.providers.contains(&cell.provider) && is_test(cell));
        cells
    }

    fn job(&self, name: TrialName, mutant: Option<usize>) -> Option<Job> {
        match self.project.plan(Some(self.proxy_config), &name) {
            Planned::Run(run) => Some(Job { name, run, mutant }),
            Planned::Broken(_) | Planned::NotApplicable(_) => None,
        }
    }

    /// Every trial that some mutant is tried in, without it.
    fn clean(&self, jobs: &[Job]) -> Vec<Job> {
        let mut seen = HashSet::new();
        jobs.iter()
            .filter(|job| seen.insert(job.name.to_string()))
            .filter_map(|job| self.job(job.name.clone(), None))
            .collect()
    }

    /// The trials in which a mutant can change something, by what the clean pass left behind.
    fn worth_running(&self, jobs: Vec<Job>, mutants: &[Arc<Mutant>]) -> Vec<Job> {
        let mut left: HashMap<TrialName, (Vec<GatewayExchange>, Vec<ProviderExchange>)> = HashMap::new();
        jobs.into_iter()
            .filter(|job| {
                let (sent, exchanges) = left
                    .entry(job.name.clone())
                    .or_insert_with(|| self.exchanges(&job.name));
                // Without a record nothing is known.
                exchanges.is_empty()
                    || job
                        .mutant
                        .is_none_or(|index| mutants[index].can_touch(sent, exchanges))
            })
            .collect()
    }

    /// The exchanges of a trial in the clean pass; none if they cannot be read.
    fn exchanges(&self, name: &TrialName) -> (Vec<GatewayExchange>, Vec<ProviderExchange>) {
        let folder = self.project.root.join(evidence_files::folder(name, None));
        let evidence = evidence_files::read(&folder);
        evidence.map_or_else(|_| Default::default(), |read| (read.sent, read.exchanges))
    }

    async fn control(&self, jobs: Vec<Job>, listener: &impl Listener) -> (Vec<Judgeable>, Vec<NotClean>) {
        let mut judgeable = Vec::new();
        let mut red = Vec::new();
        let mut done = std::pin::pin!(self.all(jobs, &[]));
        while let Some(done) = done.next().await {
            listener.trial();
            judgeable.extend(self.judgeable(&done));
            if let Outcome::Fail(failure) = done.record.outcome {
                red.push(NotClean {
                    name: done.job.name,
                    failure,
                });
            }
        }
        red.sort_by_key(|one| self.place(&one.name.cell));
        (judgeable, red)
    }

    fn judgeable(&self, done: &Done) -> Vec<Judgeable> {
        let cell = &done.job.name.cell;
        let read = self.project.cell(cell).ok();
        let place = |name: &str| match &read.as_ref()?.body {
            CellBody::Test(test) => test
                .expectations
                .iter()
                .find(|one| one.name == name)
                .map(|one| one.place.clone()),
            CellBody::NotApplicable(_) => None,
        };
        done.record
            .judged
            .iter()
            .filter(|judged| judged.verdict == Verdict::Held)
            .map(|judged| Judgeable {
                cell: cell.clone(),
                place: place(&judged.name),
                name: judged.name.clone(),
            })
            .collect()
    }

    fn all<'a>(
        &'a self,
        jobs: Vec<Job>,
        mutants: &'a [Arc<Mutant>],
    ) -> impl futures_util::Stream<Item = Done> + 'a {
        let line = Line::default();
        stream::iter(jobs)
            .map(move |job| {
                let standing = line.stand(0);
                async move {
                    let mutation = job
                        .mutant
                        .map(|index| Arc::new(Mutation::new(Arc::clone(&mutants[index]))));
                    let trial = Trial {
                        name: &job.name,
                        test: job.run.test(),
                        alias: &job.run.alias,
                        root: &self.project.root,
                        standing: &standing,
                        mutation: mutation.as_ref(),
                    };
                    let record = trial::run(trial, self.session).await;
                    Done {
                        touched: mutation.is_some_and(|mutation| mutation.changes() > 0),
                        record,
                        job,
                    }
                }
            })
            .buffer_unordered(UNDER_WAY)
    }
}

fn cell_run(done: &Done) -> CellRun {
    let mut broken: Vec<String> = match &done.record.outcome {
        Outcome::Fail(failure) => failure
            .mismatches
            .iter()
            .map(|mismatch| mismatch.expectation.clone())
            .collect(),
        Outcome::Pass | Outcome::NotApplicable(_) => Vec::new(),
    };
    broken.dedup();
    CellRun {
        cell: done.job.name.cell.clone(),
        tier: done.job.name.tier.clone(),
        broken,
        touched: done.touched,
    }
}

/// The mutants that one of `filters` names: a class, a name, or a part of one; all if there are none.
pub fn selected(mutants: Vec<Arc<Mutant>>, filters: &[String], quick: bool) -> Vec<Arc<Mutant>> {
    let fits = |name: &MutantName| {
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| name.as_str().contains(filter.as_str()))
    };
    mutants
        .into_iter()
        .filter(|mutant| fits(&mutant.name) && (mutant.quick || !quick))
        .collect()
}
