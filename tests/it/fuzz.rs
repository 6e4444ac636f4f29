//! The fuzz targets on stable Rust, for a bounded time: seeded mutations of the corpus. `COMPAT_FUZZ_SECONDS` is the time of each
//! target. cargo-fuzz runs the same targets for longer (CONTRIBUTING.md).

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::time::{Duration, Instant};

use crate::support::files::contents;
use crate::support::root;
use targets::{TARGETS, Target};

/// Enough for a regression on a known input; `.ci/run` takes longer.
const DEFAULT_SECONDS: f64 = 0.2;

/// Pieces that matter to one of the formats.
const PIECES: [&[u8]; 20] = [
    b"\n",
    b"\n\n",
    b": ",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"|\n",
    b"${",
    b"data: ",
    b"null",
    b"1e999",
    b"\xff\xfe",
    b"\0\0\0\x10",
];

/// A generator of numbers without a dependency (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

fn mutated(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut data = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(data.len() + 1);
        let end = (at + random.below(40)).min(data.len());
        match random.below(6) {
            0 => drop(data.drain(at..end)),
            1 => drop(data.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            2 if at < data.len() => data[at] = random.below(256) as u8,
            3 => {
                let copied = data[at..end].to_vec();
                let to = random.below(data.len() + 1);
                drop(data.splice(to..to, copied));
            }
            4 => data.truncate(at),
            _ => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
    data
}

fn fuzz(name: &str, target: Target) {
    let corpus: Vec<Vec<u8>> = contents(&root().join("fuzz/corpus").join(name))
        .into_values()
        .collect();
    assert!(!corpus.is_empty(), "`fuzz/corpus/{name}` is empty");
    for data in &corpus {
        target(data);
    }
    let seconds = std::env::var("COMPAT_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let time = Duration::from_secs_f64(seconds.unwrap_or(DEFAULT_SECONDS));
    let seed = u64::from(std::process::id());
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
    let started = Instant::now();
    while started.elapsed() < time {
        let data = mutated(&mut random, &corpus);
        let outcome = std::panic::catch_unwind(|| target(&data));
        assert!(
            outcome.is_ok(),
            "target `{name}` panics on {:?}",
            String::from_utf8_lossy(&data)
        );
    }
}

#[test]
fn no_target_panics_on_a_mutated_corpus() {
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || fuzz(name, target));
        }
    });
}
