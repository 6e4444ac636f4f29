//! Stand-ins for what the publisher meets: a git server and GitHub's API, a package registry, a machine with `docker`.

pub mod hub;
pub mod machine;
pub mod registry;
