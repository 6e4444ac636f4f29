//! The provider simulator.

mod models;
mod routes;
mod rules;
mod scripted;
mod signatures;
