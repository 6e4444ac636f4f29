//! How strongly the CLI under test is confined. `process::cage` builds the cage; the results carry the level.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The strength of the cage around `claude`. Each level has everything of the levels before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IsolationLevel {
    /// `claude` runs with all rights of the user.
    #[default]
    None,
    /// No capabilities and no new privileges. The harness hides its memory and its credentials. No descendant survives.
    Process,
    /// Landlock too: writes below the trial's folder only, reads of the system only, TCP to the relay only, no signals and
    /// no abstract sockets outside the trial.
    Landlock,
    /// Namespaces too: no other process, no network but the relay, no shared memory.
    Full,
}

impl IsolationLevel {
    pub const ALL: [Self; 4] = [Self::None, Self::Process, Self::Landlock, Self::Full];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Landlock => "landlock",
            Self::Full => "full",
        }
    }

    /// What `claude` can still do at this level that the next one prevents.
    pub fn lacks(self) -> &'static [&'static str] {
        match self {
            Self::None => &[
                "read the environment of the harness",
                "use the rights of root, if a root user starts the run",
                "leave processes behind",
            ],
            Self::Process => &[
                "read and write every file that the user can, such as the project, the cache and `~`",
                "connect to every host",
                "read the environment of the user's other processes, such as the gateway's",
                "send signals to the user's other processes, and type into the terminal",
            ],
            Self::Landlock => &[
                "send UDP packets, such as DNS queries",
                "connect to a Unix socket that has a path, such as the one of docker",
                "see the names and arguments of other processes",
            ],
            Self::Full => &[],
        }
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for IsolationLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels = Self::ALL.into_iter();
        levels.find(|level| level.as_str() == text).ok_or_else(|| {
            format!("`{text}` is no isolation level: expected none, process, landlock or full")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_grow_and_their_names_parse() {
        assert!(IsolationLevel::ALL.is_sorted());
        for level in IsolationLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!(
            "strong"
                .parse::<IsolationLevel>()
                .unwrap_err()
                .contains("`strong`")
        );
    }
}
