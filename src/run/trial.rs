//! Runs one trial: a cell on a tier, with retries, and with its evidence on disk.
//!
//! It connects the parts and measures. `judge` judges, and `cause` names the cause of a failure.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::record::RunCassette;
use crate::cells::Test;
use crate::claude::{self, ClaudeProgress, ClaudeRun, Invocation};
use crate::clock::WaitClock;
use crate::evidence::{Behind, DirectReply, Evidence};
use crate::files::evidence_files;
use crate::findings::{Finding, KnownForRun, Level, Subject};
use crate::ids::{TrialKey, TrialName};
use crate::judge;
use crate::outcome::{Attempt, Cause, CheckResult, Failure, Mismatch, Outcome, Retry};
use crate::relay::Mutation;
use crate::results::TrialRecord;
use crate::session::Session;
use crate::session::pacing::LONGEST_BLOCK;
use crate::session::schedule::{Slot, Ticket};
use crate::wire::exchange::{HARNESS_AGENT, KEY_OF_COUNT};
use crate::wire::place::ProcessingPlace;
use crate::wire::{self, Usage};
use crate::wire_diff::Part;
use crate::{cause, expectation, http};

/// The most attempts at a trial that say something about it.
pub(super) const ATTEMPTS: usize = 2;

/// The waits, in seconds, before a live trial is tried again after a limit or an outage of the provider. Such an attempt uses up none
/// of [`ATTEMPTS`]. The lane of the trial also waits for `retry-after`.
pub const AFTER_LIMITS: [u64; 4] = [1, 4, 16, 64];

/// The longest wait for the reply to a direct request.
const DIRECT_PATIENCE: Duration = Duration::from_secs(60);

const SECRET_IS_A_WORD: &str = "a key of this run is also a word of the evidence's format: use another key";

#[derive(Clone, Copy, Debug)]
pub struct TrialTask<'a> {
    pub name: &'a TrialName,
    pub test: &'a Test,
    /// The gateway's alias for the model.
    pub alias: &'a str,
    /// The project's root.
    pub root: &'a Path,
    /// The parent of the evidence folders, relative to the root.
    pub evidence: &'a Path,
    pub ticket: &'a Ticket,
    pub mutation: Option<&'a Arc<Mutation>>,
    pub known: KnownForRun<'a>,
    /// Where the gateway's configuration has the requests processed, as far as this run knows it.
    pub wanted_place: &'a ProcessingPlace,
    /// Keeps what passes on the sides of the gateway.
    pub cassette: Option<&'a RunCassette>,
    /// [`AFTER_LIMITS`]; a test need not wait.
    pub after_limits: &'a [u64],
}

