//! AWS Signature Version 4 of a request: computed, so that a receiver can verify it and a relay can sign again.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>. As for every service
//! but S3, the path is percent-encoded once more than it was sent.

use std::sync::LazyLock;

use aws_lc_rs::{digest, hmac};
use percent_encoding::{AsciiSet, percent_decode_str, percent_encode, utf8_percent_encode};
use regex::Regex;

use crate::text::{RESERVED, hex};

const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// The parts of a request that a signature may cover.
pub struct SignedParts<'a> {
    pub method: &'a str,
    /// As it was sent, without the query.
    pub path: &'a str,
    pub query: &'a str,
    /// Names in lower case, in order.
    pub headers: Vec<(&'a str, &'a [u8])>,
    pub body: &'a [u8],
}

impl<'a> SignedParts<'a> {
    /// The first value of header `name`, if it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.headers.iter().find(|(key, _)| *key == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// An `authorization` header with a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    pub access_key_id: String,
    /// `YYYYMMDD`.
    pub date: String,
    pub region: String,
    pub service: String,
    /// The names of the signed headers, in order.
    pub signed_headers: Vec<String>,
    /// 64 hex digits.
    pub signature: String,
}

/// A computed signature, and the texts that it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputedSignature {
    pub canonical_request: String,
    pub string_to_sign: String,
    pub signature: String,
}

impl Authorization {
    pub fn parse(header: &str) -> Option<Self> {
        static FORM: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(concat!(
                "^AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]+)/([0-9]{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?",
                "SignedHeaders=([a-z0-9;_-]+), ?Signature=([0-9a-f]{64})$",
            ))
            .expect("a constant expression")
        });
        let (_, [access_key_id, date, region, service, signed, signature]) = FORM.captures(header)?.extract();
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }

    /// The header with `signature`.
    pub fn header(&self, signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.access_key_id,
            self.scope(),
            self.signed_headers.join(";")
        )
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }

    /// The signature that a request of this scope and with these signed headers must have.
    pub fn compute(&self, secret_access_key: &str, request: &SignedParts<'_>) -> ComputedSignature {
        let canonical_request = self.canonical_request(request);
        let string_to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            request.header("x-amz-date").unwrap_or_default(),
            self.scope(),
            hash(canonical_request.as_bytes())
        );
        let first = format!("AWS4{secret_access_key}").into_bytes();
        let scope = [&self.date, &self.region, &self.service, "aws4_request"];
        let key = scope
            .iter()
            .fold(first, |key, part| mac(&key, part.as_bytes()).as_ref().to_vec());
        ComputedSignature {
            signature: hex(mac(&key, string_to_sign.as_bytes()).as_ref()),
            canonical_request,
            string_to_sign,
        }
    }

    /// Whether the request has the signature that it must have.
    pub fn verifies(&self, secret_access_key: &str, request: &SignedParts<'_>) -> bool {
        self.compute(secret_access_key, request).signature == self.signature
    }

    fn canonical_request(&self, request: &SignedParts<'_>) -> String {
        let headers: String = self
            .signed_headers
            .iter()
            .map(|name| format!("{name}:{}\n", canonical_value(request, name)))
            .collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.method,
            utf8_percent_encode(request.path, RESERVED_IN_PATH),
            canonical_query(request.query),
            self.signed_headers.join(";"),
            hash(request.body)
        )
    }
}

/// The values of a header, each with single spaces only.
fn canonical_value(request: &SignedParts<'_>, name: &str) -> String {
    let values = request.headers.iter().filter(|(key, _)| *key == name);
    let values: Vec<String> = values
        .map(|(_, value)| {
            let text = String::from_utf8_lossy(value);
            text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    values.join(",")
}

fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&decoded, &RESERVED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// The SHA-256 of `bytes` in hex digits.
fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, date and scope of AWS's published test suite for signers.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const DATE: (&str, &[u8]) = ("x-amz-date", b"20150830T123600Z");

    fn authorization(signed: &str) -> Authorization {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={signed}, Signature={}",
            "0".repeat(64)
        );
        Authorization::parse(&header).expect(signed)
    }

    #[test]
    fn signatures_agree_with_awss_test_suite() {
        let host: (&str, &[u8]) = ("host", b"example.amazonaws.com");
        let get = |query, headers| SignedParts {
            method: "GET",
            path: "/",
            query,
            headers,
            body: b"",
        };
        // get-vanilla
        let signature = authorization("host;x-amz-date").compute(SECRET, &get("", vec![host, DATE]));
        assert_eq!(
            signature.signature,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        // get-vanilla-query-order-key-case
        let query = "Param2=value2&Param1=value1";
        let signature = authorization("host;x-amz-date").compute(SECRET, &get(query, vec![host, DATE]));
        assert_eq!(
            signature.signature,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        // get-header-value-trim
        let spaced: [(&str, &[u8]); 2] = [("my-header1", b" value1"), ("my-header2", b" \"a   b   c\"")];
        let headers = vec![host, spaced[0], spaced[1], DATE];
        let signed = authorization("host;my-header1;my-header2;x-amz-date");
        assert_eq!(
            signed.compute(SECRET, &get("", headers)).signature,
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
        );
    }

    #[test]
    fn the_path_is_encoded_once_more() {
        let path = |path| {
            let request = SignedParts {
                method: "POST",
                path,
                query: "",
                headers: vec![DATE],
                body: b"{}",
            };
            let computed = authorization("x-amz-date").compute(SECRET, &request);
            computed.canonical_request.lines().nth(1).map(str::to_owned)
        };
        assert_eq!(
            path("/model/a-v1:0/invoke").as_deref(),
            Some("/model/a-v1%3A0/invoke")
        );
        assert_eq!(
            path("/model/a-v1%3A0/invoke").as_deref(),
            Some("/model/a-v1%253A0/invoke")
        );
    }

    #[test]
    fn a_header_is_parsed_and_written_back() {
        let parsed = authorization("host;x-amz-date");
        assert_eq!(parsed.signed_headers, ["host", "x-amz-date"]);
        let header = parsed.header(&parsed.signature);
        assert_eq!(Authorization::parse(&header), Some(parsed));
        assert_eq!(Authorization::parse("Bearer x"), None);
    }
}
