//! Integration tests: hermetic, on loopback.

mod provider_routes;