impl TrialTask<'_> {
    /// Runs the trial. A live trial gets a second attempt if the model may not have followed the prompt, and further ones after a
    /// rate limit or an upstream error, if the run `affords` them.
    pub async fn run(self, session: &Session, affords: impl Fn(&TrialRecord) -> bool) -> TrialRecord {
        let mutant = self.mutation.map(|mutation| &mutation.mutant.name);
        let folder = evidence_files::folder_in(self.evidence, self.name, mutant);
        if let Some(reason) = session.lacks(&self.test.flags) {
            return not_run(self.name, self.alias, &Outcome::NotApplicable(reason));
        }
        let mut record = not_run(self.name, self.alias, &Outcome::Pass);
        // The evidence of an earlier run must not look like this one's.
        let _ = std::fs::remove_dir_all(self.root.join(&folder));
        self.cassette
            .iter()
            .for_each(|cassette| cassette.forget(self.name));
        let (mut limits, mut again) = (self.after_limits.iter(), [0; ATTEMPTS - 1].iter());
        for number in 1.. {
            let folder = match number {
                1 => folder.clone(),
                _ => folder.join(format!("attempt-{number}")),
            };
            // The trial's duration does not include this wait.
            let slot = session.schedule.acquire(self.ticket).await;
            if number == 1 {
                record.started_at = Utc::now();
            }
            let waits = Arc::default();
            let folder_of_attempt = self.root.join(&folder);
            let result = self.attempt(session, &folder_of_attempt, slot, &waits).await;
            // A report names lines of this attempt's evidence.
            record.evidence = result.has_evidence.then(|| folder.display().to_string());
            record.expectations = result.judged;
            record.waited_ms += millis(waits.total());
            record.add(result.attempt, &result.outcome, result.usage, result.cost_usd);
            let wait = match record.cause {
                // A simulated provider has no transient errors, and follows its script.
                _ if session.behind() != Behind::Live => None,
                Some(Cause::RateLimit | Cause::Upstream) if !session.is_closed(self.name) => limits.next(),
                Some(Cause::Assertion) if record.fails_run() => again.next(),
                _ => None,
            };
            let Some(wait) = wait.filter(|_| affords(&record)) else {
                break;
            };
            record.waited_ms += wait * 1_000;
            sleep(Duration::from_secs(*wait)).await;
        }
        // An error of the harness may repeat a secret too.
        match session.secrets.remove_from(&mut record) {
            Ok(()) => record,
            Err(error) => {
                let error = anyhow::Error::new(error).context(SECRET_IS_A_WORD);
                let broken = AttemptResult::broken(&error).outcome;
                not_run(self.name, self.alias, &broken)
            }
        }
    }

    async fn attempt(
        self,
        session: &Session,
        folder: &Path,
        slot: Slot,
        waits: &Arc<WaitClock>,
    ) -> AttemptResult {
        let start = Instant::now();
        let result = match self.gather_on_a_running_gateway(session, slot, waits).await {
            Ok(evidence) => self.judge(&evidence, folder),
            Err(error) => Err(error),
        };
        let mut result = result.unwrap_or_else(|error| AttemptResult::broken(&error));
        result.attempt.duration_ms = millis(start.elapsed().saturating_sub(waits.total()));
        result
    }

    /// Judges the evidence, and writes it into `folder`.
    fn judge(self, evidence: &Evidence, folder: &Path) -> anyhow::Result<AttemptResult> {
        let evaluation = judge::judge(self.test, self.name, evidence, self.known);
        let failed = !evaluation.mismatches.is_empty();
        let failure = failed.then(|| cause::failure_of_trial(evidence, &evaluation));
        // A campaign has many trials, and only their failures are of interest.
        if self.mutation.is_none() || failure.is_some() {
            evidence_files::write(evidence, evaluation.whole_diff.as_ref(), folder)
                .and_then(|()| evidence_files::write_under_test(&self.known.under_test(), folder))
                .with_context(|| format!("cannot write evidence to `{}`", folder.display()))?;
        }
        let (outcome, findings) = concluded(failure, evaluation.findings);
        Ok(AttemptResult {
            attempt: Attempt {
                duration_ms: 0,
                failure: match &outcome {
                    Outcome::Fail(failure) | Outcome::Unfaithful(failure) => Some(failure.clone()),
                    Outcome::Pass | Outcome::NotApplicable(_) => None,
                },
                findings,
                retries: (evidence.transcript.api_retries().into_iter())
                    .map(|retry| Retry {
                        status: retry.status.unwrap_or(0),
                        error: retry.error,
                    })
                    .collect(),
            },
            judged: evaluation.judged,
            outcome,
            has_evidence: true,
            usage: [evidence.transcript.spent_usage(), evidence.direct_usage()]
                .into_iter()
                .sum(),
            cost_usd: evidence.transcript.total_cost_usd(),
        })
    }

    /// [`TrialTask::gather`], and once more if the gateway ended meanwhile. Its end says nothing about the trial, so that
    /// evidence is dropped.
    async fn gather_on_a_running_gateway(
        self,
        session: &Session,
        slot: Slot,
        waits: &Arc<WaitClock>,
    ) -> anyhow::Result<Evidence> {
        session.ensure_watchdog()?;
        let Some(gateway) = session.gateway.watched() else {
            let evidence = self
                .gather(session, TrialKey(Uuid::new_v4()), slot, waits)
                .await?;
            return session.ensure_reached(evidence).await;
        };
        let mut slot = Some(slot);
        loop {
            let run = gateway.running().await?;
            let slot = match slot.take() {
                Some(slot) => slot,
                None => session.schedule.acquire(self.ticket).await,
            };
            let key = TrialKey(Uuid::new_v4());
            let refused = session.front.refused_connections();
            let evidence = tokio::select! {
                biased;
                () = gateway.end_of(run) => None,
                evidence = self.gather(session, key, slot, waits) => Some(evidence),
            };
            let has_lost = || session.front.refused_connections() > refused;
            match evidence {
                Some(evidence) if !has_lost() || !gateway.has_ended(run).await => return evidence,
                // If the provider has ended, it has forgotten the trial too.
                _ => drop(session.take(key).await),
            }
        }
    }

    /// Runs `claude` and the cell's direct requests, and collects the evidence.
    async fn gather(
        self,
        session: &Session,
        key: TrialKey,
        slot: Slot,
        waits: &Arc<WaitClock>,
    ) -> anyhow::Result<Evidence> {
        let log = session.gateway.log.as_ref().map(|log| (log, log.position()));
        if let Some(provider) = &session.provider {
            provider.register(key, self.test.script.clone()).await?;
        }
        session.register(key, self.name, self.mutation, &slot.handle(), waits);
        let ran = self.run_claude(session, key, slot, waits).await;
        let succeeded = ran.as_ref().is_ok_and(|run| run.exit.code == Some(0));
        let direct = match &self.test.direct {
            Some(body) if succeeded => Some(self.send_direct(session, key, body, waits).await),
            _ => None,
        };
        // Without a gateway, not every provider has this API.
        let counted = match &self.test.count_tokens {
            Some(body) if succeeded && session.is_compared(&self.name.cell.provider) => {
                Some(self.send_count(session, key, body, waits).await)
            }
            _ => None,
        };
        // After this, the session has forgotten the trial's tokens.
        let tokens = session.tokens(key);
        let mut recorded = session.take(key).await?;
        if let Some(cassette) = self.cassette {
            cassette.add(self.name, &recorded, &[&session.secrets, &tokens]);
        }
        // The client's side of a live run is kept in a cassette only, and not judged.
        if session.behind() == Behind::Live {
            recorded.sent.clear();
        }
        // In another API, the two sides cannot be compared.
        if !session.client_format.is_messages_api(&self.name.cell.provider) {
            recorded.sent.clear();
        }
        let ran = ran.map_err(|error| tokens.removed_from_error(error))?;
        let mut evidence = Evidence {
            behind: session.behind(),
            gateway: session.is_compared(&self.name.cell.provider),
            attached: session.gateway.is_attached(),
            other_claude: session.has_other_claude(),
            transcript: ran.transcript,
            exit: ran.exit,
            stderr: ran.stderr,
            exchanges: recorded.exchanges,
            sent: recorded.sent,
            ambiguous: recorded.ambiguous,
            direct,
            counted,
            gateway_log: log.map(|(log, position)| log.since(position)).unwrap_or_default(),
        };
        if evidence.comes_from_unknown_simulator() {
            session.meet_simulator();
        }
        for exchange in &mut evidence.exchanges {
            exchange.wanted_place = self.wanted_place.clone();
        }
        for secrets in [&session.secrets, &tokens] {
            evidence.redact(secrets).context(SECRET_IS_A_WORD)?;
        }
        Ok(evidence)
    }

    async fn run_claude(
        self,
        session: &Session,
        key: TrialKey,
        slot: Slot,
        waits: &Arc<WaitClock>,
    ) -> anyhow::Result<ClaudeRun> {
        let folder = session.scratch().join(short_name(key));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the trial's folder `{}`", folder.display()))?;
        let door = session.door(&folder)?;
        let endpoint = match self.test.subscription {
            true => session.subscription(key),
            false => Some(session.endpoint(key, &self.name.cell.provider)),
        };
        let invocation = Invocation {
            program: session.claude.clone(),
            run: session.run,
            key,
            model: self.alias.to_owned(),
            prompts: self.test.prompts.clone(),
            workspace: self.test.workspace.clone(),
            mcp_program: session.own_program.clone(),
            flags: self.test.flags.clone(),
            expects_failures: self.test.expects_failures(&self.name.tier),
            variables: self.test.env.clone(),
            endpoint: endpoint.context("the provider simulator of another version has no subscription")?,
            folder: folder.clone(),
            inherited: session.inherited.clone(),
            deadline: Duration::from_secs(self.test.timeout_seconds),
            waits: Arc::clone(waits),
            cage: session.cage.clone(),
        };
        let keeps_step = self.test.script.keeps_step();
        // A separate task informs the provider: with a remote one this takes a round trip, and reading must not wait.
        let (shown_sender, mut shown_deltas) = tokio::sync::mpsc::unbounded_channel();
        let inform = async {
            while let Some(deltas) = shown_deltas.recv().await {
                if let Some(provider) = &session.provider {
                    // On an error the provider times out, and the evidence shows that.
                    let _ = provider.shown(key, deltas).await;
                }
            }
        };
        let run = async {
            let run = claude::run(&invocation, |progress| match progress {
                ClaudeProgress::Requesting => slot.request_sent(),
                ClaudeProgress::Deltas { shown, .. } => {
                    slot.reply_shown();
                    if keeps_step {
                        let _ = shown_sender.send(shown);
                    }
                }
                // A live provider's limits are not the trial's time.
                ClaudeProgress::Limited(wait) => {
                    if session.behind() == Behind::Live && wait <= LONGEST_BLOCK {
                        waits.add(wait);
                    }
                }
            })
            .await;
            drop(shown_sender);
            run
        };
        let run = async {
            let (run, ()) = tokio::join!(run, inform);
            run
        };
        let run = tokio::select! {
            run = run => run,
            never = door => match never {},
        };
        // The rest is little work for this process, so the next `claude` may start.
        drop(slot);
        // A home has a hundred small files. What remains is removed with the session.
        let _ = std::fs::remove_dir_all(&folder);
        run
    }

    /// Sends the cell's direct request with the trial's key, as `claude` does.
    async fn send_direct(
        self,
        session: &Session,
        key: TrialKey,
        body: &Value,
        waits: &WaitClock,
    ) -> DirectReply {
        let mut body = body.clone();
        body["metadata"] = json!({ "user_id": json!({ "session_id": key }).to_string() });
        self.send(session, key, "/v1/messages", body, waits).await
    }

    /// Requests the cell's token count. This API has no `metadata`, so the system prompt begins with the key.
    async fn send_count(
        self,
        session: &Session,
        key: TrialKey,
        body: &Value,
        waits: &WaitClock,
    ) -> DirectReply {
        let mut body = body.clone();
        let with_key = format!("{KEY_OF_COUNT}{key}.");
        body["system"] = match body["system"].take() {
            Value::Array(mut blocks) => {
                blocks.insert(0, json!({ "type": "text", "text": with_key }));
                Value::Array(blocks)
            }
            Value::String(text) => json!(format!("{with_key}\n{text}")),
            _ => json!(with_key),
        };
        self.send(session, key, "/v1/messages/count_tokens", body, waits)
            .await
    }

    /// `waits` counts the time for which pacing holds the request. It does not count here.
    async fn send(
        self,
        session: &Session,
        key: TrialKey,
        path: &str,
        mut body: Value,
        waits: &WaitClock,
    ) -> DirectReply {
        body["model"] = json!(self.alias);
        let request = session
            .client
            .post(format!("{}{path}", session.entrance()))
            .bearer_auth(session.token(key).expose())
            .header("anthropic-version", "2023-06-01")
            .header("user-agent", HARNESS_AGENT)
            .header("x-claude-code-session-id", key.to_string())
            .json(&body);
        let received = async {
            let reply = request.send().await?;
            let status = reply.status().as_u16();
            Ok::<_, reqwest::Error>((status, http::text(reply).await?))
        };
        let error = match waits.within(DIRECT_PATIENCE, received).await {
            Some(Ok((status, text))) => {
                let body = wire::json::parse(&text).unwrap_or(Value::String(text));
                return DirectReply { status, body };
            }
            Some(Err(error)) => error.to_string(),
            None => format!("the request timed out after {} s", DIRECT_PATIENCE.as_secs()),
        };
        DirectReply {
            status: 0,
            body: Value::String(error),
        }
    }
}

