//! Where a provider processes a request, as named parts.

use serde::{Deserialize, Serialize};

use super::exchange::ProviderExchange;
use super::target::RequestTarget;
use super::{Operation, Route};

/// The parts of a place that are known. On AWS, the signature covers the region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessingPlace {
    /// Google's project, which pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Google's location: `us-east5`, `global`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The geography of Bedrock's inference profile: `us`, `global`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geography: Option<String>,
    /// Google's project whose quota counts, if it is another one than `project`:
    /// <https://cloud.google.com/apis/docs/system-parameters>.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_project: Option<String>,
}

/// The header that names a quota project.
pub const QUOTA_PROJECT: &str = "x-goog-user-project";

impl ProcessingPlace {
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The parts that are the same in both.
    pub fn in_common(self, other: Self) -> Self {
        let same = |one: Option<String>, other| one.filter(|one| other == Some(one.clone()));
        Self {
            project: same(self.project, other.project),
            location: same(self.location, other.location),
            geography: same(self.geography, other.geography),
            quota_project: same(self.quota_project, other.quota_project),
        }
    }

    /// The place that a request names.
    pub fn of(exchange: &ProviderExchange) -> Self {
        let request = &exchange.request;
        match exchange.route {
            Some(Route::VertexAi) => {
                let mut segments = request.path.split('/').skip_while(|part| *part != "projects");
                let project = segments.nth(1).map(str::to_owned);
                let quota = request.header(QUOTA_PROJECT).next().map(str::to_owned);
                Self {
                    location: segments.nth(1).map(str::to_owned),
                    quota_project: quota.filter(|quota| Some(quota) != project.as_ref()),
                    project,
                    geography: None,
                }
            }
            // CountTokens takes foundation models alone:
            // <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html>.
            Some(Route::BedrockInvoke | Route::BedrockConverse)
                if exchange.operation == Operation::Messages =>
            {
                Self {
                    geography: RequestTarget::of(&request.method, &request.path)
                        .model
                        .and_then(|model| geography(&model)),
                    ..Self::default()
                }
            }
            _ => Self::default(),
        }
    }
}

/// The geography of a Bedrock model id; `none` for a model of one region. `None` if an ARN says nothing about it.
///
/// Source: <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>
pub fn geography(model: &str) -> Option<String> {
    let id = model.rsplit('/').next().unwrap_or(model);
    match id.split_once("anthropic.") {
        Some(("", _)) => Some("none".to_owned()),
        Some((geography, _)) => Some(geography.trim_end_matches('.').to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geography_is_the_beginning_of_a_profile() {
        for (model, expected) in [
            ("us.anthropic.claude-opus-4-7", Some("us")),
            ("us-gov.anthropic.claude-opus-4-7", Some("us-gov")),
            ("anthropic.claude-opus-4-7", Some("none")),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-opus-4-7",
                Some("global"),
            ),
            (
                "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
                None,
            ),
        ] {
            assert_eq!(geography(model).as_deref(), expected, "{model}");
        }
    }
}
