//! One trial: a cell on a tier, attempted until the verdict is not a passing fault's, with its evidence on disk.
//!
//! It brings the parts together and measures; judging is `expect`'s, and whose fault a failure is `cause`'s.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cause;
use crate::claude::{self, ClaudeRun, Invocation, Progress};
use crate::evidence::{Behind, DirectReply, Evidence};
use crate::evidence_files;
use crate::expect;
use crate::ids::{TrialKey, TrialName};
use crate::outcome::{Attempt, Cause, Failure, Judged, Mismatch, Outcome, TrialRecord};
use crate::relay::Mutation;
use crate::schedule::{Standing, Turn};
use crate::session::Session;
use crate::spec::cell::Test;
use crate::wire::Usage;

/// How often a trial is attempted when what failed it may pass by itself.
const ATTEMPTS: usize = 2;

/// Longest wait for the answer to a cell's direct request.
const DIRECT_PATIENCE: Duration = Duration::from_secs(60);

/// What a trial is run with.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    pub name: &'a TrialName,
    pub test: &'a Test,
    /// The gateway's alias to ask for.
    pub alias: &'a str,
    pub root: &'a Path,
    /// Where it stands among those that are to begin.
    pub standing: &'a Standing,
    /// The mutant that it is under, if it is.
    pub mutation: Option<&'a Arc<Mutation>>,
}

/// Runs a trial to its verdict.
pub async fn run(trial: Trial<'_>, session: &Session) -> TrialRecord {
    let mutant = trial.mutation.map(|mutation| &mutation.mutant.name);
    let folder = evidence_files::folder(trial.name, mutant);
    let mut record = TrialRecord {
        evidence: Some(folder.clone()),
        ..not_run(trial.name, trial.alias, Outcome::Pass)
    };
    // Evidence of an earlier run must not be taken for this one's.
    let _ = std::fs::remove_dir_all(trial.root.join(&folder));
    for number in 1..=ATTEMPTS {
        let folder = match number {
            1 => trial.root.join(&folder),
            _ => trial.root.join(&folder).join(format!("attempt-{number}")),
        };
        // Waiting for its turn is the run's time, not the trial's.
        let turn = session.schedule.turn(trial.standing).await;
        if number == 1 {
            record.started_at = Utc::now();
        }
        let attempt = attempt(trial, session, &folder, turn).await;
        record.duration_ms += attempt.attempt.duration_ms;
        record.judged = attempt.judged;
        record.usage = [record.usage, attempt.usage].into_iter().sum();
        record.cost_usd += attempt.cost_usd;
        let failure = attempt.attempt.failure.clone();
        record.attempts.push(attempt.attempt);
        record.outcome = failure.clone().map_or(Outcome::Pass, Outcome::Fail);
        if !failure.is_some_and(|failure| may_pass_by_itself(&failure, session.behind())) {
            break;
        }
    }
    record
}

/// Only what stands outside of gateway and harness comes and goes; a simulated provider does neither.
fn may_pass_by_itself(failure: &Failure, behind: Behind) -> bool {
    behind == Behind::Live && matches!(failure.cause, Cause::RateLimit | Cause::Upstream)
}

/// The record of a trial of which nothing was run: `outcome` says why.
pub fn not_run(name: &TrialName, alias: &str, outcome: Outcome) -> TrialRecord {
    TrialRecord {
        name: name.clone(),
        model: alias.to_owned(),
        outcome,
        judged: Vec::new(),
        attempts: Vec::new(),
        started_at: Utc::now(),
        duration_ms: 0,
        usage: Usage::default(),
        cost_usd: 0.0,
        evidence: None,
    }
}

struct Attempted {
    attempt: Attempt,
    judged: Vec<Judged>,
    usage: Usage,
    cost_usd: f64,
}

