//! The matrix into the docs repository, and everything that a daily run does before that.
//!
//! What is to be published, and whether, is decided by pure functions over values (`gate`, `plan`, `summary`, `freshness`);
//! the edge (`resolve`, `gateway`, `run`, `credentials`, `github_app`, `git`, `deliver`, `webhook`) does what they say. It
//! never judges a trial, and it writes no file of the docs repository but those it was told of.

pub mod gate;
pub mod plan;
pub mod summary;
pub mod freshness;
pub mod resolve;
pub mod gateway;
pub mod run;
pub mod credentials;
pub mod github_app;
pub mod git;
pub mod deliver;
pub mod webhook;
