//! Whether an installed LiteLLM is still what was installed; of `claude`, which is one file, [`super::stamp`] knows that.
//!
//! Its files are checked against the digests that each wheel lists in its `RECORD` (Python packaging's "Recording installed
//! projects"), and its packages against the lock.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Surroundings;
use super::cache::Installed;
use super::lock::{PythonPin, pins};
use super::python::{self, PythonError};

/// Prints what is installed beside the Python that runs it, and each file that is not as its `RECORD` says.
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

/// What is wrong with an installed LiteLLM; nothing if all is well.
pub async fn litellm(
    installed: &Installed,
    pin: &PythonPin,
    surroundings: &Surroundings,
) -> Result<Vec<String>, PythonError> {
    let launch = surroundings
        .launch(python::program(&installed.directory, "python"))
        .arguments(["-I", "-c", CHECK_RECORDS]);
    let output = python::run(launch, "python -c").await?;
    let records: Records =
        serde_json::from_slice(&output.stdout).map_err(|error| PythonError::Installer {
            what: "python -c".to_owned(),
            reason: error.to_string(),
        })?;
    let mut faults = records.faults;
    faults.extend(strangers(&records.packages, pin));
    Ok(faults)
}

/// Packages that are there and not pinned, at their version or at all.
fn strangers(packages: &BTreeMap<String, String>, pin: &PythonPin) -> Vec<String> {
    let pinned = pins(&pin.requirements);
    let is_pinned = |name: &str, version: &str| {
        pinned
            .iter()
            .any(|(pinned, at)| *pinned == normalized(name) && *at == version)
    };
    packages
        .iter()
        .filter(|(name, version)| !is_pinned(name, version))
        .map(|(name, version)| format!("the package {name} {version} is there and not pinned"))
        .collect()
}

/// A package's name as indexes compare them (Python packaging's "Name normalization").
fn normalized(name: &str) -> String {
    let mut normal = String::new();
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            character => normal.push(character.to_ascii_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_not_pinned_at_its_version_is_a_stranger() {
        let pin = PythonPin {
            package: "litellm".to_owned(),
            version: "1".to_owned(),
            requirements: "jinja2==3.1 \\\n".to_owned(),
        };
        let packages = |version: &str| BTreeMap::from([("Jinja2".to_owned(), version.to_owned())]);
        assert_eq!(strangers(&packages("3.1"), &pin), [""; 0]);
        assert_eq!(
            strangers(&packages("3.2"), &pin),
            ["the package Jinja2 3.2 is there and not pinned"]
        );
    }

    #[test]
    fn names_are_compared_normalized() {
        assert_eq!(normalized("A__b.-C"), "a-b-c");
    }
}
