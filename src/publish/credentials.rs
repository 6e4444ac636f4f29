//! Secrets for publishing: read from a file or a descriptor, never from an argument or the environment.
//!
//! A file is read when the secret is needed and not before. A descriptor is read and closed at once, so that no child
//! inherits it.

use std::io::{self, Read as _};
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::prctl;

use super::github_app::{App, AppError};
use crate::env::Secret;

/// A secret, or where it is.
#[derive(Clone, Debug)]
pub enum Held {
    File(PathBuf),
    Taken(Secret),
}

/// A secret that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Its file or descriptor cannot be read.
    #[error("cannot read {what} from {place}: {reason}")]
    Read {
        what: &'static str,
        place: String,
        reason: io::Error,
    },
    #[error("{what} from {place} is empty")]
    Empty { what: &'static str, place: String },
    /// The App cannot get a token.
    #[error(transparent)]
    App(#[from] AppError),
}

impl Held {
    /// Reads the descriptor `number` to its end and closes it.
    pub fn take_descriptor(number: i32, what: &'static str) -> Result<Self, CredentialError> {
        let place = format!("descriptor {number}");
        let read = || -> io::Result<String> {
            let mut text = String::new();
            std::fs::File::open(format!("/dev/fd/{number}"))?.read_to_string(&mut text)?;
            nix::unistd::close(number)?;
            Ok(text)
        };
        match read() {
            Ok(text) => secret(&text, what, place).map(Self::Taken),
            Err(reason) => Err(CredentialError::Read { what, place, reason }),
        }
    }

    /// The secret, without blanks around it; `what` is what errors call it.
    pub fn read(&self, what: &'static str) -> Result<Secret, CredentialError> {
        match self {
            Self::Taken(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let place = format!("`{}`", path.display());
                match std::fs::read_to_string(path) {
                    Ok(text) => secret(&text, what, place),
                    Err(reason) => Err(CredentialError::Read { what, place, reason }),
                }
            }
        }
    }
}

fn secret(text: &str, what: &'static str, place: String) -> Result<Secret, CredentialError> {
    match text.trim() {
        "" => Err(CredentialError::Empty { what, place }),
        text => Ok(Secret::new(text)),
    }
}

/// Keeps other processes of the same user from reading this one's memory and descriptors.
pub fn hide_memory() -> io::Result<()> {
    prctl::set_dumpable(false).map_err(io::Error::from)
}

/// Where the token for the docs repository comes from.
#[derive(Debug)]
pub enum Source {
    /// Nowhere: the repository asks for none.
    None,
    Token(Held),
    App(Box<App>),
}

/// The token for the docs repository, minted anew when it expires.
#[derive(Debug)]
pub struct Tokens {
    source: Source,
    minted: Option<Minted>,
}

#[derive(Clone, Debug)]
pub struct Minted {
    pub token: Secret,
    /// When it stops to be one.
    pub expires_at: DateTime<Utc>,
    /// What it may do, in words.
    pub scope: String,
}

/// A token is not used for the last minutes of its life: a push takes some.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

impl Tokens {
    pub fn new(source: Source) -> Self {
        Self { source, minted: None }
    }

    /// A token that is good at `now`; none where the repository asks for none.
    pub async fn get(&mut self, now: DateTime<Utc>) -> Result<Option<Secret>, CredentialError> {
        match &self.source {
            Source::None => Ok(None),
            Source::Token(held) => held.read("the token").map(Some),
            Source::App(app) => {
                let minted = match self.minted.take() {
                    Some(minted) if minted.expires_at - MARGIN > now => minted,
                    _ => app.mint(now).await?,
                };
                let token = minted.token.clone();
                self.minted = Some(minted);
                Ok(Some(token))
            }
        }
    }

    /// What the token may do, if that is known.
    pub fn scope(&self) -> Option<&str> {
        self.minted.as_ref().map(|minted| minted.scope.as_str())
    }

    /// Forgets a token that was refused; whether there can be another.
    pub fn forget(&mut self) -> bool {
        self.minted.take().is_some()
    }
}
