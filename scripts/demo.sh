#!/bin/bash
# Ten SIP calls of ten seconds through the relay, with real RTP both ways, on one machine:
#
#   caller (SIPp) --- relay with Kamailio --- callee (SIPp)      each in a network namespace of its own
#
# Prints the calls while they run, and at the end what became of every packet. Fails if one was lost, if less than
# 90 % went through the kernel, or if an SDP that arrived does not name the relay. For Debian 12 with Rust 1.95, as root.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/sip-lab.sh

CALLS=10
SECONDS_EACH=10
KERNEL_PERCENT=90

main() {
    [ "$(id -u)" = 0 ] || lab_die "network namespaces and XDP need root"
    scripts/setup.sh demo
    export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    cargo build --release --quiet -p relay-daemon -p ng-client -p relay-tests
    LAB_BIN=${CARGO_TARGET_DIR:-$PWD/target}/release

    lab_open relay-demo
    lab_relay "$LAB_BIN/relay-daemon" --table=0
    lab_proxy "$LAB_SIP/kamailio.cfg"
    lab_probe
    echo "The relay started with:"
    sed 's/^/    /' "$LAB_DIR/relay.log"

    local number
    for number in $(seq "$CALLS"); do
        lab_call "$number" caller callee $((SECONDS_EACH * 1000))
    done
    echo "$CALLS calls of $SECONDS_EACH seconds are set up."
    while sleep 2 && lab_talks; do
        echo
        lab_ng calls
    done
    lab_hang_up || lab_die "a call failed"
    lab_report
    lab_count
    echo
    print_table
    judge
}

print_table() {
    local row='%-18s %7s %10s %13s %6s   %14s %11s\n' direction
    # shellcheck disable=SC2059
    printf "$row" direction sent in-kernel in-userspace lost "latency median" "99 %"
    for direction in 0 1; do
        # shellcheck disable=SC2059,SC2046
        printf "$row" $(jq -r --argjson relay "$LAB_COUNTS" --argjson n "$direction" '.directions[$n] |
            "\(.from)->\(.to)", .sent, $relay[.from].kernel, $relay[.from].userspace, .lost,
            (.latency_us | "\(.median * 10 | round / 10)us", "\(.p99 * 10 | round / 10)us")' <<<"$LAB_REPORT")
    done
    echo "Latency: from leaving one end's interface to arriving at the other's, two virtual wires and the relay."
}

judge() {
    local verdict=0
    complain() {
        echo "FAILED: $*"
        verdict=1
    }
    check "$LAB_REPORT" '.directions | length == 2 and all(.sent > 0)' || complain "no media in one direction"
    check "$LAB_REPORT" '.directions | all(.lost == 0)' || complain "packets were lost"
    check "$LAB_REPORT" '.directions | all(.duplicated == 0 and .corrupted == 0)' || complain "packets were duplicated or corrupted"
    check "$LAB_REPORT" '.capture_drops == 0' || complain "the probe itself lost packets: the counts mean nothing"
    check "$LAB_COUNTS" "[.caller, .callee] | all(.kernel * 100 >= (.kernel + .userspace) * $KERNEL_PERCENT)" ||
        complain "less than $KERNEL_PERCENT % went through the kernel"
    lab_names_relay || complain "an SDP that arrived does not name the relay: $(jq -c .announced <<<"$LAB_REPORT")"
    [ "$verdict" = 0 ] && echo "All packets arrived, all SDP named the relay, at least $KERNEL_PERCENT % went through the kernel."
    return "$verdict"
}

check() {
    jq -e "$2" >/dev/null <<<"$1"
}

main "$@"
