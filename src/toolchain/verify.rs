//! Whether an installed LiteLLM is unchanged; [`super::stamp`] checks `claude`, which is a single file.
//!
//! Each file is compared with the digest in its wheel's `RECORD` (Python packaging's "Recording installed projects"), and
//! each package with the lock.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::Context as _;
use regex::Regex;
use serde::Deserialize;

use super::cache::Installed;
use super::lock::{PythonPin, pins};
use super::{ToolEnvironment, inventory, python};

/// Prints the packages beside the Python that runs it, and each file that differs from its `RECORD`.
const CHECK_RECORDS: &str = r#"
import base64, hashlib, importlib.metadata, json
packages, faults = {}, []
for distribution in importlib.metadata.distributions():
    packages[distribution.metadata["Name"]] = distribution.version
    for file in distribution.files or []:
        if file.hash is None:
            continue
        try:
            content = file.locate().read_bytes()
        except OSError as error:
            faults.append(f"{file}: {error.strerror}")
            continue
        digest = hashlib.new(file.hash.mode, content).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            faults.append(f"{file}: changed since it was installed")
print(json.dumps({"packages": packages, "faults": faults}))
"#;

#[derive(Deserialize)]
struct Records {
    packages: BTreeMap<String, String>,
    faults: Vec<String>,
}

/// The differences between an installed LiteLLM and `pin`; empty if there are none.
pub async fn litellm(
    installed: &Installed,
    pin: &PythonPin,
    tools: &ToolEnvironment,
) -> anyhow::Result<Vec<String>> {
    let launch = tools
        .launch(python::program(&installed.directory, "python"))
        .arguments(["-I", "-B", "-c", CHECK_RECORDS]);
    let output = python::run(launch, "python -c").await?;
    let records: Records =
        serde_json::from_slice(&output.stdout).context("cannot read the output of `python -c`")?;
    let mut faults = records.faults;
    faults.extend(inventory::faults(&installed.directory)?);
    faults.extend(unpinned(&records.packages, pin));
    Ok(faults)
}

fn unpinned(packages: &BTreeMap<String, String>, pin: &PythonPin) -> Vec<String> {
    let pinned = pins(&pin.requirements);
    packages
        .iter()
        .filter(|(name, version)| !pinned.contains(&(&normalized(name), version)))
        .map(|(name, version)| format!("the package {name} {version} is not pinned"))
        .collect()
}

/// A package's name in the form in which indexes compare names (Python packaging's "Name normalization").
fn normalized(name: &str) -> String {
    static SEPARATORS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("[-_.]+").expect("the pattern is valid"));
    SEPARATORS.replace_all(name, "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_at_another_version_is_not_pinned() {
        let pin = PythonPin {
            package: "litellm".to_owned(),
            version: "1".to_owned(),
            requirements: "jinja2==3.1 \\\n".to_owned(),
        };
        let packages = |version: &str| BTreeMap::from([("Jinja2".to_owned(), version.to_owned())]);
        assert_eq!(unpinned(&packages("3.1"), &pin), [""; 0]);
        assert_eq!(
            unpinned(&packages("3.2"), &pin),
            ["the package Jinja2 3.2 is not pinned"]
        );
    }

    #[test]
    fn names_are_compared_normalized() {
        assert_eq!(normalized("A__b.-C"), "a-b-c");
    }
}
