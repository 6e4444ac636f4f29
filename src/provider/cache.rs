//! A provider's prompt cache for one trial, or for all requests of none: it decides which tokens of a prompt are read from the
//! cache and written to it.
//!
//! It has no clock: callers pass the time. Its rules are from
//! <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>. A prefix of enough tokens is cached at each
//! breakpoint. A breakpoint finds a prefix that ends at it or at one of the blocks shortly before. A hit renews the lifetime.

use std::collections::HashMap;

use aws_lc_rs::digest::{Context, SHA256};

use crate::wire::model::{canonical_name, minimum_cacheable_tokens};
use crate::wire::tokens::Piece;

/// The positions at which a breakpoint looks for a cached prefix, including its own.
const LOOKBACK: usize = 20;

/// The most prefixes that are kept: a standalone simulator may run for long.
const MOST: usize = 10_000;

/// How the tokens of a prompt are charged; their sum is all tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) input: u64,
    pub(super) read: u64,
    pub(super) created_5m: u64,
    pub(super) created_1h: u64,
}

type PrefixHash = Vec<u8>;

struct CacheEntry {
    expires_at_ms: u64,
    lifetime_ms: u64,
}

#[derive(Default)]
pub(super) struct PromptCache {
    entries: HashMap<PrefixHash, CacheEntry>,
}

/// A prompt up to the end of one of its pieces.
struct Prefix<'a> {
    hash: PrefixHash,
    tokens: u64,
    breakpoint: Option<&'a str>,
}

impl PromptCache {
    /// Charges a prompt of `model` that is sent at `now_ms`, and updates the cache.
    pub(super) fn charge(&mut self, model: &str, pieces: &[Piece], now_ms: u64) -> Charge {
        self.entries.retain(|_, entry| now_ms < entry.expires_at_ms);
        let prefixes = prefixes(model, pieces);
        let minimum = minimum_cacheable_tokens(model);
        let breakpoints: Vec<usize> = (0..prefixes.len())
            .filter(|&index| prefixes[index].breakpoint.is_some() && prefixes[index].tokens >= minimum)
            .collect();
        let read = self.read(&prefixes, &breakpoints, now_ms);
        for &index in &breakpoints {
            self.write(&prefixes[index], now_ms);
        }
        let up_to = |index: Option<&usize>| index.map_or(read, |&index| prefixes[index].tokens.max(read));
        let for_1h = up_to(
            breakpoints
                .iter()
                .rfind(|&&index| prefixes[index].breakpoint == Some("1h")),
        );
        let cached = up_to(breakpoints.last());
        let total = prefixes.last().map_or(0, |prefix| prefix.tokens);
        Charge {
            input: total - cached,
            read,
            created_1h: for_1h - read,
            created_5m: cached - for_1h,
        }
    }

    /// The tokens of the longest cached prefix of a breakpoint. Its lifetime is renewed.
    fn read(&mut self, prefixes: &[Prefix], breakpoints: &[usize], now_ms: u64) -> u64 {
        for &breakpoint in breakpoints.iter().rev() {
            let first = (breakpoint + 1).saturating_sub(LOOKBACK);
            for prefix in prefixes[first..=breakpoint].iter().rev() {
                if let Some(entry) = self.entries.get_mut(&prefix.hash) {
                    entry.expires_at_ms = now_ms + entry.lifetime_ms;
                    return prefix.tokens;
                }
            }
        }
        0
    }

    fn write(&mut self, prefix: &Prefix, now_ms: u64) {
        let minutes = if prefix.breakpoint == Some("1h") { 60 } else { 5 };
        let lifetime_ms = minutes * 60 * 1000;
        let expires_at_ms = now_ms + lifetime_ms;
        let entry = self.entries.entry(prefix.hash.clone()).or_insert(CacheEntry {
            expires_at_ms,
            lifetime_ms,
        });
        entry.lifetime_ms = entry.lifetime_ms.max(lifetime_ms);
        entry.expires_at_ms = entry.expires_at_ms.max(expires_at_ms);
        if self.entries.len() > MOST {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.expires_at_ms);
            let first = first.map(|(hash, _)| hash.clone());
            first.and_then(|hash| self.entries.remove(&hash));
        }
    }
}