/// Short, because a socket's path below it has at most about 100 bytes.
fn short_name(key: TrialKey) -> String {
    key.0.simple().to_string()[..12].to_owned()
}

/// The outcome of an attempt. A failure that says nothing about gateway, feature or Claude Code keeps only the changes of
/// the contract on the wire: the recordings prove them, whatever else failed.
fn concluded(failure: Option<Failure>, mut findings: Vec<Finding>) -> (Outcome, Vec<Finding>) {
    let is_contract = |finding: &Finding| finding.level == Level::Contract;
    match failure {
        None => (Outcome::Pass, Vec::new()),
        Some(failure) if !failure.cause.is_judged() => {
            // A refused or missing answer follows from a fault that is not the gateway's.
            let follows = |part: &Part| matches!(part, Part::Request | Part::Status | Part::Error);
            let is_own = |finding: &Finding| matches!(&finding.subject, Subject::Change { part, .. } if !follows(part));
            findings.retain(|finding| is_contract(finding) && is_own(finding));
            (Outcome::Fail(failure), findings)
        }
        Some(failure) if findings.iter().all(is_contract) => (Outcome::Unfaithful(failure), findings),
        Some(failure) => (Outcome::Fail(failure), findings),
    }
}

struct AttemptResult {
    attempt: Attempt,
    outcome: Outcome,
    judged: Vec<CheckResult>,
    /// Whether it has written its evidence.
    has_evidence: bool,
    usage: Usage,
    cost_usd: f64,
}

