//! The marks in the simulator's replies. The random digits of an id and the bytes of a signature end with a checksum, so they
//! show that the simulator made them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::digest::Sha512;

/// The digits of an id that are random.
const RANDOM: usize = 16;
/// The digits of an id. The providers' ids have this length after their prefix.
const DIGITS: usize = 22;

/// `random` with the checksum in it.
pub fn sealed(random: Uuid) -> Uuid {
    let digits = random.simple().to_string();
    let sealed = format!(
        "{}{}{}",
        &digits[..RANDOM],
        checksum(&digits[..RANDOM]),
        &digits[DIGITS..]
    );
    sealed.parse().unwrap_or(random)
}

/// A new id of a reply, from random ones. No three of its digits are the status of an error: LiteLLM reads such digits anywhere in an
/// error as its status, and one run of some hundred would differ by luck (`docs/findings/litellm-status-in-an-id.md`).
pub fn new(mut random: impl FnMut() -> Uuid) -> Uuid {
    loop {
        let id = sealed(random());
        if !has_status(&id.simple().to_string()) {
            return id;
        }
    }
}

/// Whether three digits of `id` are the status of an error.
pub fn has_status(id: &str) -> bool {
    let is_status = |three: &[u8]| matches!(three[0], b'4' | b'5') && three.iter().all(u8::is_ascii_digit);
    id.as_bytes().windows(3).any(is_status)
}

/// The digits of an id of the simulator: of a message, or of a request.
pub fn digits(random: Uuid) -> String {
    let mut digits = sealed(random).simple().to_string();
    digits.truncate(DIGITS);
    digits
}

/// 16 letters or digits with their checksum.
pub fn with_checksum(random: String) -> String {
    let checksum = checksum(&random);
    random + &checksum
}

/// The digits of `id`, of a message, of a request or of a tool's call, if the simulator made it.
pub fn of_simulator(id: &str) -> Option<&str> {
    let (_, digits) = id.rsplit_once("_01")?;
    let is_sealed = digits.len() == DIGITS && digits.get(RANDOM..) == Some(&checksum(digits.get(..RANDOM)?));
    is_sealed.then_some(digits)
}

/// `tag` with its checksum, as the signature of thinking.
pub fn signature(tag: &[u8]) -> String {
    STANDARD.encode([tag, checksum_of(tag).as_bytes()].concat())
}

/// The tag in a signature of thinking, if the simulator made it.
pub fn tag_of_simulator(signature: &str) -> Option<Vec<u8>> {
    let mut bytes = STANDARD.decode(signature).ok()?;
    let sum = bytes.split_off(bytes.len().checked_sub(DIGITS - RANDOM)?);
    (sum == checksum_of(&bytes).as_bytes()).then_some(bytes)
}

/// Whether the simulator made `id`, which may be a UUID, as AWS's ids of requests are.
pub fn is_of_simulator(id: &str) -> bool {
    let of_uuid = || {
        let digits = id.parse::<Uuid>().ok()?.simple().to_string();
        Some(digits[RANDOM..DIGITS] == checksum(&digits[..RANDOM]))
    };
    of_simulator(id).is_some() || of_uuid().unwrap_or_default()
}

fn checksum(digits: &str) -> String {
    checksum_of(digits.as_bytes())
}

fn checksum_of(bytes: &[u8]) -> String {
    let mut checksum = Sha512::of(bytes).short();
    checksum.truncate(DIGITS - RANDOM);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_shows_that_the_simulator_made_it() {
        let random: Uuid = "5f0c6a2e-3c1d-4b5e-9a57-0d8f4f1c2b3a".parse().unwrap();
        let digits = digits(random);
        assert_eq!(&digits[..16], "5f0c6a2e3c1d4b5e");
        for id in [
            format!("msg_01{digits}"),
            format!("msg_bdrk_01{digits}"),
            format!("req_vrtx_01{digits}"),
        ] {
            assert_eq!(of_simulator(&id), Some(digits.as_str()), "{id}");
        }
        let call = format!("toolu_bdrk_01{}", with_checksum("A09q90qw90lq917A".to_owned()));
        assert!(of_simulator(&call).is_some(), "{call}");
        assert!(sealed(random).simple().to_string().starts_with(&digits));
        assert!(is_of_simulator(&sealed(random).to_string()) && is_of_simulator(&call));
        assert!(!is_of_simulator(&random.to_string()) && !is_of_simulator("req_1"));
        for id in [
            "",
            "msg_1",
            "msg_01öö",
            "msg_015f0c6a2e3c1d4b5e9a570d",
            "chatcmpl-5f0c6a2e-3c1d-4b5e-9a57-0d8f4f1c2b3a",
        ] {
            assert_eq!(of_simulator(id), None, "{id}");
        }
    }

    #[test]
    fn no_digits_of_a_new_id_are_a_status() {
        let with_status = "014034ab-0000-0000-0000-000000000000".parse().unwrap();
        let plain: Uuid = "01abcdef-0123-6789-0123-0d8f6f1c2b3a".parse().unwrap();
        let mut ids = [with_status, plain].into_iter();
        let id = new(|| ids.next().expect("the second one is taken"));
        assert_eq!(id, sealed(plain));
        assert!(is_of_simulator(&id.to_string()));
    }

    #[test]
    fn a_signature_shows_that_the_simulator_made_it() {
        let tag = b"0123456789abcdef";
        let made = signature(tag);
        assert_eq!(tag_of_simulator(&made).as_deref(), Some(&tag[..]));
        for other in [
            "",
            "not base64",
            "AAAA",
            &STANDARD.encode(tag),
            &made.replace('=', ""),
        ] {
            assert_eq!(tag_of_simulator(other), None, "{other}");
        }
    }
}
