//! A campaign of mutants: a clean pass without mutants, then each mutant in the cells that it names, and in a few others. All
//! trials share one session.
//!
//! It runs and counts. `mutants::score` decides which expectations caught a mutant.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::choice::ChosenMutant;
use super::start::wanted_place;
use super::trial::TrialTask;
use crate::cells::ProxyConfig;
use crate::evidence::Evidence;
use crate::files::Project;
use crate::files::evidence_files;
use crate::findings::{KnownFindings, KnownForRun};
use crate::ids::{CellId, TierId, TrialName};
use crate::mutants::score::{self, CellReport, CellRun, Judgeable, Scored, Vacuous};
use crate::mutants::{Mutant, RowScore};
use crate::outcome::{Failure, Verdict};
use crate::plan::{Planned, PlannedTrial};
use crate::relay::Mutation;
use crate::report;
use crate::results::TrialRecord;
use crate::session::Session;
use crate::session::schedule::Queue;

/// The most trials at once. Each takes about 250 MB (measured with Claude Code 2.1.326), and most wait for a slot.
const CONCURRENT: usize = 10;

pub struct Campaign<'a> {
    pub project: &'a Project,
    pub proxy_config: &'a ProxyConfig,
    /// It has relays on both sides of the gateway.
    pub session: &'a Session,
    /// The tier of the mutants that name none.
    pub tier: TierId,
    /// What the gateway is known to break. It proves nothing about a mutant.
    pub known: &'a KnownFindings,
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
    pub rows: Vec<RowScore>,
    pub vacuous: Vacuous,
    /// The number of trials that ran, including the clean pass.
    pub trials: usize,
}

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
        chosen: &[ChosenMutant],
        listener: &impl CampaignListener,
    ) -> Result<CampaignResult, Vec<NotClean>> {
        let mutants: Vec<Arc<Mutant>> = chosen.iter().map(|one| Arc::clone(&one.mutant)).collect();
        let mutants = &mutants;
        let every = chosen.iter().enumerate();
        let every: Vec<Job> = every
            .flat_map(|(index, chosen)| self.jobs(index, chosen))
            .collect();
        let clean = self.clean(&every);
        let clean_trials = clean.len();
        listener.planned(clean_trials);
        let judgeable = self.clean_pass(clean, listener).await?;
        let jobs = self.effective(every, mutants);
        let trials = clean_trials + jobs.len();
        listener.planned(trials);
        let mut open = vec![0; mutants.len()];
        for index in jobs.iter().filter_map(|job| job.mutant) {
            open[index] += 1;
        }
        let mut runs: Vec<(Arc<Mutant>, Vec<CellRun>)> = mutants
            .iter()
            .map(|mutant| (Arc::clone(mutant), Vec::new()))
            .collect();
        let mut finished = std::pin::pin!(self.all(jobs, mutants));
        while let Some(finished) = finished.next().await {
            listener.trial_finished();
            let Some(index) = finished.job.mutant else {
                continue;
            };
            let (mutant, runs) = &mut runs[index];
            runs.push(finished.cell_run());
            open[index] -= 1;
            if open[index] == 0 {
                runs.sort_by_key(|run| self.position(&run.cell));
                listener.mutant_scored(&score::score(mutant, &chosen[index].cells, runs));
            }
        }
        let scored: Vec<Scored> = runs
            .iter()
            .zip(chosen)
            .map(|((mutant, runs), chosen)| score::score(mutant, &chosen.cells, runs))
            .collect();
        let rows = self.project.manifest.features.iter().map(|row| row.id.clone());
        Ok(CampaignResult {
            rows: RowScore::of_rows(rows, &scored),
            mutants: scored,
            vacuous: score::vacuous(&judgeable, &runs),
            trials,
        })
    }

    /// The position of a cell in the manifest's order.
    fn position(&self, cell: &CellId) -> Option<usize> {
        self.project.cells().iter().position(|other| other == cell)
    }

    fn jobs(&self, index: usize, chosen: &ChosenMutant) -> Vec<Job> {
        let tier = chosen.mutant.tier.as_ref().unwrap_or(&self.tier);
        let cells = chosen.cells.iter();
        cells
            .filter_map(|cell| self.job(cell.trial(tier), Some(index)))
            .collect()
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
            .filter(|job| seen.insert(&job.name))
            .filter_map(|job| self.job(job.name.clone(), None))
            .collect()
    }

    /// The jobs whose mutant can change an exchange of the clean pass.
    fn effective(&self, jobs: Vec<Job>, mutants: &[Arc<Mutant>]) -> Vec<Job> {
        let mut recorded: HashMap<TrialName, Option<Evidence>> = HashMap::new();
        jobs.into_iter()
            .filter(|job| {
                let evidence = recorded
                    .entry(job.name.clone())
                    .or_insert_with_key(|name| self.evidence(name));
                // Without recorded exchanges, the job has to run.
                match (evidence, job.mutant) {
                    (Some(evidence), Some(index)) if !evidence.exchanges.is_empty() => {
                        mutants[index].can_touch(&evidence.sent, &evidence.exchanges)
                    }
                    _ => true,
                }
            })
            .collect()
    }

    /// The evidence of a trial in the clean pass.
    fn evidence(&self, name: &TrialName) -> Option<Evidence> {
        let folder = evidence_files::folder(name, None);
        evidence_files::read(&self.project.root.join(folder)).ok()
    }

    /// Runs the clean pass, and returns the expectations that held.
    async fn clean_pass(
        &self,
        jobs: Vec<Job>,
        listener: &impl CampaignListener,
    ) -> Result<Vec<Judgeable>, Vec<NotClean>> {
        let mut judgeable = Vec::new();
        let mut red = Vec::new();
        let mut finished = std::pin::pin!(self.all(jobs, &[]));
        while let Some(finished) = finished.next().await {
            listener.trial_finished();
            judgeable.extend(finished.judgeable());
            if let Some(failure) = finished.record.failure().filter(|_| finished.record.fails_run()) {
                let name = finished.job.name;
                red.push(NotClean { name, failure });
            }
        }
        if red.is_empty() {
            return Ok(judgeable);
        }
        red.sort_by_key(|one| self.position(&one.name.cell));
        Err(red)
    }

    fn all<'a>(
        &'a self,
        jobs: Vec<Job>,
        mutants: &'a [Arc<Mutant>],
    ) -> impl futures_util::Stream<Item = FinishedJob> + 'a {
        let queue = Queue::default();
        let run = move |job: Job| {
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
                    evidence: Path::new(evidence_files::EVIDENCE),
                    ticket: &ticket,
                    mutation: mutation.as_ref(),
                    known: KnownForRun {
                        findings: self.known,
                        versions: self.session.versions(),
                    },
                    wanted_place: &wanted_place(Some(self.proxy_config), None, self.session, &job.plan.alias),
                    cassette: None,
                    after_limits: &[],
                };
                let record = task.run(self.session, |_| true).await;
                FinishedJob {
                    touched: mutation.is_some_and(|mutation| mutation.changes() > 0),
                    record,
                    job,
                }
            }
        };
        stream::iter(jobs).map(run).buffer_unordered(CONCURRENT)
    }
}

