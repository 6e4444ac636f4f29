//! A compatibility matrix: which Claude Code features really work through an LLM gateway, on which provider.
//!
//! A cell of the matrix is written in YAML. Each trial runs it on one tier of models, with the real `claude` and a real
//! gateway. By default the gateway talks to an embedded provider simulator, so both sides of the gateway are recorded and
//! judged. The modules below are in reading order; `docs/architecture.md` shows their connections.

// The pure core: no clock, no file, no process, no network.

// Names and texts.
pub mod ids;
pub mod text;
pub mod commands;
pub mod phrases;
pub mod digest;
pub mod isolation;

// Files, requests and recorded evidence.
pub mod document;
pub mod wire;
pub mod transcript;
pub mod evidence;

// Expectations, and the evaluation of the evidence.
pub mod wire_diff;
pub mod catalogue;
pub mod findings;
pub mod expectation;
pub mod cells;
pub mod outcome;
pub mod judge;
pub mod plan;
pub mod cause;
pub mod mutants;

// Texts and pages for readers.
pub mod authoring;
pub mod replay;
pub mod report;
pub mod results;
pub mod matrix;
pub mod ci;
pub mod drift;

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
pub mod ci_client;
pub mod versions;
pub mod gateway;

// Whole runs.
pub mod session;
pub mod watch;
pub mod run;
pub mod harness;
pub mod publish;

// The command line.
pub mod cli;