async fn attempt(trial: Trial<'_>, session: &Session, folder: &Path, turn: Turn) -> Attempted {
    let start = Instant::now();
    let evidence = match gather(trial, session, turn).await {
        Ok(evidence) => evidence,
        Err(error) => return broken_off(&error, start),
    };
    let judgement = expect::judge(trial.test, &trial.name.tier, &evidence);
    let failure = (!judgement.mismatches.is_empty()).then(|| {
        let diagnosis = cause::of_trial(&evidence, &judgement);
        Failure {
            cause: diagnosis.cause,
            why: diagnosis.why,
            next: diagnosis.next,
            wire: judgement
                .diff
                .as_ref()
                .map_or_else(Vec::new, |diff| diff.lines(&judgement.interests())),
            mismatches: judgement.mismatches.clone(),
        }
    });
    let attempted = Attempted {
        attempt: Attempt {
            duration_ms: millis(start.elapsed()),
            failure,
            retries: evidence
                .transcript
                .api_retries()
                .into_iter()
                .map(|retry| (retry.status.unwrap_or(0), retry.error))
                .collect(),
        },
        judged: judgement.judged,
        usage: evidence.transcript.total_usage(),
        cost_usd: evidence.transcript.total_cost_usd(),
    };
    // Under a mutant only what it broke is of interest, and there are many.
    if trial.mutation.is_some() && attempted.attempt.failure.is_none() {
        return attempted;
    }
    match evidence_files::write(&evidence, judgement.diff.as_ref(), folder) {
        Ok(()) => attempted,
        Err(source) => broken_off(
            &TrialError::Evidence {
                folder: folder.to_owned(),
                source,
            },
            start,
        ),
    }
}

fn broken_off(error: &TrialError, start: Instant) -> Attempted {
    Attempted {
        attempt: Attempt {
            duration_ms: millis(start.elapsed()),
            failure: Some(Failure {
                cause: Cause::Harness,
                why: "the trial could not be run".into(),
                next: String::new(),
                wire: Vec::new(),
                mismatches: vec![Mismatch {
                    expectation: expect::RUN.into(),
                    clause: None,
                    place: None,
                    summary: "the trial could not be run".into(),
                    expected: "Claude Code to be started and listened to".into(),
                    actual: error.to_string(),
                    evidence: None,
                }],
            }),
            retries: Vec::new(),
        },
        judged: Vec::new(),
        usage: Usage::default(),
        cost_usd: 0.0,
    }
}

