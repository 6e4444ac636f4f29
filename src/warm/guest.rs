//! A run that uses a warm session, or sees to it that there is one.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::{Description, Fingerprint, Place, WarmError};
use crate::env::Environment;
use crate::gateway::Log;
use crate::process::{Detached, Launch, ProcessTag, RunId};
use crate::progress::ProgressSink;
use crate::provider::RemoteSimulator;
use crate::session::SessionError;
use crate::toolchain::{Installer, Lock, lock};

/// How long a host may take to answer.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// How long a host may take to be ready; its gateway has its own, shorter patience.
const READY_PATIENCE: Duration = Duration::from_secs(240);
/// How long a host that is told to end may take.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// A warm session, and the right to use it.
pub struct Guest {
    pub description: Description,
    pub provider: RemoteSimulator,
    /// While it is held the host stays.
    pub lease: File,
}

/// What there is in a place.
pub enum Found {
    Fits(Box<Guest>),
    /// A session that is not what is wanted, and why.
    Unfit(String),
    /// No session; what one left that is no more has been taken away.
    Nothing,
}

/// A session that is there now.
pub struct Started {
    pub guest: Box<Guest>,
    pub was_there: bool,
}

/// Looks for a warm session made of what is `wanted`.
pub async fn find(place: &Place, wanted: &Fingerprint) -> Result<Found, WarmError> {
    if place.read().is_none() {
        return Ok(Found::Nothing);
    }
    // First the lease: from then on a host that is there stays.
    let of = place.clone();
    let lease = spawn_blocking(move || of.lease())
        .await
        .expect("locking does not panic")?;
    let Some(description) = place.read() else {
        return Ok(Found::Nothing);
    };
    let provider = match hello(&description).await {
        Hello::Here(provider) => provider,
        Hello::Silent => return Ok(Found::Unfit("it does not answer".into())),
        Hello::Gone => {
            if place.read().is_some_and(|there| there == description) {
                place.remove();
            }
            return Ok(Found::Nothing);
        }
    };
    if let Some(why) = description.made_of.differs(wanted) {
        return Ok(Found::Unfit(why));
    }
    if !gateway_answers(&description).await {
        return Ok(Found::Unfit("its gateway does not answer".into()));
    }
    Ok(Found::Fits(Box::new(Guest {
        description,
        provider,
        lease,
    })))
}

/// Sees to it that there is a session made of what is `wanted`: one at a time looks, ends what is there and does not fit, and
/// has `program` host a new one that ends after `idle` without a guest.
pub async fn ensure(
    place: &Place,
    root: &Path,
    environment: &Environment,
    program: &Path,
    idle: Duration,
    progress: &dyn ProgressSink,
) -> Result<Started, WarmError> {
    let wanted = Fingerprint::of(root)?;
    let was_there = |guest| Started {
        guest,
        was_there: true,
    };
    if let Found::Fits(guest) = find(place, &wanted).await? {
        return Ok(was_there(guest));
    }
    place.prepare()?;
    let of = place.clone();
    let _start = spawn_blocking(move || of.lock_start())
        .await
        .expect("locking does not panic")?;
    match find(place, &wanted).await? {
        Found::Fits(guest) => return Ok(was_there(guest)),
        Found::Unfit(why) if place.nobody().is_none() => return Err(WarmError::InUse { why }),
        Found::Unfit(why) => {
            progress.note(&format!("ending the session that is kept warm: {why}"));
            end(place).await;
        }
        Found::Nothing => {}
    }
    install(root, environment, progress).await?;
    let working = format!("starting LiteLLM {}, to keep it", wanted.litellm);
    progress.begin(&working);
    let guest = start(place, root, environment, program, idle, &wanted).await;
    progress.end(&working);
    Ok(Started {
        guest: guest?,
        was_there: false,
    })
}

/// Ends the session in `place`, and waits until it is no more. What it was, if there was one.
pub async fn end(place: &Place) -> Option<Description> {
    let description = place.read()?;
    let was_there = !matches!(hello(&description).await, Hello::Gone);
    place.remove();
    let until = Instant::now() + END_PATIENCE;
    while Instant::now() < until && !matches!(hello(&description).await, Hello::Gone) {
        sleep(LOOK).await;
    }
    was_there.then_some(description)
}

/// What comes of asking a host.
enum Hello {
    /// It answers, and knows the key, which nobody else does.
    Here(RemoteSimulator),
    /// Somebody is there, and says nothing.
    Silent,
    Gone,
}

async fn hello(description: &Description) -> Hello {
    let connect = RemoteSimulator::connect(&description.provider, &description.control_key);
    match timeout(HELLO_PATIENCE, connect).await {
        Ok(Ok(simulator)) => Hello::Here(simulator),
        Ok(Err(error)) if RemoteSimulator::is_gone(&error) => Hello::Gone,
        Ok(Err(_)) | Err(_) => Hello::Silent,
    }
}

async fn gateway_answers(description: &Description) -> bool {
    let url = format!("{}/health/liveliness", description.gateway);
    let answer = reqwest::Client::new()
        .get(url)
        .timeout(HELLO_PATIENCE)
        .send()
        .await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// Installs what the host needs, here, where it shows.
async fn install(
    root: &Path,
    environment: &Environment,
    progress: &dyn ProgressSink,
) -> Result<(), WarmError> {
    let failed = |error: SessionError| WarmError::Session(Box::new(error));
    let lock = Lock::read(&root.join(lock::FOLDER)).map_err(|error| failed(error.into()))?;
    let installer = Installer::new(environment.clone(), RunId::mint(), progress)?;
    let installed = installer.ensure_litellm(&lock.litellm, &lock.uv).await;
    installed.map(drop).map_err(|error| failed(error.into()))
}

async fn start(
    place: &Place,
    root: &Path,
    environment: &Environment,
    program: &Path,
    idle: Duration,
    wanted: &Fingerprint,
) -> Result<Box<Guest>, WarmError> {
    let launch = Launch::new(program, ProcessTag::run(RunId::mint()))
        .arguments(["up", "--host"])
        .arguments([place.folder()])
        .arguments(["--idle".to_owned(), idle.as_secs().to_string()])
        .arguments(["--root"])
        .arguments([root])
        .environment(environment.for_harness())
        .directory(root);
    let log = Log::at(&place.log());
    let mut host = Detached::start(&launch, &place.log())?;
    let until = Instant::now() + READY_PATIENCE;
    loop {
        match find(place, wanted).await? {
            Found::Fits(guest) => return Ok(guest),
            Found::Unfit(why) => {
                end(place).await;
                return Err(WarmError::Ended {
                    how: why,
                    tail: log.indented_tail(),
                    log: place.log(),
                });
            }
            Found::Nothing => {}
        }
        if let Some(ended) = host.try_ended() {
            return Err(WarmError::Ended {
                how: ended.to_string(),
                tail: log.indented_tail(),
                log: place.log(),
            });
        }
        if Instant::now() > until {
            return Err(WarmError::Silent {
                patience: READY_PATIENCE,
                tail: log.indented_tail(),
                log: place.log(),
            });
        }
        sleep(LOOK).await;
    }
}
