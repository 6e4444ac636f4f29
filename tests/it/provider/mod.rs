//! The provider simulator.

mod callers;
mod clouds;
mod every_rule;
mod kinds;
mod models;
mod models_of_claude_5;
mod reply_fields;
mod routes;
mod rules;
mod scripted;
mod sdk;
mod signatures;
mod standalone;
mod tool_history;
