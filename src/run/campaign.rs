//! A campaign of mutants: a clean pass without mutants, then each mutant in the cells of its providers. All trials share one
//! session.
//!
//! It runs and counts. `mutant::score` decides which expectations caught a mutant.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::trial::TrialTask;
use crate::evidence_files;
use crate::ids::{CellId, TierId, TrialName};
use crate::mutant::score::{self, CellRun, Judgeable, Scored, Vacuous};
use crate::mutant::{Mutant, MutantName};
use crate::outcome::{Failure, Outcome, TrialRecord, Verdict};
use crate::plan::{Planned, PlannedTrial};
use crate::relay::Mutation;
use crate::session::Session;
use crate::session::schedule::Queue;
use crate::spec::cell::CellBody;
use crate::spec::proxy_config::ProxyConfig;
use crate::spec_files::Project;
use crate::wire::exchange::{GatewayExchange, ProviderExchange};

/// The most trials at once. Each takes about 250 MB (measured with Claude Code 2.1.326), and most wait for a slot.
const CONCURRENT: usize = 10;

pub struct Campaign<'a> {
    pub project: &'a Project,
    pub proxy_config: &'a ProxyConfig,
    /// It has relays on both sides of the gateway.
    pub session: &'a Session,
    /// The tier of the mutants that name none.
    pub tier: TierId,
}

/// Receives the progress of a campaign.
pub trait CampaignListener {
    /// The total number of trials changed.
    fn planned(&self, trials: usize);
    fn trial_finished(&self);
    fn mutant_scored(&self, scored: &Scored);
}

/// A trial that fails without a mutant, and so cannot catch one.
#[derive(Clone, Debug, PartialEq)]
pub struct NotClean {
    pub name: TrialName,
    pub failure: Failure,
}

#[derive(Clone, Debug)]
pub struct CampaignResult {
    pub mutants: Vec<Scored>,
    pub vacuous: Vacuous,
    /// The number of trials that ran, including the clean pass.
    pub trials: usize,
}

/// A trial to run.
struct Job {
    name: TrialName,
    plan: Box<PlannedTrial>,
    /// Its index in the list of mutants; `None` in the clean pass.
    mutant: Option<usize>,
}

struct FinishedJob {
    job: Job,
    record: TrialRecord,
    touched: bool,
}

impl Campaign<'_> {
    /// Runs the clean pass, and then every mutant if no trial failed.
    pub async fn run(
        &self,
        mutants: &[Arc<Mutant>],
        listener: &impl CampaignListener,
    ) -> Result<CampaignResult, Vec<NotClean>> {
        let every: Vec<Job> = mutants
            .iter()
            .enumerate()
            .flat_map(|(index, mutant)| self.jobs_under(index, mutant))
            .collect();
        let clean = self.clean(&every);
        let trials = clean.len();
        listener.planned(trials);
        let (judgeable, red) = self.control(clean, listener).await;
        if !red.is_empty() {
            return Err(red);
        }
        let jobs = self.effective(every, mutants);
        let trials = trials + jobs.len();
        listener.planned(trials);
        let mut runs: Vec<(Arc<Mutant>, Vec<CellRun>)> = mutants
            .iter()
            .map(|mutant| (Arc::clone(mutant), Vec::new()))
            .collect();
        let mut left: Vec<usize> = mutants.iter().map(|_| 0).collect();
        for job in &jobs {
            left[job.mutant.unwrap_or_default()] += 1;
        }
        // A mutant that cannot change anything is scored at once.
        let mut scored: Vec<Option<Scored>> = mutants
            .iter()
            .zip(&left)
            .map(|(mutant, left)| (*left == 0).then(|| score::score(mutant, &self.cells_under(mutant), &[])))
            .collect();
        let mut done = std::pin::pin!(self.all(jobs, mutants));
        while let Some(done) = done.next().await {
            listener.trial_finished();
            let index = done.job.mutant.unwrap_or_default();
            runs[index].1.push(cell_run(&done));
            left[index] -= 1;
            if left[index] == 0 {
                let (mutant, cells) = &mut runs[index];
                cells.sort_by_key(|run| self.position(&run.cell));
                let result = score::score(mutant, &self.cells_under(mutant), cells);
                listener.mutant_scored(&result);
                scored[index] = Some(result);
            }
        }
        Ok(CampaignResult {
            mutants: scored.into_iter().flatten().collect(),
            vacuous: score::vacuous(&judgeable, &runs),
            trials,
        })
    }

    /// The position of a cell in the manifest's order.
    fn position(&self, cell: &CellId) -> (usize, usize) {
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

    /// The cells of the mutant's providers that can run.
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
            Planned::Run(plan) => Some(Job { name, plan, mutant }),
            Planned::Broken(_) | Planned::NotApplicable(_) => None,
        }
    }

    /// Every trial of `jobs` once, without a mutant.
    fn clean(&self, jobs: &[Job]) -> Vec<Job> {
        let mut seen = HashSet::new();
        jobs.iter()
            .filter(|job| seen.insert(job.name.to_string()))
            .filter_map(|job| self.job(job.name.clone(), None))
            .collect()
    }

    /// The jobs whose mutant can change an exchange of the clean pass.
    fn effective(&self, jobs: Vec<Job>, mutants: &[Arc<Mutant>]) -> Vec<Job> {
        let mut recorded: HashMap<TrialName, (Vec<GatewayExchange>, Vec<ProviderExchange>)> = HashMap::new();
        jobs.into_iter()
            .filter(|job| {
                let (sent, exchanges) = recorded
                    .entry(job.name.clone())
                    .or_insert_with(|| self.exchanges(&job.name));
                // Without recorded exchanges, the job has to run.
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

    async fn control(
        &self,
        jobs: Vec<Job>,
        listener: &impl CampaignListener,
    ) -> (Vec<Judgeable>, Vec<NotClean>) {
        let mut judgeable = Vec::new();
        let mut red = Vec::new();
        let mut done = std::pin::pin!(self.all(jobs, &[]));
        while let Some(done) = done.next().await {
            listener.trial_finished();
            judgeable.extend(self.judgeable(&done));
            if let Outcome::Fail(failure) = done.record.outcome {
                red.push(NotClean {
                    name: done.job.name,
                    failure,
                });
            }
        }
        red.sort_by_key(|one| self.position(&one.name.cell));
        (judgeable, red)
    }

    fn judgeable(&self, done: &FinishedJob) -> Vec<Judgeable> {
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
    ) -> impl futures_util::Stream<Item = FinishedJob> + 'a {
        let queue = Queue::default();
        stream::iter(jobs)
            .map(move |job| {
                let ticket = queue.join(0);
                async move {
                    let mutation = job
                        .mutant
                        .map(|index| Arc::new(Mutation::new(Arc::clone(&mutants[index]))));
                    let task = TrialTask {
                        name: &job.name,
                        test: job.plan.test(),
                        alias: &job.plan.alias,
                        root: &self.project.root,
                        ticket: &ticket,
                        mutation: mutation.as_ref(),
                    };
                    let record = task.run(self.session).await;
                    FinishedJob {
                        touched: mutation.is_some_and(|mutation| mutation.changes() > 0),
                        record,
                        job,
                    }
                }
            })
            .buffer_unordered(CONCURRENT)
    }
}

fn cell_run(done: &FinishedJob) -> CellRun {
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

/// The mutants whose name contains one of `filters`; all if there are none.
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