/// Why an attempt has no evidence.
#[derive(Debug, thiserror::Error)]
enum TrialError {
    #[error(transparent)]
    Claude(#[from] claude::ClaudeError),
    #[error(transparent)]
    Provider(#[from] crate::provider::RemoteError),
    #[error("cannot write evidence to `{}`: {source}", folder.display())]
    Evidence { folder: PathBuf, source: std::io::Error },
}

/// Runs `claude` once, and the cell's direct request, and collects what they left on both sides.
async fn gather(trial: Trial<'_>, session: &Session, turn: Turn) -> Result<Evidence, TrialError> {
    let key = TrialKey(Uuid::new_v4());
    let log = session.gateway.log().map(|log| (log, log.position()));
    if let Some(provider) = &session.provider {
        provider.register(key, trial.test.script.clone()).await?;
    }
    session.relay(key, trial.mutation, &turn.gate());
    let ran = run_claude(trial, session, key, turn).await;
    let direct = match (&ran, &trial.test.direct) {
        (Ok(run), Some(body)) if run.exit.code == Some(0) => {
            Some(send_direct(trial, session, key, body).await)
        }
        _ => None,
    };
    // Without a gateway nobody speaks the Messages API for every provider.
    let counted = match (&ran, &trial.test.count_tokens) {
        (Ok(run), Some(body)) if run.exit.code == Some(0) && session.has_gateway() => {
            Some(send_count(trial, session, key, body).await)
        }
        _ => None,
    };
    let sent = session.relayed(key);
    let exchanges = match &session.provider {
        Some(provider) => provider.take(key).await?,
        None => Vec::new(),
    };
    let ran = ran?;
    Ok(Evidence {
        behind: session.behind(),
        gateway: session.has_gateway(),
        transcript: ran.transcript,
        exit: ran.exit,
        stderr: ran.stderr,
        exchanges,
        sent,
        direct,
        counted,
        gateway_log: log.map(|(log, position)| log.since(position)).unwrap_or_default(),
    })
}

async fn run_claude(
    trial: Trial<'_>,
    session: &Session,
    key: TrialKey,
    turn: Turn,
) -> Result<ClaudeRun, TrialError> {
    let folder = session.scratch().join(short_name(key));
    let invocation = Invocation {
        program: session.claude.clone(),
        run: session.run,
        key,
        model: trial.alias.to_owned(),
        prompts: trial.test.prompts.clone(),
        flags: trial.test.flags.clone(),
        variables: trial.test.env.clone(),
        endpoint: session.endpoint(&trial.name.cell.provider),
        folder: folder.clone(),
        inherited: session.inherited.clone(),
        deadline: Duration::from_secs(trial.test.timeout_seconds),
    };
    let keeps_step = trial.test.script.keeps_step();
    // The provider is told what shows by a task of its own: telling a remote one takes a round trip, and reading
    // must not wait for it.
    let (told, mut shows) = tokio::sync::mpsc::unbounded_channel();
    let tell = async {
        while let Some(deltas) = shows.recv().await {
            if let Some(provider) = &session.provider {
                // A provider that cannot be told loses patience by itself, and the evidence says so.
                let _ = provider.shown(key, deltas).await;
            }
        }
    };
    let run = async {
        let run = claude::run(&invocation, |progress| match progress {
            Progress::Requesting => turn.asks(),
            Progress::Deltas { shown, .. } => {
                turn.is_answered();
                if keeps_step {
                    let _ = told.send(shown);
                }
            }
        })
        .await;
        drop(told);
        run
    };
    let (run, ()) = tokio::join!(run, tell);
    // What is left to do is little work for this process; the next `claude` may start.
    drop(turn);
    // A home has a hundred small files; what is left over goes with the session.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(run?)
}

/// Short, because a socket's path below it has at most about 100 bytes.
fn short_name(key: TrialKey) -> String {
    key.0.simple().to_string()[..12].to_owned()
}

/// Sends a cell's direct request as a client of the gateway would, marked like those of `claude`.
async fn send_direct(trial: Trial<'_>, session: &Session, key: TrialKey, body: &Value) -> DirectReply {
    let mut body = body.clone();
    body["metadata"] = json!({ "user_id": json!({ "session_id": key }).to_string() });
    send(trial, session, key, "/v1/messages", body).await
}

/// Asks for a cell's token count. Its API knows no `metadata`: a part of the system prompt is the mark.
async fn send_count(trial: Trial<'_>, session: &Session, key: TrialKey, body: &Value) -> DirectReply {
    let mut body = body.clone();
    body["system"] = json!(format!("Session {key}."));
    send(trial, session, key, "/v1/messages/count_tokens", body).await
}

async fn send(
    trial: Trial<'_>,
    session: &Session,
    key: TrialKey,
    path: &str,
    mut body: Value,
) -> DirectReply {
    body["model"] = json!(trial.alias);
    let sent = session
        .client
        .post(format!("{}{path}", session.entrance()))
        .bearer_auth(session.gateway.key().expose())
        .header("anthropic-version", "2023-06-01")
        .header("x-claude-code-session-id", key.to_string())
        .timeout(DIRECT_PATIENCE)
        .json(&body)
        .send()
        .await;
    let answer = match sent {
        Ok(reply) => {
            let status = reply.status().as_u16();
            reply.text().await.map(|text| (status, text))
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok((status, text)) => DirectReply {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        },
        Err(error) => DirectReply {
            status: 0,
            body: Value::String(error.to_string()),
        },
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
