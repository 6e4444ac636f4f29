//! The daily run: the matrix of the newest release, published in the docs repository.
//!
//! Pure functions decide whether and what to publish (`gate`, `plan`, `summary`, `freshness`). The edge carries it out:
//! `release_run` (`gateway`, `run`) produces the matrix of a release, `deliver` (`credentials`, `tokens`, `git`) publishes it,
//! and `daily` runs all steps in order. It judges no trial, prints nothing, and writes only the planned files of the docs
//! repository.

pub mod gate;
pub mod plan;
pub mod summary;
pub mod freshness;
pub mod steps;
pub mod run;
pub mod release_run;
pub mod credentials;
pub mod tokens;
pub mod git;
pub mod deliver;
pub mod webhook;
pub mod daily;
