//! Decodes the content encodings (RFC 9110, section 8.4) that Claude Code accepts, and encodes gzip, part by part.

use std::io::Write;

use brotli_decompressor::DecompressorWriter;
use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder, ZlibDecoder};

/// The size of Brotli's output buffer, in bytes.
const BROTLI_BUFFER: usize = 4096;

/// Decodes a body that comes in parts. After an error it passes on the rest as it is.
pub struct ContentDecoder {
    encoding: String,
    state: State,
    error: Option<String>,
    /// The first bytes of a body without an encoding.
    head: Vec<u8>,
}

enum State {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

impl ContentDecoder {
    /// For a body with this `content-encoding`.
    pub fn new(content_encoding: Option<&str>) -> Self {
        let encoding = content_encoding.unwrap_or_default().trim().to_ascii_lowercase();
        let state = match encoding.as_str() {
            "" | "identity" => Ok(State::Identity),
            "gzip" | "x-gzip" => Ok(State::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            "deflate" => Ok(State::Deflate(Box::new(ZlibDecoder::new(Vec::new())))),
            "br" => Ok(State::Brotli(Box::new(DecompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
            )))),
            "zstd" => zstd::stream::write::Decoder::new(Vec::new())
                .map(|decoder| State::Zstd(Box::new(decoder)))
                .map_err(|error| error.to_string()),
            _ => Err("Claude Code accepts `gzip`, `deflate`, `br` and `zstd`".to_owned()),
        };
        let (state, error) = match state {
            Ok(state) => (state, None),
            Err(error) => (State::Identity, Some(error)),
        };
        Self {
            encoding,
            state,
            error,
            head: Vec::new(),
        }
    }

    /// The decoded bytes that `part` completes.
    pub fn push(&mut self, part: &[u8]) -> Vec<u8> {
        let decoded = match &mut self.state {
            State::Identity => {
                let missing = HEAD.saturating_sub(self.head.len()).min(part.len());
                self.head.extend_from_slice(&part[..missing]);
                return part.to_vec();
            }
            State::Gzip(decoder) => written(decoder, part).map(|()| std::mem::take(decoder.get_mut())),
            State::Deflate(decoder) => written(decoder, part).map(|()| std::mem::take(decoder.get_mut())),
            State::Brotli(decoder) => written(decoder, part).map(|()| std::mem::take(decoder.get_mut())),
            State::Zstd(decoder) => written(decoder, part).map(|()| std::mem::take(decoder.get_mut())),
        };
        decoded.unwrap_or_else(|error| {
            self.error = Some(error.to_string());
            self.state = State::Identity;
            part.to_vec()
        })
    }

    /// The encoding that the body does not have, and how that shows.
    pub fn problem(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(format!("the body is not encoded as `{}`: {error}", self.encoding))
    }

    /// The encoding that a body of text has, and that no header names. An archive has one too, rightly.
    pub fn unsaid(&self) -> Option<String> {
        unsaid(&self.head).map(|encoding| format!("the body is encoded as `{encoding}`"))
    }
}

/// How many bytes of a body show its encoding.
const HEAD: usize = 256;

/// The beginnings of encoded bodies (RFC 1952, RFC 8878, RFC 1950). A text may begin like the third, with `x^`.
const MAGIC: [(&[u8], &str); 6] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0x78, 0x01], "deflate"),
    (&[0x78, 0x5e], "deflate"),
    (&[0x78, 0x9c], "deflate"),
    (&[0x78, 0xda], "deflate"),
];

/// The encoding of a body that begins with `head`, if it shows. Brotli has no beginning of its own: bytes that are no text are
/// decoded to see whether a text comes out.
fn unsaid(head: &[u8]) -> Option<&'static str> {
    let mut magic = MAGIC.iter();
    if let Some((_, encoding)) = magic.find(|(start, _)| head.starts_with(start) && !is_text(head)) {
        return Some(encoding);
    }
    let mut brotli = DecompressorWriter::new(Vec::new(), BROTLI_BUFFER);
    let is_brotli = !is_text(head) && written(&mut brotli, head).is_ok();
    let decoded = brotli.get_mut();
    (is_brotli && !decoded.is_empty() && is_text(decoded)).then_some("br")
}

/// Whether `bytes` are the beginning of a text.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // It ends within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.contains(|character: char| character.is_control() && !character.is_ascii_whitespace())
}

