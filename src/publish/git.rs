//! The docs repository, through the `git` program, without a work tree: fetched shallow, one commit made, pushed.
//!
//! The token never stands in an argument, in the environment, in git's configuration or in the address: git's own
//! `credential-store` reads it from a file that only its owner may read and that is there only while git talks to the
//! server. Nothing is ever forced.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use super::plan::{File, RepositoryPath, Touched};
use crate::env::{self, Environment, Secret, Variables};
use crate::http::may_carry_secrets;
use crate::process::{self, Launch, ProcessError, ProcessTag, ProgramOutput, RunId};

/// How long git may take on this machine.
const LOCAL_DEADLINE: Duration = Duration::from_secs(60);
/// How long a fetch or a push may take.
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

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
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
                Err("over `http` anybody could read the token on its way, expected `https`".into())
            }
            "https" | "http" => Ok(Self(url)),
            other => Err(format!("`{other}` is no way to reach it here, expected `https`")),
        }
    }
}

impl std::fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl RemoteUrl {
    /// Owner and name on GitHub, as the path ends.
    pub fn path(&self) -> &str {
        self.0.path()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The temporary repository cannot be used.
    #[error("cannot use the temporary folder `{}`: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    /// The server refuses the token, or the lack of one.
    #[error("the docs repository refuses the token: {said}")]
    TokenRefused { said: String },
    /// The server has no such repository for this token.
    #[error("there is no such repository, or the token may not see it: {said}")]
    NoRepository { said: String },
    /// The repository has no such branch.
    #[error("the docs repository has no branch `{0}`")]
    NoBranch(String),
    #[error("the branch has moved: {said}")]
    Moved { said: String },
    /// The server does not want the commit.
    #[error("the docs repository rejects the push: {said}")]
    Rejected { said: String },
    /// The server cannot be reached, or the connection broke.
    #[error("cannot reach the docs repository: {said}")]
    Unreachable { said: String },
    #[error("`git {what}` failed: {said}")]
    Failed { what: String, said: String },
}

/// A temporary repository that knows the docs repository.
#[derive(Debug)]
pub struct Clone {
    folder: PathBuf,
    url: RemoteUrl,
    environment: Variables,
    mark: ProcessTag,
}

impl Clone {
    /// Makes one in `folder`, which must not exist yet.
    pub async fn make(
        folder: &Path,
        url: &RemoteUrl,
        environment: &Environment,
        run: RunId,
    ) -> Result<Self, GitError> {
        std::fs::create_dir_all(folder).map_err(|source| GitError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let mut variables = environment.for_git();
        let own: [(&str, OsString); 5] = [
            (env::HOME, folder.into()),
            (env::LC_ALL, "C".into()),
            (env::GIT_CONFIG_GLOBAL, "/dev/null".into()),
            (env::GIT_CONFIG_NOSYSTEM, "1".into()),
            (env::GIT_TERMINAL_PROMPT, "0".into()),
        ];
        variables.extend(own.map(|(name, value)| (name.into(), value)));
        let clone = Self {
            folder: folder.join("docs.git"),
            url: url.clone(),
            environment: variables,
            mark: ProcessTag::run(run),
        };
        let launch = clone
            .launch()
            .arguments(["init", "--quiet", "--bare", "--template="]);
        clone.local(launch.arguments([&clone.folder]), b"").await?;
        Ok(clone)
    }

    /// Fetches the last commit of `branch` and says its id; `None` if there is no such branch.
    pub async fn fetch(&self, branch: &str, token: Option<&Secret>) -> Result<Option<String>, GitError> {
        let here = format!("refs/remotes/{REMOTE}/{branch}");
        let what = format!("+refs/heads/{branch}:{here}");
        let how = ["fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none"];
        match self.network(how.into_iter().chain([REMOTE, &what]), token).await {
            Err(GitError::NoBranch(_)) => return Ok(None),
            fetched => fetched?,
        };
        let commit = format!("{here}^{{commit}}");
        let id = self.git(["rev-parse", "--verify", &commit], b"").await?;
        Ok(Some(id.trim().to_owned()))
    }

    /// The text of a plain file in `commit`, if it is there.
    pub async fn file(
        &self,
        commit: &str,
        path: &RepositoryPath,
        token: Option<&Secret>,
    ) -> Result<Option<String>, GitError> {
        let listed = self
            .git(["ls-tree", "-z", commit, "--", path.as_str()], b"")
            .await?;
        let Some(blob) = listed
            .strip_prefix("100644 blob ")
            .and_then(|rest| rest.split('\t').next())
        else {
            return Ok(None);
        };
        // Its content is not there yet, so this may talk to the server.
        Ok(Some(self.network(["cat-file", "blob", blob], token).await?))
    }

    /// Makes a commit: the tree of `base` with `files` in it. The same arguments make the same commit.
    pub async fn commit(
        &self,
        base: &str,
        parents: &[&str],
        files: &[File],
        message: &str,
        author: &Author,
        at: DateTime<Utc>,
    ) -> Result<String, GitError> {
        let index = [(env::GIT_INDEX_FILE, self.folder.join("index"))];
        let with_index =
            |arguments: &[&str]| self.launch_git().environment(index.clone()).arguments(arguments);
        self.local(with_index(&["read-tree", base]), b"").await?;
        for file in files {
            let blob = self
                .git(["hash-object", "-w", "--stdin"], file.text.as_bytes())
                .await?;
            let entry = format!("100644,{},{}", blob.trim(), file.path);
            self.local(with_index(&["update-index", "--add", "--cacheinfo", &entry]), b"")
                .await?;
        }
        let tree = self
            .local(with_index(&["write-tree", "--missing-ok"]), b"")
            .await?;
        let date = format!("@{} +0000", at.timestamp());
        let people = [env::GIT_AUTHOR, env::GIT_COMMITTER]
            .into_iter()
            .flat_map(|names| names.into_iter().zip([&author.name, &author.email, &date]));
        let launch = self
            .launch_git()
            .environment(people)
            .arguments(["commit-tree", tree.trim()])
            .arguments(parents.iter().flat_map(|parent| ["-p", parent]));
        let id = self.local(launch, message.as_bytes()).await?;
        Ok(id.trim().to_owned())
    }

    pub async fn touched(&self, base: &str, commit: &str) -> Result<Vec<Touched>, GitError> {
        let listed = self
            .git(["diff-tree", "-r", "-z", "--no-renames", base, commit], b"")
            .await?;
        let mut fields = listed.split('\0').filter(|field| !field.is_empty());
        let mut touched = Vec::new();
        while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
            let about: Vec<&str> = about.split(' ').collect();
            touched.push(Touched {
                path: path.to_owned(),
                how: about.last().and_then(|how| how.chars().next()).unwrap_or('?'),
                mode: about.get(1).copied().unwrap_or_default().to_owned(),
            });
        }
        Ok(touched)
    }

