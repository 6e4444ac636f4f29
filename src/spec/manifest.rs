//! Reads the manifest: which rows, columns and tiers there are.
