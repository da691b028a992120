#!/bin/bash
# Replays the conversations that were recorded from the reference daemon against ours, in a network
# namespace, and compares with what is expected: all pass but those in tests/fixtures/oracle/not-yet.txt.
#
#   scripts/oracle.sh [DAEMON]      default: target/release/relay-daemon
#
# One that fails unlisted, or passes although listed, is a failure. The conversations of our own in
# tests/fixtures/conversations all pass. To see what differs in one of them:
#
#   scripts/oracle.sh DAEMON -v --only NAME
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
oracle=$root/tests/fixtures/oracle
daemon=$(realpath "${1:-$root/target/release/relay-daemon}")
shift || true
namespace=relay-oracle-$$

main() {
    work=$(mktemp -d)
    trap close EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
    local address
    for address in 203.0.113.{1,2,3}; do
        ip -n "$namespace" addr add "$address/32" dev lo
    done
    for address in 2001:db8:4321::{1,2}; do
        ip -n "$namespace" addr add "$address/128" dev lo nodad
    done
    if [ $# -gt 0 ]; then
        replay "$oracle/conversations" "$@"
        return
    fi
    sort_out
    replay "$work/expected" >"$work/expected.log" || true
    replay "$work/not-yet" --no-retry >"$work/not-yet.log" || true
    replay "$root/tests/fixtures/conversations" >"$work/own.log" || {
        cat "$work/own.log"
        echo "Conversations of our own fail"
        exit 1
    }
    judge
}

# Makes two directories of conversations: those expected to pass, and the others.
sort_out() {
    local file name
    awk '!/^#/ && NF { print $1 }' "$oracle/not-yet.txt" | sort >"$work/listed"
    mkdir "$work/expected" "$work/not-yet"
    for file in "$oracle"/conversations/*.json; do
        name=$(basename "$file" .json)
        if grep -qxF "$name" "$work/listed"; then
            ln -s "$file" "$work/not-yet/"
        else
            ln -s "$file" "$work/expected/"
        fi
        echo "$name"
    done | sort >"$work/all"
}

replay() {
    nsenter --net="/run/netns/$namespace" python3 "$oracle/replay.py" "$@" --start \
        "$daemon --table=-1 --listen-ng=127.0.0.1:2223 --foreground --log-stderr --log-level=4 {options}"
}

judge() {
    local run name
    for run in expected not-yet; do
        sed -n 's/^FAIL //p' "$work/$run.log" | sort >"$work/$run.failed"
        if ! grep -q '^total ' "$work/$run.log" && [ -n "$(ls "$work/$run")" ]; then
            cat "$work/$run.log"
            echo "The replay did not end"
            exit 1
        fi
    done
    {
        sed 's/$/: fails and is not listed/' "$work/expected.failed"
        comm -23 "$work/listed" "$work/not-yet.failed" | while read -r name; do
            if grep -qxF "$name" "$work/all"; then
                echo "$name: passes although it is listed"
            else
                echo "$name: listed, but there is no such conversation"
            fi
        done
    } >"$work/wrong"
    cat "$work/wrong"
    local all wrong listed
    all=$(wc -l <"$work/all")
    wrong=$(wc -l <"$work/wrong")
    listed=$(wc -l <"$work/not-yet.failed")
    echo "$all conversations: $((all - listed - $(wc -l <"$work/expected.failed"))) pass, $listed are known to fail, $wrong are not as expected"
    [ "$wrong" = 0 ]
}

close() {
    local status=$?
    trap - EXIT
    ip netns del "$namespace" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}

main "$@"
