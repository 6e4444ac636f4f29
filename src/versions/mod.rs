//! Which versions of Claude Code and LiteLLM there are, and which one to take.
//!
//! Selection is pure (`claude_code`, `litellm`): what a registry said goes in, a version or a reason why there is none
//! comes out. Fetching is thin, and installs nothing.

pub mod age;
pub mod claude_code;
pub mod litellm;
pub mod github;
