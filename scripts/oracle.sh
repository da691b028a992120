#!/bin/bash
# Replays the conversations that were recorded from the reference daemon against ours, in network
# namespaces, and compares with what is expected: all pass but those in tests/fixtures/oracle/not-yet.txt,
# where those with packets (tests/fixtures/oracle/media) stand as media/NAME.
#
#   scripts/oracle.sh [DAEMON]      default: target/release/relay-daemon
#
# One that fails unlisted, or passes although listed, is a failure. The conversations of our own in
# tests/fixtures/conversations and tests/fixtures/media all pass. To see what differs in one of them:
#
#   scripts/oracle.sh DAEMON -v --only NAME
#   scripts/oracle.sh DAEMON media -v --only NAME
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
oracle=$root/tests/fixtures/oracle
daemon=$(realpath "${1:-$root/target/release/relay-daemon}")
shift || true
namespace=relay-oracle-$$
# Conversations with packets mostly wait: so many are played at the same time.
PLAYERS=6

main() {
    work=$(mktemp -d)
    trap close EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    make_namespace "$namespace"
    if [ "${1:-}" = media ]; then
        play_media "$namespace" "$oracle/media" "${@:2}"
        return
    elif [ $# -gt 0 ]; then
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
    play_media "$namespace" "$root/tests/fixtures/media" >"$work/own-media.log" 2>&1 || {
        cat "$work/own-media.log"
        echo "Conversations of our own with packets fail"
        exit 1
    }
    replay_media
    judge
}

# make_namespace NAME: the addresses of both sides are local there.
make_namespace() {
    ip netns add "$1"
    ip -n "$1" link set lo up
    local address
    for address in 203.0.113.{1,2,3}; do
        ip -n "$1" addr add "$address/32" dev lo
    done
    for address in 2001:db8:4321::{1,2}; do
        ip -n "$1" addr add "$address/128" dev lo nodad
    done
    ip -n "$1" route add local 198.51.96.0/20 dev lo
    ip -n "$1" -6 route add local 2001:db8:4321:100::/56 dev lo
}

# Makes two directories of conversations: those expected to pass, and the others; the same in parts for those with packets.
sort_out() {
    local file name number=0
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
    done >"$work/names"
    for file in "$oracle"/media/*.json; do
        name=media/$(basename "$file" .json)
        mkdir -p "$work/part-$((number % PLAYERS))"
        ln -s "$file" "$work/part-$((number % PLAYERS))/"
        number=$((number + 1))
        echo "$name"
    done >"$work/media-names"
    sort "$work/names" "$work/media-names" >"$work/all"
}

replay() {
    inside "$namespace" replay.py "$@"
}

# play_media NAMESPACE DIRECTORY OPTION...
play_media() {
    inside "$1" replay_media.py "${@:2}"
}

# inside NAMESPACE PLAYER OPTION...
inside() {
    nsenter --net="/run/netns/$1" python3 "$oracle/$2" "${@:3}" --start \
        "$daemon --table=-1 --listen-ng=127.0.0.1:2223 --foreground --log-stderr --log-level=4 {options}"
}

# Plays all conversations with packets, a part in each namespace, and those that come out against what is expected again, by
# themselves: a machine that has too much to do delays packets.
replay_media() {
    local part parts=("$work"/part-*) players=() player
    for part in "${parts[@]}"; do
        make_namespace "$namespace-${part##*-}"
        play_media "$namespace-${part##*-}" "$part" --no-retry >"$part.log" 2>&1 &
        players+=($!)
    done
    for player in "${players[@]}"; do
        wait "$player" || true
    done
    for part in "${parts[@]}"; do
        complete "$part.log"
    done
    sed -n 's/^FAIL /media\//p' "${parts[@]/%/.log}" | sort >"$work/media.failed"
    grep '^media/' "$work/listed" >"$work/media.listed" || true
    comm -3 "$work/media.failed" "$work/media.listed" | tr -d '\t' | sort >"$work/media.again"
    mkdir "$work/again"
    local name
    while read -r name; do
        [ ! -e "$oracle/$name.json" ] || ln -s "$oracle/$name.json" "$work/again/"
    done <"$work/media.again"
    : >"$work/again.log"
    if [ -n "$(ls "$work/again")" ]; then
        play_media "$namespace" "$work/again" >"$work/again.log" || true
        complete "$work/again.log"
    fi
    # Of those that were played again, failed are the unlisted that failed each time, and the listed that failed once.
    sed -n 's/^FAIL /media\//p' "$work/again.log" | sort >"$work/again.failed"
    {
        comm -12 "$work/media.failed" "$work/again.failed"
        comm -12 "$work/media.failed" "$work/media.listed"
        comm -12 "$work/media.listed" "$work/again.failed"
    } | sort -u >"$work/media.verdict"
}

# complete LOG: whether the replay has ended.
complete() {
    grep -q '^total ' "$1" || {
        cat "$1"
        echo "The replay did not end"
        exit 1
    }
}

judge() {
    local run name
    for run in expected not-yet; do
        [ -z "$(ls "$work/$run")" ] || complete "$work/$run.log"
        sed -n 's/^FAIL //p' "$work/$run.log"
    done | cat - "$work/media.verdict" | sort >"$work/failed"
    comm -12 "$work/failed" "$work/listed" >"$work/known"
    {
        comm -23 "$work/failed" "$work/listed" | sed 's/$/: fails and is not listed/'
        comm -23 "$work/listed" "$work/failed" | while read -r name; do
            if grep -qxF "$name" "$work/all"; then
                echo "$name: passes although it is listed"
            else
                echo "$name: listed, but there is no such conversation"
            fi
        done
    } >"$work/wrong"
    cat "$work/wrong"
    local all failed
    all=$(wc -l <"$work/all")
    failed=$(wc -l <"$work/failed")
    echo "$all conversations: $((all - failed)) pass, $(wc -l <"$work/known") are known to fail, $(wc -l <"$work/wrong") are not as expected"
    [ ! -s "$work/wrong" ]
}

close() {
    local status=$? name
    trap - EXIT
    for name in $(ip netns list | awk '{ print $1 }' | grep "^$namespace" || true); do
        # Players and their daemons, if they are still at it.
        ip netns pids "$name" | xargs -r kill 2>/dev/null || true
        ip netns del "$name" 2>/dev/null || true
    done
    wait
    rm -rf "$work"
    exit "$status"
}

main "$@"
