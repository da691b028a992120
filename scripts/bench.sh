#!/bin/bash
# Measurements on this machine, as ratios between things measured in turn in one run.
#
#   scripts/bench.sh latency [CALLS]    the same SIP calls relayed in userspace and in the kernel: how long a packet takes
#                                       from one end's interface to the other's
#   scripts/bench.sh kernel [--json]    the XDP program beside a bare redirect, the daemon beside rtpengine, and how soon a
#                                       flow is in the kernel and a changed network is followed; plots go to docs/
#   scripts/bench.sh control [ROUNDS]   offer, answer and delete: ours beside rtpengine (Debian's rtpengine-daemon), both
#                                       on one core and in userspace; and the memory of 5,000 calls
#   scripts/bench.sh srtp [ROUNDS]      SRTP alone beside libsrtp; DTLS handshakes; RTP and SRTP to SRTP through the daemon
#                                       beside rtpengine, 500 flows, both in userspace
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/sip-lab.sh

main() {
    case ${1:-} in
    latency) build && latency "${2:-10}" ;;
    kernel) build && kernel "${@:2}" ;;
    srtp) build && srtp "${@:2}" ;;
    control) build && . scripts/bench-control.sh && control "${2:-6}" ;;
    *)
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
        exit 2
        ;;
    esac
}

build() {
    scripts/setup.sh demo
    export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    cargo build --release --quiet -p relay-daemon -p ng-client -p relay-tests
    LAB_BIN=${CARGO_TARGET_DIR:-$PWD/target}/release
}

kernel() {
    command -v rtpengine >/dev/null || lab_die "rtpengine is missing: apt-get install --no-install-recommends rtpengine-daemon"
    mkdir -p docs
    "$LAB_BIN/kernel-bench" --plots docs "$@"
}

srtp() {
    command -v rtpengine >/dev/null || lab_die "rtpengine is missing: apt-get install --no-install-recommends rtpengine-daemon"
    "$LAB_BIN/srtp-bench" "$@"
}

latency() {
    # Each in a shell of its own, whose end cleans up.
    (latency_of userspace -1 "$1")
    (latency_of kernel 0 "$1")
}

# latency_of NAME TABLE CALLS
latency_of() {
    lab_open relay-bench
    lab_relay "$LAB_BIN/relay-daemon" --table="$2"
    lab_proxy "$LAB_SIP/kamailio.cfg"
    lab_probe
    local number
    for number in $(seq "$3"); do
        lab_call "$number" caller callee 5000
    done
    lab_hang_up || lab_die "a call failed"
    lab_report
    jq -r --arg name "$1" '.directions[] |
        "\($name), \(.from) to \(.to): \(.sent) packets, \(.lost) lost, median \(.latency_us.median) us, 99 % \(.latency_us.p99) us"' \
        <<<"$LAB_REPORT"
}

main "$@"
