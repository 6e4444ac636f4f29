//! The provider simulator.

mod clouds;
mod models;
mod routes;
mod rules;
mod scripted;
mod signatures;
