//! SHA-512 digests in the form of package registries, `sha512-<base64>`.
//!
//! Pure. The form is that of Subresource Integrity, which npm's `dist.integrity` uses: entries separated by blanks. Only the
//! `sha512` entry counts.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA512};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::text::hex;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha512([u8; 64]);

impl Sha512 {
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The first twelve hexadecimal digits: enough to distinguish the entries of a cache.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

impl fmt::Display for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha512-{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` has no entry `sha512-<base64 of 64 bytes>`")]
pub struct DigestError(String);

impl FromStr for Sha512 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.split_whitespace()
            .filter_map(|entry| entry.strip_prefix("sha512-"))
            .find_map(|encoded| STANDARD.decode(encoded).ok()?.try_into().ok())
            .map(Self)
            .ok_or_else(|| DigestError(text.to_owned()))
    }
}

impl Serialize for Sha512 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha512 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA512))
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Sha512 {
        let digest = self.0.finish();
        Sha512(digest.as_ref().try_into().expect("SHA-512 has 64 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Sha512::of(b"claude");
        assert_eq!(digest.to_string().parse::<Sha512>().unwrap(), digest);
    }

    #[test]
    fn the_empty_text_has_the_published_digest() {
        // FIPS 180-4's example value for the empty message.
        let digest = Sha512::of(b"");
        let published = "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs";
        assert!(digest.to_string().starts_with(published));
        assert_eq!(digest.short(), "cf83e1357eef");
    }

    #[test]
    fn the_sha512_entry_is_found_among_others() {
        let digest = Sha512::of(b"claude");
        assert_eq!(format!("sha1-AAAA {digest}").parse::<Sha512>().unwrap(), digest);
    }

    #[test]
    fn a_text_without_sha512_is_refused() {
        for text in ["", "sha512-", "sha512-AAAA", "sha256-z4PhNX7vuL3xVChQ1m2AB9Yg5"] {
            assert!(text.parse::<Sha512>().is_err(), "{text}");
        }
    }
}