fn prefixes<'a>(model: &str, pieces: &'a [Piece]) -> Vec<Prefix<'a>> {
    let mut context = Context::new(&SHA256);
    context.update(canonical_name(model).as_bytes());
    let mut tokens = 0;
    pieces
        .iter()
        .map(|piece| {
            context.update(&(piece.identity.len() as u64).to_be_bytes());
            context.update(piece.identity.as_bytes());
            tokens += piece.tokens;
            Prefix {
                hash: context.clone().finish().as_ref().to_vec(),
                tokens,
                breakpoint: piece.breakpoint.as_deref(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "claude-sonnet-4-6";
    const MINUTE: u64 = 60_000;

    fn piece(identity: &str, tokens: u64, breakpoint: Option<&str>) -> Piece {
        Piece {
            identity: identity.to_owned(),
            tokens,
            breakpoint: breakpoint.map(str::to_owned),
        }
    }

    #[test]
    fn a_second_turn_reads_the_prefix_of_the_first() {
        let mut cache = PromptCache::default();
        let system = || piece("system", 2000, Some("5m"));
        let first = cache.charge(MODEL, &[system(), piece("q", 10, Some("5m"))], 0);
        assert_eq!(
            first,
            Charge {
                created_5m: 2010,
                ..Charge::default()
            }
        );
        let second = cache.charge(
            MODEL,
            &[
                system(),
                piece("q", 10, None),
                piece("a", 5, None),
                piece("q2", 7, Some("5m")),
                piece("tail", 3, None),
            ],
            MINUTE,
        );
        assert_eq!(
            second,
            Charge {
                read: 2010,
                created_5m: 12,
                created_1h: 0,
                input: 3
            }
        );
    }

    #[test]
    fn changed_expired_and_short_prefixes_are_not_read() {
        let mut cache = PromptCache::default();
        let system = |text: &str| [piece(text, 2000, Some("5m"))];
        cache.charge(MODEL, &system("a"), 0);
        assert_eq!(cache.charge(MODEL, &system("b"), 1).read, 0);
        assert_eq!(cache.charge(MODEL, &system("a"), 4 * MINUTE).read, 2000);
        assert_eq!(
            cache.charge(MODEL, &system("a"), 8 * MINUTE).read,
            2000,
            "a hit renews"
        );
        assert_eq!(
            cache.charge(MODEL, &system("a"), 14 * MINUTE).read,
            0,
            "five minutes are over"
        );
        let short = [piece("short", 1023, Some("5m"))];
        assert_eq!(
            cache.charge(MODEL, &short, 0),
            Charge {
                input: 1023,
                ..Charge::default()
            }
        );
        assert_eq!(cache.charge(MODEL, &short, 0).read, 0);
    }

    #[test]
    fn lookback_is_bounded_and_lifetimes_are_separate() {
        let mut cache = PromptCache::default();
        let head = piece("head", 2000, Some("1h"));
        let first = cache.charge(MODEL, &[head.clone(), piece("q", 100, Some("5m"))], 0);
        assert_eq!(
            first,
            Charge {
                created_1h: 2000,
                created_5m: 100,
                ..Charge::default()
            }
        );
        let long = |blocks: usize| -> Vec<Piece> {
            let mut pieces = vec![piece("head", 2000, None), piece("q", 100, None)];
            pieces.extend((1..blocks).map(|index| piece(&index.to_string(), 1, None)));
            pieces.push(piece("end", 1, Some("5m")));
            pieces
        };
        let mut other = PromptCache::default();
        other.charge(MODEL, &[head, piece("q", 100, Some("5m"))], 0);
        assert_eq!(cache.charge(MODEL, &long(19), 1).read, 2100);
        assert_eq!(other.charge(MODEL, &long(20), 1).read, 0);
    }
}
