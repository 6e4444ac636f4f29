//! The docs repository, through the `git` program and without a work tree: a shallow fetch, one commit, a push.
//!
//! The token is never in an argument, the environment, git's configuration or the address. git's `credential-store` reads it
//! from a file that only its owner may read. That file exists only while git talks to the server. No push is forced.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;
use reqwest::Url;

use super::plan::{ChangedFile, NewFile, RepositoryPath};
use crate::env::{self, Environment, Secret, Variables};
use crate::http::may_carry_secrets;
use crate::process::{self, Launch, ProcessTag, ProgramOutput, RunId};
use crate::text::shell_word;

/// The time limit for git commands on this machine.
const LOCAL_DEADLINE: Duration = Duration::from_secs(60);
/// The time limit for a fetch or a push.
const NETWORK_DEADLINE: Duration = Duration::from_secs(10 * 60);
/// The name of the remote in the temporary repository.
const REMOTE: &str = "docs";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub email: String,
}

impl std::str::FromStr for Author {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_suffix('>')
            .and_then(|text| text.split_once(" <"))
            .filter(|(name, email)| !name.trim().is_empty() && email.contains('@'))
            .filter(|_| !text.contains(char::is_control))
            .map(|(name, email)| Self {
                name: name.trim().to_owned(),
                email: email.to_owned(),
            })
            .ok_or_else(|| "expected `Name <address>`".to_owned())
    }
}

/// The address of a repository, without credentials in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUrl(Url);

impl std::str::FromStr for RemoteUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url =
            Url::parse(text).map_err(|error| format!("{error}; expected `https://host/owner/name.git`"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address must not hold credentials: give them in a file".into());
        }
        match url.scheme() {
            "file" => Ok(Self(url)),
            "http" if !may_carry_secrets(&url) => {
                Err("over `http` anybody could read the token, expected `https`".into())
            }
            "https" | "http" => Ok(Self(url)),
            other => Err(format!("`{other}` is not supported, expected `https`")),
        }
    }
}

impl std::fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl RemoteUrl {
    /// Its path, which ends with owner and name on GitHub.
    pub fn path(&self) -> &str {
        self.0.path()
    }
}

/// A failed git command, by the causes that the publisher handles.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The server refuses the token, or a request without one.
    #[error("the docs repository refuses the token: {0}")]
    TokenRefused(String),
    #[error("the docs repository has no branch `{0}`")]
    NoBranch(String),
    #[error("the branch has moved: {0}")]
    Moved(String),
    /// There is no connection, or it broke.
    #[error("cannot reach the docs repository: {0}")]
    Unreachable(String),
    #[error("{0}")]
    Other(String),
}

/// A temporary repository with the docs repository as its remote.
#[derive(Debug)]
pub struct BareRepo {
    folder: PathBuf,
    url: RemoteUrl,
    environment: Variables,
    tag: ProcessTag,
}

impl BareRepo {
    /// Creates one in `folder`, which must not exist yet.
    pub async fn create(
        folder: &Path,
        url: &RemoteUrl,
        environment: &Environment,
        run: RunId,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the temporary folder `{}`", folder.display()))?;
        let mut variables = environment.for_git();
        let own: [(&str, OsString); 5] = [
            (env::HOME, folder.into()),
            // The causes of failures are found by git's English messages.
            (env::LC_ALL, "C".into()),
            (env::GIT_CONFIG_GLOBAL, "/dev/null".into()),
            (env::GIT_CONFIG_NOSYSTEM, "1".into()),
            (env::GIT_TERMINAL_PROMPT, "0".into()),
        ];
        variables.extend(own.map(|(name, value)| (name.into(), value)));
        let repo = Self {
            folder: folder.join("docs.git"),
            url: url.clone(),
            environment: variables,
            tag: ProcessTag::run(run),
        };
        let launch = repo
            .launch()
            .arguments(["init", "--quiet", "--bare", "--template="])
            .arguments([&repo.folder]);
        run_local(launch, b"").await?;
        Ok(repo)
    }

