#!/bin/bash
# Real SIP calls through the real relay, in userspace and in the kernel: a plain call, one whose offer comes in the 200,
# and one with re-INVITEs both ways, with and without SDP. No packet may be lost, and every SDP must name the relay.
#
#   scripts/sip-calls.sh [DIRECTORY OF THE PROGRAMS]      default: target/release
#
# Needs root and what scripts/setup.sh installs.
set -euo pipefail
LAB_BIN=$(realpath "${1:-$(dirname "$0")/../target/release}")
. "$(dirname "$0")/sip-lab.sh"

SCENARIOS="caller/callee late-offer-caller/callee reinvite-caller/reinvite-callee"

main() {
    local table scenario passed=0 failed=0
    for table in -1 0; do
        for scenario in $SCENARIOS; do
            if bash "$0" "$LAB_BIN" "$table" "${scenario%/*}" "${scenario#*/}"; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
            fi
        done
    done
    echo "SIP calls: $passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# one TABLE CALLER CALLEE: two calls at once between two scenarios.
one() {
    local table=$1 caller=$2 callee=$3 options=()
    [ "$table" = -1 ] || options=(--no-fallback)
    lab_open "relay-sip-$$"
    lab_relay "$LAB_BIN/relay-daemon" --table="$table" "${options[@]}"
    lab_proxy
    lab_probe
    lab_call 1 "$caller" "$callee" 1500
    lab_call 2 "$caller" "$callee" 1500
    lab_hang_up || lab_die "$caller, table $table: a user agent saw what its scenario does not say"
    lab_report
    lab_count
    jq -n -e --argjson probe "$LAB_REPORT" --argjson relay "$LAB_COUNTS" --argjson table "$table" '
        ($probe.directions | all(.sent > 0 and .lost == 0 and .duplicated == 0 and .corrupted == 0
            and .sent == ($relay[.from] | .kernel + .userspace)))
        and $probe.capture_drops == 0 and $probe.strays == 0
        and ($relay | all(if $table < 0 then .kernel == 0 else .kernel > 0 end))' >/dev/null ||
        lab_die "$caller, table $table: probe $LAB_REPORT, relay $LAB_COUNTS"
    lab_names_relay || lab_die "$caller, table $table: SDP names somebody else: $LAB_REPORT"
    lab_stop "$LAB_RELAY" || lab_die "$caller, table $table: the relay ended with status $?"
    echo "ok: $caller, table $table, $(jq -c '[.directions[].sent]' <<<"$LAB_REPORT") packets, relay $(jq -c . <<<"$LAB_COUNTS")"
}

if [ $# -gt 1 ]; then
    shift
    one "$@"
else
    main
fi