    /// Pushes `commit` to `branch`, if the branch is behind it.
    pub async fn push(&self, commit: &str, branch: &str, token: Option<&Secret>) -> Result<(), GitError> {
        let to = format!("{commit}:refs/heads/{branch}");
        self.network(["push", "--porcelain", "--no-thin", REMOTE, &to], token)
            .await
            .map(drop)
    }

    fn launch(&self) -> Launch {
        Launch::new("git", self.mark).environment(self.environment.clone())
    }

    fn launch_git(&self) -> Launch {
        let remote = format!("remote.{REMOTE}.url={}", self.url);
        let settings = [
            remote.as_str(),
            "core.hooksPath=/dev/null",
            "gc.auto=0",
            "maintenance.auto=false",
            "http.followRedirects=false",
            "http.lowSpeedLimit=1",
            "http.lowSpeedTime=60",
            "credential.helper=",
        ];
        self.launch()
            .directory(&self.folder)
            .arguments(settings.into_iter().flat_map(|setting| ["-c", setting]))
    }

    async fn git<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        input: &[u8],
    ) -> Result<String, GitError> {
        self.local(self.launch_git().arguments(arguments), input).await
    }

    async fn local(&self, launch: Launch, input: &[u8]) -> Result<String, GitError> {
        let what = command(&launch);
        let output = process::output(&launch, input, LOCAL_DEADLINE).await?;
        read(&what, &output)
    }

    /// Runs git with the token within its reach.
    async fn network<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        token: Option<&Secret>,
    ) -> Result<String, GitError> {
        let mut launch = self.launch_git();
        let file = match token {
            Some(token) => Some(TokenFile::write(&self.folder, &self.url, token)?),
            None => None,
        };
        if let Some(file) = &file {
            let quoted = file.0.to_string_lossy().replace('\'', r"'\''");
            let helper = format!("credential.helper=store --file='{quoted}'");
            // Not to be refused once before each request; an older git does not know the setting and is.
            launch = launch.arguments(["-c", "http.proactiveAuth=basic", "-c", &helper]);
        }
        let launch = launch.arguments(arguments);
        let what = command(&launch);
        let output = process::output(&launch, b"", NETWORK_DEADLINE).await?;
        drop(file);
        read(&what, &output)
    }
}

/// The token in the form that `git credential-store` reads; gone when this is dropped.
struct TokenFile(PathBuf);

impl TokenFile {
    fn write(folder: &Path, url: &RemoteUrl, token: &Secret) -> Result<Self, GitError> {
        let path = folder.join("credentials");
        let token = utf8_percent_encode(token.expose(), NON_ALPHANUMERIC);
        let port = url.0.port().map_or_else(String::new, |port| format!(":{port}"));
        let host = url.0.host_str().unwrap_or_default();
        let line = format!("{}://x-access-token:{token}@{host}{port}\n", url.0.scheme());
        let file = Self(path.clone());
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|source| GitError::Folder { path, source })?;
        Ok(file)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        // git itself removes it where the token was refused; the folder goes at the end in any case.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The git command of `launch`, without the settings before it.
fn command(launch: &Launch) -> String {
    let mut arguments = launch.arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        match argument.as_ref() {
            "-c" => drop(arguments.next()),
            command => return command.to_owned(),
        }
    }
    String::new()
}