    /// Fetches the last commit of `branch` and returns its id; `None` if there is no such branch.
    pub async fn fetch(&self, branch: &str, token: Option<&Secret>) -> anyhow::Result<Option<String>> {
        let local = format!("refs/remotes/{REMOTE}/{branch}");
        let refspec = format!("+refs/heads/{branch}:{local}");
        let fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none"];
        let fetched = self
            .network(fetch.into_iter().chain([REMOTE, &refspec]), token)
            .await;
        match fetched {
            Err(error) if matches!(error.downcast_ref(), Some(GitError::NoBranch(_))) => return Ok(None),
            fetched => drop(fetched?),
        }
        let commit = format!("{local}^{{commit}}");
        let id = self.git(&["rev-parse", "--verify", &commit], b"").await?;
        Ok(Some(id.trim().to_owned()))
    }

    /// The text of a plain file in `commit`, if it exists.
    pub async fn file(
        &self,
        commit: &str,
        path: &RepositoryPath,
        token: Option<&Secret>,
    ) -> anyhow::Result<Option<String>> {
        let listed = self
            .git(&["ls-tree", "-z", commit, "--", path.as_str()], b"")
            .await?;
        let plain_file = listed.strip_prefix("100644 blob ");
        let Some((blob, _)) = plain_file.and_then(|rest| rest.split_once('\t')) else {
            return Ok(None);
        };
        // The fetch left out the contents, so git may ask the server for this one.
        let text = self.network(["cat-file", "blob", blob], token).await?;
        if text.len() >= process::MAX_OUTPUT_BYTES {
            let limit = process::MAX_OUTPUT_BYTES >> 20;
            bail!(
                "`{path}` in the docs repository has {limit} MiB or more, so it is no matrix: check `--path`"
            );
        }
        Ok(Some(text))
    }

    /// Makes a commit: the tree of `base` with `files` in it. The same arguments make the same commit.
    pub async fn commit(
        &self,
        base: &str,
        parents: &[&str],
        files: &[NewFile],
        message: &str,
        author: &Author,
        at: DateTime<Utc>,
    ) -> anyhow::Result<String> {
        let index = [(env::GIT_INDEX_FILE, self.folder.join("index"))];
        let with_index = |arguments: &[&str]| {
            let launch = self.launch_git().environment(index.clone());
            run_local(launch.arguments(arguments), b"")
        };
        with_index(&["read-tree", base]).await?;
        for file in files {
            let blob = self
                .git(&["hash-object", "-w", "--stdin"], file.text.as_bytes())
                .await?;
            let entry = format!("100644,{},{}", blob.trim(), file.path);
            with_index(&["update-index", "--add", "--cacheinfo", &entry]).await?;
        }
        // The fetch left out the contents of the other files.
        let tree = with_index(&["write-tree", "--missing-ok"]).await?;
        let date = format!("@{} +0000", at.timestamp());
        let people = [env::GIT_AUTHOR, env::GIT_COMMITTER]
            .into_iter()
            .flat_map(|names| names.into_iter().zip([&author.name, &author.email, &date]));
        let launch = self
            .launch_git()
            .environment(people)
            .arguments(["commit-tree", tree.trim()])
            .arguments(parents.iter().flat_map(|parent| ["-p", parent]));
        let id = run_local(launch, message.as_bytes()).await?;
        Ok(id.trim().to_owned())
    }

    /// The files that differ between two commits.
    pub async fn changed(&self, base: &str, commit: &str) -> anyhow::Result<Vec<ChangedFile>> {
        let listed = self
            .git(&["diff-tree", "-r", "-z", "--no-renames", base, commit], b"")
            .await?;
        let fields: Vec<&str> = listed.split_terminator('\0').collect();
        let (files, _) = fields.as_chunks();
        // `:OLD-MODE NEW-MODE OLD-BLOB NEW-BLOB STATUS`, then the path.
        let changed = files.iter().map(|[about, path]| ChangedFile {
            path: (*path).to_owned(),
            status: about.split(' ').next_back().unwrap_or_default().to_owned(),
            mode: about.split(' ').nth(1).unwrap_or_default().to_owned(),
        });
        Ok(changed.collect())
    }

