#!/bin/bash
# Everything that continuous integration runs, from the cheapest up. Debian 12; as root, or what needs network
# namespaces fails. The last line says how many tests passed and failed.
#
#   FUZZ_SECONDS=10    for each fuzz target
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

FUZZ_SECONDS=${FUZZ_SECONDS:-10}
LONGEST_FILE=600
passed=0
failed=0

main() {
    scripts/setup.sh || exit 1
    export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT

    step "formatting" formatted
    step "length of files" short_files
    step "scripts" shellcheck --external-sources scripts/*.sh tests/sip/*.sh
    step "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
    step "lints, userspace only" cargo clippy -p relay-daemon --no-default-features --quiet -- -D warnings
    tests "tests" cargo test --workspace --no-fail-fast --quiet
    step "release build" cargo build --release --workspace --quiet
    step "recorded conversations" scripts/oracle.sh
    step "attacks" scripts/attack.sh short
    step "SIP calls" scripts/sip-calls.sh
    step "secure SIP calls" scripts/sip-secure.sh
    local target
    for target in $(cargo fuzz list --fuzz-dir tests/fuzz); do
        step "fuzzing: $target" fuzz "$target"
    done
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# step NAME COMMAND...: counts as one test.
step() {
    announce "$1"
    if "${@:2}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1"
    fi
}

# tests NAME COMMAND...: counts the tests of cargo test.
tests() {
    announce "$1"
    "${@:2}" 2>&1 | tee "$log"
    local status=${PIPESTATUS[0]} failures
    passed=$((passed + $(sum_of passed)))
    failures=$(sum_of failed)
    # What does not build has no tests to count.
    [ "$status" = 0 ] || [ "$failures" != 0 ] || failures=1
    failed=$((failed + failures))
}

sum_of() {
    grep -o "[0-9]* $1;" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}

announce() {
    echo "=== $1 ($(date +%T))"
}

formatted() {
    cargo fmt --all --check &&
        cargo fmt --manifest-path relay-ebpf/Cargo.toml --check &&
        cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
}

short_files() {
    find . -name target -prune -o -name '*.rs' -print0 | xargs -0 wc -l | awk -v longest="$LONGEST_FILE" '
        $2 != "total" && $1 > longest { print $2 ": " $1 " lines, at most " longest " are easy to read"; bad = 1 }
        END { exit bad }'
}

# The stable compiler takes the flags of the fuzzer when told that it is a nightly one. Fixtures are the seeds.
fuzz() {
    local corpus=tests/fuzz/corpus/$1 seeds=()
    mkdir -p "$corpus"
    [ ! -d "tests/fixtures/$1" ] || seeds=("tests/fixtures/$1")
    RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none "$1" "$corpus" "${seeds[@]}" \
        -- -max_total_time="$FUZZ_SECONDS" >"$log" 2>&1 || { tail -n 60 "$log" && return 1; }
    tail -n 1 "$log"
}

main
