//! Doubles for the publisher: a git server with GitHub's API, a package registry, a machine with `docker`.

pub mod hub;
pub mod machine;
pub mod registry;
