//! A compatibility matrix that tells the truth: which Claude Code features really work through an LLM
//! gateway, on which provider.
//!
//! Each cell of the matrix is a YAML file, tried once per tier with the real `claude` against a real gateway. By
//! default an embedded provider simulator stands behind the gateway, so both of its sides are seen and
//! judged. The modules below are in reading order; `docs/architecture.md` shows how they fit together.

// The pure core: no clock, no file, no process, no network.

// Names and texts.
pub mod ids;
pub mod text;
pub mod digest;

// What is written, and what happened.
pub mod document;
pub mod wire;
pub mod transcript;
pub mod evidence;

// What must hold, and what did.
pub mod wire_diff;
pub mod findings;
pub mod expectation;
pub mod cells;
pub mod outcome;
pub mod judge;
pub mod plan;
pub mod cause;
pub mod mutants;

// Texts for people and pages.
pub mod authoring;
pub mod replay;
pub mod report;
pub mod results;
pub mod matrix;

// The edge: everything with effects.

// The machine.
pub mod clock;
pub mod env;
pub mod process;
pub mod progress;
pub mod http;
pub mod files;

// The parts of a trial.
pub mod claude;
pub mod ledger;
pub mod http_server;
pub mod provider;
pub mod relay;
pub mod toolchain;
pub mod github;
pub mod versions;
pub mod gateway;

// Whole runs.
pub mod session;
pub mod watch;
pub mod run;
pub mod publish;

// The command line.
pub mod cli;
