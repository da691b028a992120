# shellcheck shell=bash
# Sourced by bench.sh: the control side beside rtpengine.
#
# Each daemon runs alone in a network namespace, pinned to the last core; the load comes from the first. Rounds are
# interleaved. A fresh daemon serves each kind of measurement, so that nothing that piled up counts for the next.

BENCH_NETNS=relay-bench-$$
BENCH_CORE=$(($(nproc) - 1))
BENCH_SECONDS=3
BENCH_CALLS=5000

control() {
    command -v rtpengine >/dev/null || lab_die "rtpengine is missing: apt-get install --no-install-recommends rtpengine-daemon"
    [ "$(nproc)" -ge 2 ] || lab_die "two cores are needed: one for the daemon, one for the load"
    BENCH_DIR=$(mktemp -d)
    trap bench_close EXIT
    ip netns add "$BENCH_NETNS"
    ip -n "$BENCH_NETNS" link set lo up
    ip -n "$BENCH_NETNS" addr add 203.0.113.1/32 dev lo

    rounds rate-64 rate 64 "$BENCH_SECONDS" "$1"
    rounds rate-1 rate 1 "$BENCH_SECONDS" "$1"
    local name
    for name in ours reference; do
        start "$name"
        load hold "$BENCH_CALLS" >"$BENCH_DIR/hold.$name.json"
        echo "{\"kib\": $(awk '/^VmRSS/ { print $2 }' "/proc/$BENCH_PID/status"), \"before\": $BENCH_RSS}" >"$BENCH_DIR/memory.$name.json"
        stop
    done
    summary
}

# rounds NAME KIND IN-FLIGHT SECONDS ROUNDS
rounds() {
    local name
    for _ in $(seq "$5"); do
        for name in ours reference; do
            start "$name"
            load "$2" "$3" "$4" >>"$BENCH_DIR/$1.$name.json"
            stop
        done
    done
}

start() {
    local command
    case $1 in
    ours) command=("$LAB_BIN/relay-daemon" --log-stderr) ;;
    # Its log goes to the same place as ours, as little of it: neither is to be measured by its logging.
    reference) command=(rtpengine --log-stderr --config-file=none) ;;
    esac
    # Not by bench_in: the process in the background is to be the daemon itself.
    nsenter --net="/run/netns/$BENCH_NETNS" taskset -c "$BENCH_CORE" "${command[@]}" --interface=203.0.113.1 --listen-ng=127.0.0.1:2223 --table=-1 \
        --port-min=10000 --port-max=60000 --foreground --log-level=3 2>"$BENCH_DIR/$1.log" &
    BENCH_PID=$!
    local try
    for try in $(seq 50); do
        bench_in "$LAB_BIN/ng-client" --timeout 1 ping >/dev/null 2>&1 && break
        sleep 0.1
        [ "$try" -lt 50 ] || lab_die "$1 does not answer: $(cat "$BENCH_DIR/$1.log")"
    done
    BENCH_RSS=$(awk '/^VmRSS/ { print $2 }' "/proc/$BENCH_PID/status")
}

stop() {
    kill "$BENCH_PID"
    wait "$BENCH_PID" || true
    BENCH_PID=
}

load() {
    bench_in taskset -c 0 "$LAB_BIN/ng-load" "$1" 127.0.0.1:2223 "${@:2}"
}

bench_in() {
    nsenter --net="/run/netns/$BENCH_NETNS" "$@"
}

summary() {
    jq -n -r --slurpfile many "$BENCH_DIR/rate-64.ours.json" --slurpfile many_ref "$BENCH_DIR/rate-64.reference.json" \
        --slurpfile one "$BENCH_DIR/rate-1.ours.json" --slurpfile one_ref "$BENCH_DIR/rate-1.reference.json" \
        --slurpfile memory "$BENCH_DIR/memory.ours.json" --slurpfile memory_ref "$BENCH_DIR/memory.reference.json" '
        def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2] + .[length / 2 - 1]) / 2 end;
        def spread: "\(min | round) to \(max | round)";
        def row($what; $ours; $reference):
            "\($what): ours \($ours | median | round) (\($ours | spread)), rtpengine \($reference | median | round) (\($reference | spread)), ratio \(($ours | median) / ($reference | median) * 100 | round / 100)";
        row("calls a second, 64 requests in flight"; $many | map(.calls_per_second); $many_ref | map(.calls_per_second)),
        row("  99 % of replies within us"; $many | map(.reply_us.p99); $many_ref | map(.reply_us.p99)),
        row("calls a second, one request at a time"; $one | map(.calls_per_second); $one_ref | map(.calls_per_second)),
        row("  99 % of replies within us"; $one | map(.reply_us.p99); $one_ref | map(.reply_us.p99)),
        row("resident KiB with 5,000 calls"; $memory | map(.kib); $memory_ref | map(.kib)),
        row("  before the first"; $memory | map(.before); $memory_ref | map(.before))'
}

bench_close() {
    [ -z "${BENCH_PID:-}" ] || kill "$BENCH_PID" 2>/dev/null || true
    ip netns del "$BENCH_NETNS" 2>/dev/null || true
    rm -rf "$BENCH_DIR"
}
