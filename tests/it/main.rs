//! The integration tests: one binary, so that the crate is linked once.

mod cells_guide;
mod spec_cells;
mod spec_faults;
mod spec_files;
