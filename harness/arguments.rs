//! The command line: libtest's, as libtest-mimic reads it.

use libtest_mimic::Arguments;

/// Reads the command line; on a bad one it prints what is wrong and exits with status 2, as libtest does.
pub fn parse() -> Arguments {
    Arguments::from_args()
}