    /// Pushes `commit` to `branch` if it is a descendant of the branch's commit.
    pub async fn push(&self, commit: &str, branch: &str, token: Option<&Secret>) -> anyhow::Result<()> {
        let refspec = format!("{commit}:refs/heads/{branch}");
        let push = ["push", "--porcelain", "--no-thin", REMOTE, &refspec];
        self.network(push, token).await.map(drop)
    }

    fn launch(&self) -> Launch {
        Launch::new("git", self.tag).environment(self.environment.clone())
    }

    fn launch_git(&self) -> Launch {
        let remote = format!("remote.{REMOTE}.url={}", self.url);
        let settings = [
            remote.as_str(),
            "core.hooksPath=/dev/null",
            "gc.auto=0",
            "maintenance.auto=false",
            // A redirect could send the token to another host.
            "http.followRedirects=false",
            "http.lowSpeedLimit=1",
            "http.lowSpeedTime=60",
            "credential.helper=",
        ];
        self.launch()
            .directory(&self.folder)
            .arguments(settings.into_iter().flat_map(|setting| ["-c", setting]))
    }

    async fn git(&self, arguments: &[&str], input: &[u8]) -> anyhow::Result<String> {
        run_local(self.launch_git().arguments(arguments), input).await
    }

    /// Runs git with access to the token.
    async fn network<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        token: Option<&Secret>,
    ) -> anyhow::Result<String> {
        let mut launch = self.launch_git();
        let file = token.map(|token| TokenFile::write(&self.folder, &self.url, token));
        let file = file.transpose()?;
        if let Some(file) = &file {
            let quoted = shell_word(&file.0.to_string_lossy());
            let helper = format!("credential.helper=store --file={quoted}");
            // `proactiveAuth` saves one refused request; an older git ignores it.
            launch = launch.arguments(["-c", "http.proactiveAuth=basic", "-c", &helper]);
        }
        let output = process::output(&launch.arguments(arguments), b"", NETWORK_DEADLINE).await?;
        drop(file);
        read(&output)
    }
}

async fn run_local(launch: Launch, input: &[u8]) -> anyhow::Result<String> {
    read(&process::output(&launch, input, LOCAL_DEADLINE).await?)
}

/// The token in the format of `git credential-store`; removed when this is dropped.
struct TokenFile(PathBuf);

impl TokenFile {
    fn write(folder: &Path, url: &RemoteUrl, token: &Secret) -> anyhow::Result<Self> {
        let path = folder.join("credentials");
        let token = utf8_percent_encode(token.expose(), NON_ALPHANUMERIC);
        let port = url.0.port().map_or_else(String::new, |port| format!(":{port}"));
        let host = url.0.host_str().unwrap_or_default();
        let line = format!("{}://x-access-token:{token}@{host}{port}\n", url.0.scheme());
        let file = Self(path);
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file.0)
            .and_then(|mut opened| opened.write_all(line.as_bytes()))
            .with_context(|| format!("cannot write `{}`", file.0.display()))?;
        Ok(file)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        // git itself removes it if the token was refused; the folder is removed at the end in any case.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read(output: &ProgramOutput) -> anyhow::Result<String> {
    if output.timed_out {
        bail!(GitError::Unreachable("git took too long".into()));
    }
    if !output.is_success() || output.truncated {
        bail!(explain(&output.stdout_text(), &output.stderr_text()));
    }
    String::from_utf8(output.stdout.clone()).context("the output of git is not UTF-8")
}

/// A pattern for git's messages, and the failure that it shows.
type Cause = (Regex, fn(String) -> GitError);

/// The causes of a failed command; the first match counts.
static CAUSES: LazyLock<[Cause; 3]> = LazyLock::new(|| {
    let missing = |lines| {
        GitError::Other(format!(
            "there is no such repository, or the token may not see it: {lines}"
        ))
    };
    [
        (
            pattern("Authentication failed|could not read (Username|Password)|returned error: 40[13]"),
            GitError::TokenRefused,
        ),
        (pattern("repository .*not found|returned error: 404"), missing),
        (
            pattern(
                "unable to access|Could not resolve host|RPC failed|hung up unexpectedly|early EOF|\
                 unexpected disconnect|Connection|expected flush",
            ),
            GitError::Unreachable,
        ),
    ]
});

