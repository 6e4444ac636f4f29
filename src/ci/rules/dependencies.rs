//! Lock files, versions, packages, tools, paths and parameters of the CI.

use super::{LIKELY, LogRule, PLAUSIBLE, SURE, rule};
use crate::ci::FailureCategory::{Code, Config};

pub(super) const RULES: &[LogRule] = &[
    rule("lock_file", Config, SURE)
        .says(&[
            r"lock ?file .{0,100}(?:needs to be updated|out of (?:date|sync)|not up.to.date|does(?:n't| not) (?:match|satisfy|exist)|would have been (?:modified|created)|outdated|is missing)|needs to be updated, but .?--(?:locked|frozen)|--(?:locked|frozen(?:-lockfile)?|immutable) was (?:provided|passed|specified)|poetry\.lock (?:is not|was not|does not)|pyproject\.toml changed significantly|Pipfile\.lock .{0,40}out of date",
            r"are in sync\. please update your lock|can only install .{0,100}(?:in sync|package-lock)|EUSAGE|ERR_PNPM_(?:OUTDATED_LOCKFILE|FROZEN|NO_LOCKFILE|LOCKFILE)|YN0028|Missing: \S+ from lock file|Invalid: lock file's|frozen lockfile|lockfile had changes, but lockfile is frozen",
            r"missing go\.sum entry|updates to go\.mod needed|go: inconsistent vendoring|cannot update the lock file|because --locked was passed|the lock file .{0,80}--locked|Gemfile\.lock|Your bundle is locked|checksum mismatch|hashes? (?:do not|are required|mismatch)|THESE PACKAGES DO NOT MATCH THE HASHES",
        ])
        .whole_job()
        .why("the lock file does not follow the manifest")
        .do_this("update the lock file with the package manager and commit it")
        .example("error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.")
        .green("Resolved 238 packages in 1.02s"),
    rule("version_conflict", Config, SURE)
        .says(&[
            r"No matching distribution found|Distribution not found at|Could not find a version that satisfies|ResolutionImpossible|conflicting dependencies|No solution found when resolving|version solving failed|Because .{1,120} depends on |dependency conflict|(?:ERR!|error) (?:code )?(?:ERESOLVE|ETARGET|E404|notarget|EBADENGINE|EBADPLATFORM)|No matching version found|ERR_PNPM_(?:NO_MATCHING_VERSION|FETCH_404|PEER_DEP|UNSUPPORTED_ENGINE|BAD_PM)",
            r"requires a different Python|requires-python|requires Python ['\x22><=]|Python version .{0,40}not (?:supported|compatible|satisf)|The engine .node. is incompatible|Unsupported engine|requires? rustc \d|cannot be built because it requires|rustc \S+ is not supported|package requires .{0,20}go ?(?:>=)?\d|requires go >= ?\d|invalid go version|Unsupported class file major version|requires at least .{0,20}(?:Java|JVM|Node|Python)|You are using Node",
            r"failed to select a version|no matching package named|couldn't find any versions for|version .{0,40}(?:not found|does not exist|is not available|mismatch)|versions? (?:do not|don't|does not) match|unknown revision|reading .{0,60}go\.mod.{0,40}(?:404|410)|Package .{1,60} (?:is not available|has no installation candidate)|Unable to locate package|nothing provides|PackagesNotFoundError|ResolvePackageNotFound|UnsatisfiableError|LibMambaUnsatisfiable|incompatible (?:with|version)s?.{0,60}(?:installed|required|version|package)|VersionConflict|ContextualVersionConflict|DistributionNotFound|PackageNotFoundError",
            r"was compiled using NumPy|numpy\.dtype size changed|numpy\.core\.multiarray failed|GLIBC_\d[\d.]*' not found|version `\S+' not found|symbol lookup error|incompatible library version",
        ])
        .unless(&[r"api[_-]version|model|deployment|version is not supported by"])
        .whole_job()
        .why("a package or a tool has no version that fits")
        .do_this("correct the version or the pin that the line names")
        .example("ERROR: No matching distribution found for litellm-proxy-extras==0.4.99")
        .green("Requirement already satisfied: numpy>=1.26"),
    rule("prisma_client", Config, LIKELY)
        .says(&[r"'Prisma' object has no attribute '\w+'|Property '\w+' does not exist on type 'PrismaClient"])
        .why("the Prisma client was generated from another schema: it lacks a table")
        .do_this("run `prisma generate` in the job, after the schema is in its place")
        .example("AttributeError: 'Prisma' object has no attribute 'litellm_tagtable'")
        .green("Generated Prisma Client"),
    rule("chart_template", Config, LIKELY)
        .says(&[
            r"Error: (?:INSTALLATION|UPGRADE|execution) (?:FAILED|error at)|^Error: .*(?:template: |unable to build kubernetes objects|values don't meet the specifications)|executing \x22\S+\x22 at <|error calling (?:include|tpl|required)|^error: (?:error validating|error parsing) \S+\.ya?ml",
        ])
        .unless(&[r"timed out|connection|no such host"])
        .why("a template of the chart or a manifest is wrong for these values")
        .do_this("correct the template or the value that the line names")
        .example("Error: UPGRADE FAILED: template: a/templates/b.yaml:3:2: executing \"a/templates/b.yaml\" at <.Values.image.tag>: nil pointer evaluating interface {}.tag")
        .green("1 chart(s) linted, 0 chart(s) failed"),
    rule("package_build", Config, LIKELY)
        .says(&[
            r"Failed building wheel|Failed to build (?:installable|one or more|`|\S+$)|metadata-generation-failed|subprocess-exited-with-error|Getting requirements to build wheel did not|Failed to build `\S+|node-gyp rebuild|gyp ERR!|error: failed to run custom build command|Could not build wheels|Preparing metadata .{0,40}error|failed to run custom build|pkg-config .{0,60}(?:not|fail)|CMake Error|Could NOT find \w+|fatal error: \S+\.h: No such file",
        ])
        .whole_job()
        .why("a dependency could not be built here")
        .do_this("pin a version with a wheel for this platform, or install the missing system package in the job")
        .example("ERROR: Failed building wheel for torchcomms")
        .green("Building wheel for litellm (pyproject.toml): finished with status 'done'"),
    rule("missing_module", Config, LIKELY)
        .says(&[
            r"ModuleNotFoundError: No module named|ImportError: No module named|Cannot find (?:module|package) '[^./'][^']*'|Can't resolve '[^./'][^']*'|Failed to resolve import \x22[^./@~\x22][^\x22]*\x22|error TS2307|no required module provides package|unresolved import|use of undeclared crate|can't find crate|package \S+ is not in (?:std|GOROOT)|cannot open shared object file|Library not loaded:|Error: Cannot find module|LoadError: cannot load such file|Could not find (?:gem|artifact)|Could not resolve dependencies",
        ])
        .unless(&[r"named '(?:tests?|src|litellm|app|conftest)\b|No module named '\.|cannot import name"])
        .why("a module is not installed in the job")
        .do_this("add the package to the dependencies that the job installs")
        .example("E   ModuleNotFoundError: No module named 'prometheus_client'")
        .green("No module named 'x' (expected by test_missing_module) PASSED"),
    rule("missing_name", Code, PLAUSIBLE)
        .says(&[
            r"ImportError: cannot import name|ModuleNotFoundError: |cannot import name '|Cannot find module '\.|does not provide an export named|has no exported member|Failed to resolve import|partially initialized module|circular import",
        ])
        .why("a name is not where it is imported from")
        .do_this("correct the import, or the version of the package that should have the name")
        .example("ImportError: cannot import name 'richcompare' from 'app.protocol' (app/protocol.py)")
        .green("import sorting is correct"),
    rule("test_runner_parameters", Config, LIKELY)
        .says(&[
            r"error: unrecognized arguments|error: unexpected argument|unknown (?:option|flag|argument|shorthand flag)s?\b|invalid (?:option|choice):|no such option|ERROR: file or directory not found|ERROR: not found: |'\w+' not found in `markers`|Unknown pytest\.mark|error: argument |pytest: error|usage: \S+ \[|flag provided but not defined|got an unexpected keyword argument 'mix_stderr'|No such command|is not a known (?:command|option)",
            r"no tests ran|collected 0 items\s*$|No test files found|No tests found, exiting|exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? 5$|No files? match(?:ed|ing)?|No specs found|error: no test target named|Missing script:|missing script: |Couldn't find a script named|Command \x22\S+\x22 not found|No rule to make target|error: no bin target|Unknown command:|ERR_PNPM_NO_SCRIPT|ERR_PNPM_RECURSIVE_EXEC_FIRST_FAIL|ESLint couldn't find|Could not find a (?:config|configuration)|No inputs were found in config|ConfigError|ConftestImportFailure|fixture '(?:mocker|benchmark|httpx_mock|requests_mock|respx_mock|aioresponses|event_loop|redis\w*|postgres\w*|snapshot|faker|freezer)' not found|PytestConfigWarning|async def functions are not natively supported|unknown hook|invalid configuration",
        ])
        .unless(&[r"^\S*\s*deselected", r"\d+ passed"])
        .why("the test runner or a tool got a wrong parameter, or found nothing to do")
        .do_this("correct the command in the CI configuration, or install the plugin that knows the parameter")
        .example("pytest: error: unrecognized arguments: --timeout=90")
        .green("unknown options are ignored PASSED"),
    rule("missing_tool_or_file", Config, LIKELY)
        .says(&[
            r"(?:^|: )(?:line \d+: )?\S+: (?:command )?not found$|command not found|exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? 127\b|executable file not found in|is not recognized as an internal|spawn \S+ ENOENT|^\S*(?:bash|sh): .{0,80}(?:No such file or directory|Permission denied)|exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? 126\b|Executable not found|could not find (?:executable|program)|Executable doesn't exist at|Please run the following command to download new browsers|npx playwright install",
            r"superuser password is not specified|(?:COPY failed|failed to calculate checksum|failed to compute cache key|failed to read dockerfile|forbidden path outside the build context|dockerfile parse error|unknown instruction:)|couldn't find remote ref|pathspec .{1,80} did not match|reference is not a tree|invalid reference format|Could not open requirements file|can't open file '|python3?: can't open|ENOENT: no such file or directory, open '[^']*(?:package\.json|config|\.ya?ml|\.env)|No such file or directory: '[^']*(?:\.ya?ml|\.toml|\.json|\.cfg|\.ini|\.env|requirements[^']*)'|cannot find the path|The file \S+ (?:does not exist|was not found)|does not appear to be a Python project|Could not read \S*package\.json|working directory .{0,80}(?:does not exist|No such)|path .{0,80} does not exist$|^Error: (?:Unable to locate|Could not find) ",
        ])
        .unless(&[r"/tmp/|node_modules/\.cache|locate credentials|Host key|publickey|model|find remote branch"])
        .why("a tool, a file or a reference is not where the job expects it")
        .do_this("install the tool, or correct the path or the reference in the CI configuration")
        .example("/bin/bash: line 1: poetry: command not found")
        .green("checking for gcc... gcc found"),
    rule("invalid_setting", Config, LIKELY)
        .says(&[
            r"(?:toml|yaml|json|ini)\S*(?:DecodeError|ParseError|ScannerError|ParserError)|yaml\.scanner|yaml\.parser|error parsing .{0,60}(?:config|yaml|toml|json)|invalid (?:TOML|YAML)|TOML parse error|mapping values are not allowed|(?:Failed|Unable|Could not) (?:to )?(?:parse|load|read) .{0,60}(?:config|settings|\.ya?ml|\.toml|pyproject)|ValidationError: \d+ validation errors? for Settings|pydantic_settings|BaseSettings|ImproperlyConfigured|Duplicate key .{0,60}(?:yaml|config)|helm .{0,60}(?:failed|error)|Error: (?:YAML|template: )|terraform .{0,40}error",
            in_error!(r"(?:env(?:ironment)?[ _]var(?:iable)?s?|variables?|settings?|DATABASE_URL|REDIS_URL|\w+_(?:URL|HOST|PORT|REGION|PROJECT|BUCKET|PATH|DIR|ENDPOINT|BASE))\b.{0,80}\b(?:is (?:not set|missing|required|undefined|empty|unset)|not (?:set|found|defined)|must be (?:set|defined|provided)|unbound variable|needs to be set)|KeyError: '[A-Z][A-Z0-9_]+_(?:URL|HOST|PORT|REGION|PROJECT|BUCKET|PATH|DIR|ENDPOINT|BASE|ID|NAME|VERSION|MODE|ENV)'"),
            r"No connected db|Connect Proxy to database|not connected to (?:the )?(?:DB|database)|DB not connected|Database not connected|query engine .{0,60}(?:not|could not|missing)|(?:prisma generate|Prisma Client (?:could not|hasn't|has not|did not))|The Client hasn't been generated|refused to start",
        ])
        .unless(&[r"(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)\b"])
        .why("a setting of the job or of the program is missing or wrong")
        .do_this("set the variable, or correct the setting that the line names, in the CI configuration")
        .example("E   KeyError: 'DATABASE_URL'")
        .green("DATABASE_URL is set"),
];