fn read(what: &str, output: &ProgramOutput) -> Result<String, GitError> {
    if output.is_success() && !output.truncated {
        return String::from_utf8(output.stdout.clone()).map_err(|_| GitError::Failed {
            what: what.to_owned(),
            said: "what it printed is not UTF-8".into(),
        });
    }
    if output.timed_out {
        return Err(GitError::Unreachable {
            said: format!("`git {what}` took too long"),
        });
    }
    Err(explain(what, &output.stdout_text(), &output.stderr_text()))
}

fn explain(what: &str, stdout: &str, stderr: &str) -> GitError {
    let has = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    let refused = stdout
        .lines()
        .find_map(|line| Some(line.strip_prefix("!\t")?.split_once('\t')?.1.trim().to_owned()));
    if let Some(said) = refused {
        // The server's own words stand in what it sent beside the status.
        let remote: Vec<&str> = stderr
            .lines()
            .filter_map(|line| Some(line.strip_prefix("remote:")?.trim()))
            .filter(|line| !line.is_empty())
            .collect();
        let is_race = [
            "fetch first",
            "non-fast-forward",
            "stale info",
            "cannot lock ref",
            "failed to update ref",
        ]
        .iter()
        .any(|words| said.contains(words));
        return if is_race {
            GitError::Moved { said }
        } else if said.contains("remote failure") || said.contains("remote end hung up") {
            GitError::Unreachable { said }
        } else {
            let said = std::iter::once(said.as_str()).chain(remote).collect::<Vec<_>>();
            GitError::Rejected {
                said: said.join("; "),
            }
        };
    }
    let said = last_words(stderr);
    if let Some((_, branch)) = stderr.split_once("find remote ref refs/heads/") {
        GitError::NoBranch(branch.split_whitespace().next().unwrap_or_default().to_owned())
    } else if has(&[
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "returned error: 401",
        "returned error: 403",
    ]) {
        GitError::TokenRefused { said }
    } else if has(&["not found", "returned error: 404"]) && has(&["repository", "404"]) {
        GitError::NoRepository { said }
    } else if has(&[
        "unable to access",
        "Could not resolve host",
        "RPC failed",
        "hung up unexpectedly",
        "early EOF",
        "unexpected disconnect",
        "Connection",
        "expected flush",
    ]) {
        GitError::Unreachable { said }
    } else {
        GitError::Failed {
            what: what.to_owned(),
            said,
        }
    }
}

/// The lines in which git says what is wrong.
fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("hint:"))
        .collect();
    let errors: Vec<&str> = lines
        .iter()
        .filter(|line| {
            line.starts_with("fatal:") || line.starts_with("error:") || line.starts_with("remote:")
        })
        .copied()
        .collect();
    let told = if errors.is_empty() { lines } else { errors };
    let mut said = told[told.len().saturating_sub(4)..].join("; ");
    if said.is_empty() {
        said.push_str("it said nothing");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_told_apart() {
        let pushed = |status: &str| {
            explain(
                "push",
                &format!("To x\n!\tabc:refs/heads/main\t{status}\nDone\n"),
                "",
            )
        };
        assert!(matches!(
            pushed("[rejected] (fetch first)"),
            GitError::Moved { .. }
        ));
        assert!(matches!(
            pushed("[remote rejected] (cannot lock ref 'x')"),
            GitError::Moved { .. }
        ));
        assert!(matches!(
            pushed("[remote rejected] (pre-receive hook declined)"),
            GitError::Rejected { .. }
        ));
        let failed = |stderr: &str| explain("fetch", "", stderr);
        assert!(matches!(
            failed("fatal: Authentication failed for 'x'"),
            GitError::TokenRefused { .. }
        ));
        assert!(matches!(
            failed("fatal: unable to access 'x': The requested URL returned error: 403"),
            GitError::TokenRefused { .. }
        ));
        assert!(matches!(
            failed("fatal: unable to access 'x': Could not resolve host: y"),
            GitError::Unreachable { .. }
        ));
        assert!(matches!(
            failed("fatal: repository 'x' not found"),
            GitError::NoRepository { .. }
        ));
        assert!(matches!(
            failed("fatal: couldn't find remote ref refs/heads/gone\n"),
            GitError::NoBranch(branch) if branch == "gone"
        ));
        assert!(matches!(
            failed("fatal: unable to write new index file"),
            GitError::Failed { .. }
        ));
    }

    #[test]
    fn an_address_with_credentials_in_it_is_refused() {
        assert!("https://x:y@h/o/r".parse::<RemoteUrl>().is_err());
        assert!("ssh://h/o/r".parse::<RemoteUrl>().is_err());
        assert!("http://h/o/r".parse::<RemoteUrl>().is_err());
        assert!("http://127.0.0.1:1/o/r".parse::<RemoteUrl>().is_ok());
        assert!("https://h/o/r.git".parse::<RemoteUrl>().is_ok());
    }
}