/// The reasons for which git does not push because somebody else did.
static MOVED: LazyLock<Regex> =
    LazyLock::new(|| pattern("fetch first|non-fast-forward|stale info|cannot lock ref|failed to update ref"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

fn explain(stdout: &str, stderr: &str) -> GitError {
    if let Some(reason) = refused_push(stdout) {
        return explain_push(reason, stderr);
    }
    if let Some((_, branch)) = stderr.split_once("find remote ref refs/heads/") {
        return GitError::NoBranch(branch.split_whitespace().next().unwrap_or_default().to_owned());
    }
    let lines = error_lines(stderr);
    match CAUSES.iter().find(|(pattern, _)| pattern.is_match(stderr)) {
        Some((_, error)) => error(lines),
        None => GitError::Other(format!("git failed: {lines}")),
    }
}

/// The reason in the line of a refused push: `!`, the refs and the reason, separated by tabs (`git push --porcelain`).
fn refused_push(stdout: &str) -> Option<&str> {
    stdout
        .lines()
        .find_map(|line| Some(line.strip_prefix("!\t")?.split_once('\t')?.1.trim()))
}

fn explain_push(reason: &str, stderr: &str) -> GitError {
    if MOVED.is_match(reason) {
        return GitError::Moved(reason.to_owned());
    }
    if reason.contains("remote failure") || reason.contains("remote end hung up") {
        return GitError::Unreachable(reason.to_owned());
    }
    // The server's own words.
    let remote = stderr
        .lines()
        .filter_map(|line| Some(line.strip_prefix("remote:")?.trim()))
        .filter(|line| !line.is_empty());
    let lines: Vec<&str> = std::iter::once(reason).chain(remote).collect();
    GitError::Other(format!(
        "the docs repository rejects the push: {}",
        lines.join("; ")
    ))
}

/// The last lines in which git names an error, else its last lines.
fn error_lines(stderr: &str) -> String {
    let lines = || {
        let lines = stderr.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with("hint:"))
    };
    let is_error = |line: &&str| {
        let starts = ["fatal:", "error:", "remote:"];
        starts.iter().any(|start| line.starts_with(start))
    };
    let mut shown: Vec<&str> = lines().filter(is_error).collect();
    if shown.is_empty() {
        shown = lines().collect();
    }
    match shown[shown.len().saturating_sub(4)..].join("; ") {
        text if text.is_empty() => "it printed nothing".to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_git_names_the_cause() {
        for (status, message) in [
            ("[rejected] (fetch first)", "the branch has moved"),
            ("[remote rejected] (cannot lock ref 'x')", "the branch has moved"),
            (
                "[remote rejected] (pre-receive hook declined)",
                "rejects the push",
            ),
        ] {
            let stdout = format!("To x\n!\tabc:refs/heads/main\t{status}\nDone\n");
            let error = explain(&stdout, "").to_string();
            assert!(error.contains(message), "{error}");
        }
        for (stderr, message) in [
            ("Authentication failed for 'x'", "refuses the token"),
            ("unable to access 'x': returned error: 403", "refuses the token"),
            ("unable to access 'x': Could not resolve host: y", "cannot reach"),
            ("repository 'x' not found", "there is no such repository"),
            ("couldn't find remote ref refs/heads/gone", "has no branch `gone`"),
            ("unable to write new index file", "git failed: fatal: unable"),
        ] {
            let error = explain("", &format!("fatal: {stderr}\n")).to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn an_address_with_credentials_is_refused() {
        assert!("https://x:y@h/o/r".parse::<RemoteUrl>().is_err());
        assert!("ssh://h/o/r".parse::<RemoteUrl>().is_err());
        assert!("http://h/o/r".parse::<RemoteUrl>().is_err());
        assert!("http://127.0.0.1:1/o/r".parse::<RemoteUrl>().is_ok());
        assert!("https://h/o/r.git".parse::<RemoteUrl>().is_ok());
    }
}