impl FinishedJob {
    /// The expectations that held.
    fn judgeable(&self) -> Vec<Judgeable> {
        let expectations = &self.job.plan.test().expectations;
        let held = self.record.expectations.iter();
        held.filter(|judged| judged.verdict == Verdict::Held)
            .map(|judged| Judgeable {
                cell: self.job.name.cell.clone(),
                place: expectations
                    .iter()
                    .find(|one| one.name == judged.name)
                    .map(|one| one.place.clone()),
                name: judged.name.clone(),
            })
            .collect()
    }

    fn cell_run(&self) -> CellRun {
        let mismatches = self
            .record
            .mismatches
            .iter()
            .filter(|mismatch| !mismatch.status.is_known());
        let mut broken: Vec<String> = mismatches.map(|mismatch| mismatch.expectation.clone()).collect();
        broken.dedup();
        CellRun {
            cell: self.job.name.cell.clone(),
            tier: self.job.name.tier.clone(),
            report: self
                .record
                .cause
                .filter(|_| !broken.is_empty())
                .map(|cause| CellReport {
                    cell: self.job.name.cell.clone(),
                    cause,
                    headline: self.record.headline.clone(),
                    first_line: self
                        .record
                        .failure()
                        .map(|failure| report::first_line(&failure))
                        .unwrap_or_default(),
                }),
            broken,
            touched: self.touched,
        }
    }
}
