//! Linters, type checkers, compilers, and the repository's own checks.

use super::{LIKELY, LogRule, SURE, rule};
use crate::ci::FailureCategory::{Code, Config};

pub(super) const RULES: &[LogRule] = &[
    rule("conflict_marker", Code, SURE)
        .says(&[
            r"^(?:[^\n:]{0,120}:\d+: ?)?[|+ >]{0,3}\s*(?:<<<<<<< |>>>>>>> )\S|leftover conflict marker|merge conflict (?:in|marker)|Automatic merge failed|^CONFLICT \(",
        ])
        .why("a merge conflict is in the files")
        .do_this("resolve the conflict and commit again")
        .example("    >>>>>>> 597be33c510 (Add more cases)")
        .green("no conflict markers found"),
    rule("type_check", Code, SURE)
        .says(&[
            r"\.pyi?:\d+(?::\d+)?: error: .*|^\s*\S+\.pyi?:\d+:\d+ - error: |^[1-9]\d* errors?, \d+ warnings?, \d+ (?:informations?|notes?)",
            r"\berror TS\d+: |\(\d+,\d+\): error TS|Type error: |error\[(?:invalid|unresolved|possibly|missing|call|not|unsupported|unknown)-[\w-]+\]",
        ])
        .why("the type checker names a wrong line")
        .do_this("correct the types at the named line")
        .example("types/utils.py:339: error: Incompatible types in assignment  [assignment]")
        .green("Success: no issues found in 310 source files"),
    rule("lint", Code, SURE)
        .says(&[
            r"^\s*\S+\.(?:pyi?|ipynb):\d+:\d+: [A-Z]{1,4}\d{2,4}\b|^[A-Z]{1,4}\d{3,4} (?:\[\*\] )?\S.*\n +--> |would (?:be )?reformat|[1-9]\d* files? would be reformatted|Imports are incorrectly sorted",
            r"✖ \d+ problems? \([1-9]\d* error|^\s+\d+:\d+\s+error\s+.*\S+$|Code style issues (?:found|were found)|\[error\] Code style|Delete `|prettier/prettier|Found [1-9]\d* (?:lint )?(?:problems?|warnings?) (?:in|and)|Biome .{0,40}error|lint/[\w/]+ ━",
            r"files were modified by this hook|hook id: |trim trailing whitespace\.+Failed|\.{5,}Failed$|have trailing spaces; please|^\s*>*\s*Lint for \S+:|Linter failed|Linting failed|\bshellcheck\b.{0,60}SC\d{4}|\bSC\d{4} \((?:error|warning)\)|\[yamllint|^\s+\d+:\d+\s+error\s|markdownlint|MD\d{3}/|golangci-lint.{0,80}(?:exit|issues found)|\(\w*(?:lint|vet|errcheck|staticcheck|unused|gofmt|govet|gosimple|revive)\)$|actionlint|codespell|typos found",
            r"Diff in \S+(?::\d+| at line)|cargo fmt|error: `#\[deny\(clippy|clippy::\w+|-D (?:warnings|clippy)|gofmt.{0,40}(?:differ|needed|not)|needs? (?:to be )?format|is not (?:properly )?formatted|not gofmt|run (?:`|')?(?:black|ruff|prettier|gofmt|make format|make fmt)",
            r"Your code has been rated at|pylint.{0,40}(?:exit|fail)|: [CRWEF]\d{4}: |(?:TFLint|tflint|hadolint|stylelint|ktlint|checkstyle|spotless|rubocop).{0,80}(?:error|violation|offense|fail|DL\d{4})|[1-9]\d* offenses? detected",
        ])
        .unless(&[r"ESLint couldn't find|0 errors|: command not found|no module named|Lint for \S+ (?:passed|ok)"])
        .why("a linter or a formatter names a wrong line")
        .do_this("run the linter or formatter here and commit its changes; a suppression needs a reason")
        .example("litellm/main.py:12:1: F401 [*] `os` imported but unused")
        .green("All checks passed!"),
    rule("check_summary", Code, SURE)
        .says(&[r"^Found [1-9]\d* errors?(?: in \d+ files?\b|\.?(?: |$))"])
        .why("a linter or a type checker found errors")
        .do_this("run the checker here, and correct the lines that it names")
        .example("Found 2 errors in 1 file (checked 310 source files)")
        .green("Found 0 errors."),
    rule("compiler_target", Config, SURE)
        .says(&[r"^error: linker .{1,40} not found|the \S+ target may not be installed"])
        .why("the job's image has no linker, or not the target of the build")
        .do_this("install the linker or the target (`rustup target add`) in the job")
        .example("error: linker `cc` not found")
        .green("info: component rust-std for target wasm32 is up to date"),
    rule("compile", Code, SURE)
        .says(&[
            r"^error(?:\[E\d{4}\])(?::|\s)|error: could not compile `|error: aborting due to|error: cannot find (?:macro|attribute|derive)|error: expected .{0,60}found|error: mismatched types",
            r"^[^\s:]+\.(?:c|cc|cpp|cxx|h|hpp|cu|cuh|m|mm|swift|kt|java|scala|proto|zig|dart)(?::\d+)+: (?:fatal )?error[: ]|\(\d+\): (?:fatal )?error C\d+:|\(\d+,\d+\): error CS\d+|error: linking with|undefined reference to|undefined symbols? for architecture|ld: symbol\(s\) not found|collect2: error: ld returned|error LNK\d+",
            r"^\.?/?\S+\.go:\d+:\d+: (?:undefined|cannot|declared and not|imported and not|too many|not enough|missing|invalid|syntax|.{1,60}(?:redeclared|undefined|not used|mismatched))|\[build failed\]|^vet: |\[setup failed\]|e: file://.*\.kt:\d+|Compilation failed|COMPILATION ERROR|Compilation error|error: cannot find symbol|Build failed with \d+ error|Failed to compile\b",
            r"SyntaxError: |IndentationError: |TabError: |^\s*E\s+SyntaxError|ParseError: |Parsing error: |Unexpected token|error: parse error|Transform failed with \d+ error|\[vite(?:st)?:?\w*\].{0,40}(?:error|failed)|RollupError|\[plugin:vite|Module (?:build failed|parse failed)|Expected .{1,20} but found|✘ \[ERROR\]|Module not found: (?:Error: )?Can't resolve '[./@~]",
        ])
        .unless(&[r"JSON|^\s*\d+ passed|Unexpected token '?<|is not valid JSON|pyproject"])
        .why("the code does not compile or parse")
        .do_this("correct the code at the named line")
        .example("error[E0308]: mismatched types")
        .green("   Compiling error-stack v0.5.0"),
    rule("schema_drift", Config, LIKELY)
        .says(&[
            r"\[[+*-]\] (?:Added|Removed|Changed|Altered|Renamed) (?:the )?(?:columns?|tables?|index|unique|foreign|enum|required|primary)|\[\*\] Changed the \S+ table|^\s*\[[+*-]\] .{0,40}\b(?:column|table|index|enum|constraint)\b|^-- (?:Create|Alter|Drop)(?:Table|Index|Enum|ForeignKey)\b",
            r"schema.{0,60}(?:out of sync|not in sync|does not match|differ|mismatch|drift)|(?:drift detected|migrations? (?:is|are) (?:missing|out of date|pending|not up to date))|(?:missing|no|pending|new|unapplied|uncommitted) migrations?\b.{0,60}(?:found|for|detected|not|fail|required)|prisma (?:db )?error|Error: P\d{4}\b|\bP30(?:05|06|09|14|18|19)\b",
            r"Multiple head revisions|Can't locate revision identified by|target database is not up to date|changes? .{0,40}not yet reflected in a migration|have changes that are not|Your models .{0,60}have changes|New upgrade operations detected",
            r"(?:schema\.prisma|\.prisma|openapi|schema\.json|schema\.graphql|\.proto).{0,60}(?:differ|stale|outdated|out of date|not up to date|changed)|column \S+ (?:of relation \S+ )?does not exist|no such (?:table|column): |relation \S+ does not exist|(?:table|column) `?\S+`? does not exist in the current database",
        ])
        .unless(&[r"no (?:migration|difference|schema)|0 migrations|No migrations? to|No pending"])
        .why("the schema and its migrations differ")
        .do_this("write the migration from the printed difference, and copy the schema to each place that has it")
        .example("  [+] Added column sessionVersion")
        .green("No difference detected."),
    rule("generated_stale", Code, LIKELY)
        .says(&[
            r"local git repository checkout dirty|(?:generated|committed|checked.in) .{0,60}(?:stale|out of date|not up to date|differ|outdated)|(?:is|are) (?:stale|out of date|outdated)[:,;.] (?:run|please|re-?run)|please (?:run|commit) .{0,60}(?:and commit|generat|update)|working (?:tree|directory) (?:is )?(?:not clean|dirty)|git diff --exit-code|uncommitted changes",
            r"weren't regenerated|did you forget to (?:run|commit|update)|needs? to be regenerated|snapshot (?:assertion|tests?) .{0,20}fail|[1-9]\d* snapshots? (?:failed|obsolete)|Snapshot `.{1,120}` mismatched|insta::|toMatchSnapshot|toMatchInlineSnapshot",
        ])
        .why("a generated file or a snapshot does not match the code")
        .do_this("regenerate the file or the snapshot, look at the difference, and commit it")
        .example("Build left local git repository checkout dirty")
        .green("nothing to commit, working tree clean"),
    rule("vulnerable_dependency", Config, LIKELY)
        .says(&[
            r"[1-9]\d* (?:low|moderate|high|critical) severity vulnerabilit|found [1-9]\d* vulnerabilit|[1-9]\d* vulnerabilit(?:y|ies) (?:found|\()|\((?:[^)]*(?:HIGH|CRITICAL): [1-9])|\b(?:CVE-\d{4}-\d+|GHSA-\w{4}-\w{4}-\w{4}|RUSTSEC-\d{4}-\d+)\b|error\[vulnerability\]|Known security vulnerabilities|advisories FAILED",
        ])
        .unless(&[r"ignor|0 vulnerabilit|allowed|skipp|will be fixed"])
        .why("a security scan found a vulnerable dependency")
        .do_this("raise the dependency, or override it (`overrides` in package.json, pins in the Dockerfile)")
        .example("3 high severity vulnerabilities")
        .green("found 0 vulnerabilities"),
    rule("repository_check", Code, LIKELY)
        .says(&[
            r"mentioned nowhere|not (?:documented|mentioned|listed) in|(?:undocumented|missing (?:docs|documentation|docstring|changelog|release note|license header))|(?:keys?|variables?|functions?|modules?|routes?|params?|fields?) .{0,60}(?:not|isn't|aren't) (?:documented|tested|covered|registered|exported|listed)|are not tested for|does not have a (?:regression )?test|untested functions",
            r"required test coverage of .{1,12} not reached|coverage .{0,60}(?:below|less than|under|not (?:met|meet))|Your PR is \d+ LOC|refusing to run CI|LOC which is more than|bundle size|exceeds? (?:the )?(?:maximum|max|limit|budget|size)|should extend from|leaks found|secrets? (?:detected|found)|This PR needs a|(?:PR|commit) (?:title|message|description) .{0,60}(?:does not|must|should|invalid)|subject may not be empty|type may not be empty|Failing because |(?:recursive|forbidden|banned) (?:function|import|call|pattern|word)|REGRESSION: benchmark|MISSING REGRESSION TEST|out of sync with the corresponding|unexpected number of PRs|broken links? found|\[ERROR\] .{0,40}404|cherry-pick. ?-x .{0,60}non-zero",
        ])
        .unless(&[r"0 (?:leaks|secrets)|context length|token|rate limit|max_tokens|execution time"])
        .why("a check of the repository names what is missing or not allowed")
        .do_this("add what the check names")
        .example("Environment variables read under ./litellm but mentioned nowhere in the docs: ['A']")
        .green("all keys are documented"),
];
