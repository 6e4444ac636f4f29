//! The provider simulator.

mod clouds;
mod routes;
mod rules;