/// Compresses a body that comes in parts. Each part can be decoded as soon as it arrives.
pub struct GzipEncoder(GzEncoder<Vec<u8>>);

impl Default for GzipEncoder {
    fn default() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }
}

impl GzipEncoder {
    /// The bytes for `part`.
    pub fn push(&mut self, part: &[u8]) -> Vec<u8> {
        // Writing into memory does not fail.
        let _ = written(&mut self.0, part);
        std::mem::take(self.0.get_mut())
    }

    /// The bytes at the end of the body.
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().unwrap_or_default()
    }
}

/// The whole of a body, compressed.
pub fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::default();
    let mut bytes = encoder.push(body);
    bytes.extend(encoder.finish());
    bytes
}

fn written(decoder: &mut impl Write, part: &[u8]) -> std::io::Result<()> {
    decoder.write_all(part)?;
    decoder.flush()
}

#[cfg(test)]
mod tests {
    use flate2::write::ZlibEncoder;

    use super::*;

    const TEXT: &[u8] = b"data: {\"type\":\"ping\"}\n\n";

    fn decoded(encoding: &str, body: &[u8], size: usize) -> (Vec<u8>, Option<String>) {
        let mut decoder = ContentDecoder::new(Some(encoding).filter(|encoding| !encoding.is_empty()));
        let decoded = body.chunks(size).flat_map(|part| decoder.push(part)).collect();
        (decoded, decoder.problem().or_else(|| decoder.unsaid()))
    }

    /// [`TEXT`] in each encoding.
    fn bodies() -> [(&'static str, Vec<u8>); 5] {
        let mut deflate = ZlibEncoder::new(Vec::new(), Compression::fast());
        deflate.write_all(TEXT).unwrap();
        // Brotli's form for bytes that are not compressed: a window of 16 bits, one block, an empty last block.
        let length = TEXT.len() as u32 - 1;
        let brotli = [&(length << 4 | 1 << 20).to_le_bytes()[..3], TEXT, &[3]].concat();
        [
            ("gzip", gzipped(TEXT)),
            ("deflate", deflate.finish().unwrap()),
            ("br", brotli),
            ("zstd", zstd::encode_all(TEXT, 1).unwrap()),
            ("identity", TEXT.to_vec()),
        ]
    }

    #[test]
    fn each_encoding_is_decoded_wherever_it_is_cut() {
        for (encoding, body) in bodies() {
            for size in [1, 7, body.len()] {
                let found = decoded(encoding, &body, size);
                assert_eq!(found, (TEXT.to_vec(), None), "{encoding} in parts of {size}");
            }
        }
    }

    #[test]
    fn an_encoding_that_no_header_names_is_a_problem() {
        for (encoding, body) in bodies() {
            for size in [1, 7, body.len()] {
                let (_, problem) = decoded("", &body, size);
                let expected = format!("the body is encoded as `{encoding}`");
                let expected = (encoding != "identity").then_some(expected);
                assert_eq!(problem, expected, "{encoding} in parts of {size}");
            }
        }
        for text in [
            "",
            "x^2",
            " ",
            "{}",
            "\u{feff}{}",
            "x",
            "data: ä\r\n\n",
            "\u{0}\u{0}\u{1}",
        ] {
            assert_eq!(decoded("", text.as_bytes(), 1).1, None, "{text:?}");
        }
        let half = &"ä".as_bytes()[..1];
        assert_eq!(decoded("", half, 1).1, None);
    }

    #[test]
    fn an_event_is_decoded_as_soon_as_it_is_flushed() {
        let mut encoder = GzipEncoder::default();
        let mut decoder = ContentDecoder::new(Some("GZIP"));
        for _ in 0..3 {
            assert_eq!(decoder.push(&encoder.push(TEXT)), TEXT);
        }
    }

    #[test]
    fn a_claimed_encoding_that_is_wrong_is_a_problem() {
        for encoding in ["gzip", "deflate", "br", "zstd", "rot13"] {
            let (decoded, problem) = decoded(encoding, TEXT, TEXT.len());
            assert_eq!(decoded, TEXT, "{encoding}");
            let problem = problem.expect(encoding);
            let start = format!("the body is not encoded as `{encoding}`: ");
            assert!(problem.starts_with(&start), "{problem}");
        }
    }
}
