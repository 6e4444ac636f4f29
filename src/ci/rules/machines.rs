//! The runner, its memory and disk, the registry and the CI service's own network.

use super::{GUESS, LIKELY, LogRule, PLAUSIBLE, SURE, rule};
use crate::ci::FailureCategory::{Auth, Code, Config, Infrastructure, Parallel};

pub(super) const RULES: &[LogRule] = &[
    rule("disk_full", Infrastructure, SURE)
        .says(&[
            r"no space left on device|\bENOSPC\b|disk quota exceeded|not enough space on the disk|There is not enough (?:disk )?space",
            r"there is only .+ free space left|disk is full|database or disk is full|no usable temporary directory",
        ])
        .whole_job()
        .why("the runner's disk is full")
        .do_this("free space before the step (images, caches), or take a larger runner")
        .rerun(false)
        .example("OSError: [Errno 28] No space left on device")
        .green("Filesystem 84G, 30G available"),
    rule("runner_lost", Infrastructure, SURE)
        .says(&[
            r"runner has received a shutdown signal|lost communication with the server|waiting for pod running: timed out",
            r"hosted runner encountered an error|hosted runner lost|runner .{0,60}\b(?:went offline|is offline|was (?:deleted|deprovisioned|lost))",
            r"pod failed to come online|is unhealthy with phase status|\bevicted\b.{0,40}(?:node|memory|disk)|spot (?:instance|node) .{0,40}(?:interrupt|reclaim|terminat)",
            r"no runner matching the specified labels|failed to (?:start|create|provision|spin up) (?:the )?(?:runner|container environment|environment|executor|VM|machine)\b",
            r"infrastructure[ _]?fail\w*|build agent .{0,30}(?:lost|died)|an unexpected environment error|CircleCI received unexpected|error (?:spinning up|provisioning) (?:environment|machine)",
            r"was not acquired by Runner|internal server error occurred while resolving|GitHub Actions (?:is|has) (?:experiencing|encountered)|the job was not acquired",
            r"this is a problem with (?:our|the CI) (?:infrastructure|system)|we're experiencing an outage|agent (?:was )?disconnected|remote call on .{0,60} failed",
            r"Failed to initialize container|Docker start fail with exit code|docker: Error response from daemon: (?:failed to create|OCI)|Cannot connect to the Docker daemon|Is the docker daemon running",
            r"detected? .{0,30}(?:no|0|missing) GPUs? on the runner|Unable to determine the device handle for GPU|nvidia-smi has failed",
        ])
        .whole_job()
        .why("the runner failed or went away")
        .example("Error: The runner has received a shutdown signal. This can happen when the runner service is stopped.")
        .green("Current runner version: '2.320.0'"),
    rule("action_download", Infrastructure, SURE)
        .says(&[
            r"failed to download archive|^Error: .*Failed to download action|action '.*' download has timed out",
            r"^Error: .{0,60}(?:api|codeload)\.github\.com.{0,120}(?:5\d\d|timed? ?out|reset)",
            r"failed to (?:fetch|get|download) (?:orb|action)s?\b|failed to resolve action download info",
        ])
        .whole_job()
        .why("the CI service could not fetch an action, so no step of the project ran")
        .example("Error: Failed to download archive 'https://codeload.example.org/a/b/tar.gz/050ce9e1' after 3 attempts.")
        .green("Download action repository 'actions/checkout@v4' (SHA:11bd7190)"),
    rule("image_limit", Infrastructure, SURE)
        .says(&[r"\btoomanyrequests: |pull rate limit|reached your (?:unauthenticated )?pull"])
        .whole_job()
        .why("the image registry limits pulls")
        .do_this("sign in to the registry in the job, or use a mirror; then run again")
        .example("toomanyrequests: You have reached your pull rate limit.")
        .green("Pulling from library/ubuntu"),
    rule("image_denied", Auth, LIKELY)
        .says(&[
            r"pull access denied|denied: denied|requested access to the resource is denied|no basic auth credentials",
            r"Docker login for .{0,60} failed|denied: (?:permission_denied|installation not allowed)|unauthorized: (?:authentication required|incorrect username or password)",
            r"error getting credentials|Username and password required",
        ])
        .whole_job()
        .why("the image registry refused the job's credential")
        .do_this("check the registry's secret and its scope in the CI settings, and the name of the image")
        .example("denied: requested access to the resource is denied")
        .green("Login Succeeded"),
    rule("image_missing", Config, LIKELY)
        .says(&[
            r"manifest (?:for \S+ not found|unknown)|image not found:|no such image: |repository .{0,80}does not exist or may require",
            r"(?:failed to (?:solve|resolve)|ERROR: ).{0,160}: not found$",
            r"name unknown: The repository with name|no (?:matching manifest|image) for linux/|exec format error",
        ])
        .unless(&[r"host not found|command not found"])
        .whole_job()
        .why("the image, its tag or its platform does not exist")
        .do_this("correct the image's name and tag where the job names it")
        .example("Error response from daemon: manifest for python:3.14t not found: manifest unknown: manifest unknown")
        .green("Status: Downloaded newer image for python:3.14"),
    rule("registry_down", Infrastructure, LIKELY)
        .says(&[
            r"(?:error response from daemon|failed to (?:solve|pull|copy|resolve|do request|authorize|fetch (?:oauth|anonymous) token)).{0,240}(?:timeout|timed? out|deadline|50[0-4]|EOF|reset by peer|refused|no such host|TLS handshake)",
            r"received unexpected HTTP status: 5\d\d|unexpected status .{0,80}: 5\d\d",
            r"Docker (?:pull|build) failed with exit code|Error pulling image configuration",
        ])
        .unless(&["127\\.0\\.0\\.1", "localhost"])
        .whole_job()
        .why("the image registry did not answer")
        .example("Error response from daemon: Get \"https://registry.example.org/v2/\": net/http: TLS handshake timeout")
        .green("Pull complete"),
    rule("installer_killed", Infrastructure, LIKELY)
        .says(&[
            r"\bKilled +(?:\S*/)?(?:conda|mamba|pip3?|uv|poetry|npm|yarn|pnpm|node|apt(?:-get)?|cargo|rustc|docker|gcc|g\+\+|cc1plus|ld|make|ninja|java|gradle|mvn|next|webpack|tsc|cmake|bazel)\b",
            r"(?:collect2|c\+\+|g\+\+|gcc|clang|rustc|cc1plus|ld).{0,80}(?:signal 9|Killed|signal: 9)|process didn't exit successfully: .{0,200}signal: 9",
        ])
        .unless(&[r"\b(?:pytest|jest|vitest|playwright|nextest)\b|(?:cargo|go|npm|pnpm|yarn)(?: run)? test\b"])
        .whole_job()
        .why("the system killed an installer or a compiler: the container has too little memory")
        .do_this("take a larger resource class, or let the step use less memory")
        .rerun(false)
        .example("/bin/bash: line 1:   214 Killed                  conda install -c conda-forge --file requirements.txt")
        .green("Killed 0 mutants"),
    rule("tests_killed", Parallel, PLAUSIBLE)
        .says(&[
            r"received .killed. signal|\bKilled\s*$|\bKilled\s{3,}\S|exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? 137\b|signal: killed|OOMKilled|out of memory: killed process|oom-kill",
            r"Received signal: SIGKILL|(?:exit|died) .{0,20}-9\b",
        ])
        .with(&[
            r"\bpytest\b.{0,200} -n (?:\d|auto|logical)|\[gw\d+\]|\bcreated: \d+/\d+ workers|^\d+ workers \[|jest.{0,60}--maxWorkers|-n (?:auto|\d+)\b",
        ])
        .whole_job()
        .why("the system killed the parallel test run: its workers need more memory than the container has")
        .do_this("lower `-n` in the CI configuration, or put the heavy tests into one `xdist_group`")
        .example("[gw0] x\nReceived \"killed\" signal")
        .green("kill -9 1234"),
    rule("out_of_memory", Infrastructure, PLAUSIBLE)
        .says(&[
            r"received .killed. signal|\bKilled\s*$|\bKilled\s{3,}\S|exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? 137\b|signal: killed|OOMKilled|out of memory: killed process|oom-kill|died .{0,20}SIGKILL|Received signal: SIGKILL",
            r"JavaScript heap out of memory|java\.lang\.OutOfMemoryError|(?:CUDA|HIP|XPU) out of memory|OutOfMemoryError|cannot allocate memory|std::bad_alloc|Catastrophic error: |LLVM ERROR: out of memory",
        ])
        .unless(&["worker|thread"])
        .whole_job()
        .why("a process was killed or had too little memory")
        .do_this("take a larger resource class, or let the step use less memory; compare the job's memory graph first")
        .example("Exited with code exit status 137")
        .green("peak memory 512 MB"),
    rule("git_network", Infrastructure, LIKELY)
        .says(&[
            r"RPC failed; (?:curl|HTTP|result)|fetch-pack: unexpected disconnect|fatal: early EOF|the remote end hung up unexpectedly",
            r"fatal: unable to access .{0,160}(?:Could not resolve|Failed to connect|Connection|timed? ?out|SSL|TLS|gnutls|5\d\d|Recv failure|Empty reply)",
            r"ssh: connect to host github\.com|kex_exchange_identification",
        ])
        .whole_job()
        .why("git did not reach its server")
        .example("fatal: unable to access 'https://github.com/a/b/': Failed to connect to github.com port 443 after 130 ms")
        .green("Cloning into 'b'..."),
    rule("index_unreachable", Infrastructure, LIKELY)
        .says(&[r"\(from versions: none\)"])
        .with(&[r"connection broken by|name resolution|(?:NewConnection|ConnectTimeout|ReadTimeout|NameResolution|Protocol|SSL)Error"])
        .whole_job()
        .why("the package index could not be reached, so no version was found")
        .example("WARNING: Retrying after connection broken by 'NewConnectionError('x')': /simple/a/\nERROR: Could not find a version that satisfies the requirement a==1 (from versions: none)")
        .green("WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError'"),
    rule("package_network", Infrastructure, LIKELY)
        .says(&[
            r"E: (?:Failed to fetch|Unable to fetch some archives|Some index files failed)|Hash Sum mismatch|Unable to connect to \S*(?:archive|ports|security|deb)\S*",
            r"npm (?:err!|error) (?:code|errno|network)? ?(?:ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ERR_SOCKET_TIMEOUT|E50[0-4]|E429|EIDLETIMEOUT|FETCH_ERROR|EINTEGRITY)",
            r"npm (?:err!|error) (?:50[0-4]|429) |ERR_PNPM_(?:META_FETCH_FAIL|FETCH_50\d|TARBALL_INTEGRITY)|There appears to be trouble with your network connection|ESOCKETTIMEDOUT",
            r"(?:ReadTimeoutError|ConnectTimeoutError|NameResolutionError|ProtocolError|IncompleteRead|SSLError|MaxRetryError).{0,200}(?:/simple/|files\.|packages/|\.whl|index)",
            r"error: failed to (?:fetch|download|extract)|error while fetching remote|failed to download (?:`|https|package|artifact|distribution|file|crate|toolchain)|error: (?:Request failed after|error sending request)|Caused by: (?:error sending request|client error \(Connect\)|operation timed out)",
            r"warning: spurious network error|could not download file from|spurious network|failed to get `\S+` as a dependency of|Timeout was reached|HTTP2 framing layer",
            r"Could not (?:GET|HEAD|transfer artifact).{0,200}(?:timed? out|50[0-4]|reset|429|unknown host)|dial tcp.{0,80}(?:i/o timeout|no such host|connection refused).{0,60}$|^go: .{0,240}(?:connection reset|i/o timeout|no such host|unexpected EOF|: 50[0-4] )|proxyconnect|(?:net/http|tls): .{0,40}timeout",
            r"curl: \((?:5|6|7|16|18|22|28|35|52|55|56|92)\)|wget: unable to resolve|ERROR 50[0-4]: |CondaHTTPError|An HTTP error occurred when trying to retrieve|Response status code does not indicate success: (?:5\d\d|429)",
            r"installing (?:\S+ )?(?:brew|choco|snap).{0,40}fail|Error downloading packages|failure while executing; `git.{0,20}clone|gpg: keyserver receive failed",
        ])
        .unless(&[
            r"127\.0\.0\.1|localhost|api\.(?:openai|anthropic|mistral|groq|cohere|together|perplexity|deepseek|x)\.|0\.0\.0\.0|No matching|not found in|was not found|404",
            r"failed to fetch dynamically|TypeError: (?:failed to )?fetch",
        ])
        .whole_job()
        .why("a package or a tool could not be downloaded")
        .example("npm error code ECONNRESET")
        .green("added 812 packages in 12s"),
    rule("name_resolution", Infrastructure, LIKELY)
        .says(&[
            r"temporary failure in name resolution|could not resolve host|getaddrinfo (?:EAI_AGAIN|ENOTFOUND)|name or service not known|nodename nor servname|no address associated with hostname|lookup \S+ (?:on \S+ )?(?:no such host|i/o timeout|server misbehaving)|failed to lookup address|network is unreachable|No route to host",
        ])
        .why("a host name could not be resolved, or the network was away")
        .example("socket.gaierror: [Errno -3] Temporary failure in name resolution")
        .green("resolved example.org to 192.0.2.1"),
    rule("artifact_service", Infrastructure, PLAUSIBLE)
        .says(&[
            r"^Error: (?:Failed to (?:CreateArtifact|FinalizeArtifact|ListArtifacts|restore cache|save cache)|List Artifacts failed|Cache service responded with|Unable to (?:get|reserve) )",
            r"(?:download|cache|artifact|restor).{0,80}(?:context deadline exceeded|responded with 5\d\d|: 5\d\d )|sccache: error: |error (?:restoring|saving) cache|Unable to download artifact|no artifacts? found for name|Artifact (?:download failed|not found)",
        ])
        .why("the CI service's store for caches and artifacts failed, or an earlier job stored nothing")
        .do_this("look whether the job that makes the artifact passed; then run again")
        .example("Error: Unable to download artifact(s): Artifact not found for name: manywheel-py3_10")
        .green("Artifact has been finalized"),
    rule("cancelled", Infrastructure, GUESS)
        .says(&[
            r"^Error: The operation was cancell?ed|^Error: (?:received SIGINT|A task was canceled)|Step cancelled by|Canceling since a higher priority waiting request",
        ])
        .why("the job was cancelled: by a person, a newer run or a failed neighbour")
        .do_this("look for the first failed job of the run; if there is none, run again")
        .example("Error: The operation was canceled.")
        .green("cancel-in-progress: true"),
    rule("crash", Code, GUESS)
        .says(&[
            r"Fatal Python error: (?:Segmentation|Aborted|Bus)|segmentation fault|\(core dumped\)|exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? 13[459]\b|Received signal: SIG(?:SEGV|BUS|ABRT|ILL)|signal: (?:6|11), SIG",
            r"AddressSanitizer|ThreadSanitizer: data race|WARNING: DATA RACE|runtime error: .{0,60}(?:nil pointer|index out of range)|fatal error: concurrent map",
        ])
        .unless(&["worker"])
        .why("the program crashed")
        .example("Fatal Python error: Segmentation fault")
        .green("test_segfault_handler PASSED"),
];
