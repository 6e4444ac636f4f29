//! Signatures of thinking blocks: made when a block is sent, verified when a client returns it.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wire::model::canonical_name;
use crate::wire::reply_id;

/// Signs thinking with a key of the simulator.
pub(super) struct Signer {
    key: hmac::Key,
}

impl Signer {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    /// The signature of `thinking` by `model`. All providers' spellings of a model have the same signature, because a
    /// conversation may move between providers.
    pub(super) fn sign(&self, model: &str, thinking: &str) -> String {
        reply_id::signature(hmac::sign(&self.key, &signed_text(model, thinking)).as_ref())
    }

    /// `thinking` as an opaque block: base64 of a tag and the text. A provider encrypts it.
    pub(super) fn redact(&self, model: &str, thinking: &str) -> String {
        let tag = hmac::sign(&self.key, &signed_text(model, thinking));
        STANDARD.encode([tag.as_ref(), thinking.as_bytes()].concat())
    }

    /// Whether [`Self::redact`] made `data` for `model`.
    pub(super) fn verifies_redacted(&self, model: &str, data: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(data) else {
            return false;
        };
        bytes.split_at_checked(TAG_LENGTH).is_some_and(|(tag, thinking)| {
            let signed = signed_text(model, &String::from_utf8_lossy(thinking));
            hmac::verify(&self.key, &signed, tag).is_ok()
        })
    }

    pub(super) fn verifies(&self, model: &str, thinking: &str, signature: &str) -> bool {
        reply_id::tag_of_simulator(signature)
            .is_some_and(|tag| hmac::verify(&self.key, &signed_text(model, thinking), &tag).is_ok())
    }
}

/// The length of an HMAC-SHA256 tag, in bytes.
const TAG_LENGTH: usize = 32;

fn signed_text(model: &str, thinking: &str) -> Vec<u8> {
    format!("{}\0{thinking}", canonical_name(model)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_valid_only_for_its_own_text() {
        let signer = Signer::new(b"a secret");
        let signature = signer.sign("claude-haiku-4-5", "hm");
        assert!(signer.verifies("us.anthropic.claude-haiku-4-5-20251001-v1:0", "hm", &signature));
        assert!(!signer.verifies("claude-haiku-4-5", "hm!", &signature));
        assert!(!signer.verifies("claude-haiku-4-5", "hm", "not base64"));
    }

    #[test]
    fn redacted_thinking_is_valid_only_as_it_was_made() {
        let signer = Signer::new(b"a secret");
        let data = signer.redact("claude-haiku-4-5", "hm");
        assert!(signer.verifies_redacted("claude-haiku-4-5@20251001", &data));
        assert!(!signer.verifies_redacted("claude-opus-4-7", &data));
        let cut = data.replace('=', "");
        let signature = signer.sign("claude-haiku-4-5", "hm!");
        for wrong in ["", "not base64", cut.as_str(), signature.as_str()] {
            assert!(!signer.verifies_redacted("claude-haiku-4-5", wrong), "{wrong}");
        }
    }
}
