//! The provider simulator.

mod routes;
mod rules;
mod scripted;