impl AttemptResult {
    /// An attempt without evidence.
    fn broken(error: &anyhow::Error) -> Self {
        let mismatch = Mismatch::of_harness(
            expectation::RUN,
            "the trial could not be run",
            "a `claude` that starts, and its output",
            &format!("{error:#}"),
        );
        let failure = Failure::of_harness("the trial could not be run", vec![mismatch]);
        Self {
            attempt: Attempt {
                duration_ms: 0,
                failure: Some(failure.clone()),
                findings: Vec::new(),
                retries: Vec::new(),
            },
            outcome: Outcome::Fail(failure),
            judged: Vec::new(),
            has_evidence: false,
            usage: Usage::default(),
            cost_usd: 0.0,
        }
    }
}

/// The record of a trial that was not run, for the reason in `outcome`.
pub(super) fn not_run(name: &TrialName, alias: &str, outcome: &Outcome) -> TrialRecord {
    TrialRecord::new(name, alias, outcome, Utc::now())
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::FindingStatus;

    #[test]
    fn a_failure_that_is_not_judged_keeps_its_contract_findings() {
        let finding = |level| Finding {
            subject: "request beta b dropped".parse().expect("a subject"),
            level,
            expectation: "beta".into(),
            summary: String::new(),
            loses: String::new(),
            status: FindingStatus::New,
            known: None,
        };
        let found = || vec![finding(Level::Feature), finding(Level::Contract)];
        let failure = |cause| Failure {
            cause,
            ..Failure::of_harness("", Vec::new())
        };
        let (outcome, findings) = concluded(Some(failure(Cause::Upstream)), found());
        assert!(matches!(outcome, Outcome::Fail(_)));
        assert_eq!(findings, [finding(Level::Contract)]);
        assert_eq!(concluded(Some(failure(Cause::Gateway)), found()).1.len(), 2);
    }
}
