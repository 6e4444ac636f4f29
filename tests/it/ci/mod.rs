//! From a red pipeline to its causes: sorted logs, and the clients of CircleCI and GitHub Actions.

mod circleci;
mod docs;
mod double;
mod evidence;
mod github;
mod logs;
