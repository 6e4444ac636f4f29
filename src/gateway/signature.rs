//! The signature of LiteLLM's image, verified by `cosign` where it is installed.

use std::time::Duration;

use anyhow::bail;

use crate::env::Environment;
use crate::process::{self, Launch, ProcessTag, RunId};

/// The public key, at the commit that added it to LiteLLM's repository.
/// Source: <https://docs.litellm.ai/docs/proxy/docker_image_security>.
const KEY: &str =
    "https://raw.githubusercontent.com/BerriAI/litellm/0112e53046018d726492c814b3644b7d376029d0/cosign.pub";
/// `cosign`'s exit code for an image without any signature.
/// Source: `cmd/cosign/errors/exit_codes.go` of <https://github.com/sigstore/cosign>.
const WITHOUT_SIGNATURE: i32 = 10;
const DEADLINE: Duration = Duration::from_secs(120);

/// Verifies `image`, a name with its digest, and says in a sentence what is known of its signature. A signature of another key
/// is an error. A missing one is not: some of LiteLLM's images have none
/// (<https://github.com/BerriAI/litellm/issues/32306>).
pub async fn verify_signature(image: &str, environment: &Environment, run: RunId) -> anyhow::Result<String> {
    let Some(cosign) = environment.find_program("cosign") else {
        return Ok("its signature is not verified: `cosign` is not installed".to_owned());
    };
    let launch = Launch::new(cosign, ProcessTag::run(run))
        // It reads the registry with the sign-in of `docker`.
        .environment(environment.for_docker())
        .environment(environment.for_git())
        .arguments(["verify", "--key", KEY, image]);
    let output = process::output(&launch, b"", DEADLINE).await?;
    if output.timed_out {
        bail!(
            "`cosign verify {image}` did not end within {} s",
            DEADLINE.as_secs()
        );
    }
    match output.ended.code {
        Some(0) => Ok("its signature is LiteLLM's".to_owned()),
        Some(WITHOUT_SIGNATURE) => Ok("it has no signature".to_owned()),
        _ => bail!(
            "the signature of `{image}` is not LiteLLM's: {}; do not run this image, and compare its digest with LiteLLM's release",
            output.stderr_text().trim()
        ),
    }
}
