//! The matrix: building, comparing, rendering.

use compat_matrix::matrix::terminal;
use compat_matrix::report::Paint;
use unicode_width::UnicodeWidthStr;

use crate::sample_run::{manifest, results};

#[test]
fn the_matrix_of_a_run_fits_eighty_columns_and_tells_tiers_apart() {
    let text = terminal::of_run(&manifest(), &results(), 80, Paint::Plain);
    assert!(text.lines().all(|line| line.width() <= 80), "{text}");
    insta::assert_snapshot!(text);
}
