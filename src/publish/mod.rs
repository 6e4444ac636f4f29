//! The matrix into the docs repository, and everything that a daily run does before that.
//!
//! What is to be published, and whether, is decided by pure functions over values (`gate`, `plan`, `summary`, `freshness`);
//! the edge does what they say: `release_run` (`resolve`, `run`) gets the matrix of a release, `deliver`
//! (`credentials`, `github_app`, `git`) brings it into the docs repository, and `daily` is all of it in order. It never
//! judges a trial, prints nothing, and writes no file of the docs repository but those it was told of.

pub mod gate;
pub mod plan;
pub mod summary;
pub mod freshness;
pub mod steps;
pub mod resolve;
pub mod run;
pub mod release_run;
pub mod credentials;
pub mod github_app;
pub mod git;
pub mod deliver;
pub mod webhook;
pub mod daily;
