//! The provider simulator.

mod routes;
mod rules;
