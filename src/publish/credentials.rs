//! Secrets for publishing, read from a file or a descriptor: arguments and the environment are visible to other processes.

use std::io::{self, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::env::Secret;

/// A secret, or the file that holds it.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// Read each time the secret is needed, and not before.
    File(PathBuf),
    Value(Secret),
}

impl SecretSource {
    /// Reads the descriptor `number` to its end and closes it, so that no child inherits it. Errors call the secret `what`.
    pub fn from_descriptor(number: i32, what: &str) -> anyhow::Result<Self> {
        let read = || -> io::Result<String> {
            let mut text = String::new();
            std::fs::File::open(format!("/dev/fd/{number}"))?.read_to_string(&mut text)?;
            nix::unistd::close(number)?;
            Ok(text)
        };
        secret(read(), what, &format!("descriptor {number}")).map(Self::Value)
    }

    /// The secret, without blanks around it. Errors call it `what`.
    pub fn read(&self, what: &str) -> anyhow::Result<Secret> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path);
                secret(text, what, &format!("`{}`", path.display()))
            }
        }
    }
}

fn secret(text: io::Result<String>, what: &str, origin: &str) -> anyhow::Result<Secret> {
    let text = text.with_context(|| format!("cannot read {what} from {origin}"))?;
    match text.trim() {
        "" => bail!("{what} from {origin} is empty"),
        text => Ok(Secret::new(text)),
    }
}
