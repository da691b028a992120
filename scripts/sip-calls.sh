#!/bin/bash
# Real SIP calls through a real proxy and the real relay, in userspace and in the kernel. No packet may be lost, every SDP
# must name the relay, and no call or port may be left.
#
#   scripts/sip-calls.sh [DIRECTORY OF THE PROGRAMS [TABLE CALL]]      default: target/release, everything
#
# Needs root and what scripts/setup.sh installs.
set -euo pipefail
LAB_BIN=$(realpath "${1:-$(dirname "$0")/../target/release}")
# shellcheck source=scripts/sip-lab.sh
. "$(dirname "$0")/sip-lab.sh"

CALLS="plain late_offer reinvite early hold busy refused fork transfer"
PAUSE=1200

main() {
    local table call passed=0 failed=0
    for table in -1 0; do
        for call in $CALLS; do
            if bash "$0" "$LAB_BIN" "$table" "$call"; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
            fi
        done
    done
    echo "SIP calls: $passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# Each starts its calls, and sets in how many directions media flows. What has to be looked at afterwards, does check_CALL.

plain() {
    two caller callee
}

# The offer comes in the 200, the answer in the ACK.
late_offer() {
    two late-offer-caller callee
}

# Both ways, with and without SDP.
reinvite() {
    two reinvite-caller reinvite-callee
}

# Media flows before anybody answers.
early() {
    two early-caller early-callee
}

# Hold and resume, by direction and by the address 0.0.0.0.
hold() {
    two hold-caller hold-callee
}

# Refused after an offer.
busy() {
    two busy-caller busy-callee
    directions=0
}

# The relay refuses the offer, so the proxy the call.
refused() {
    lab_caller caller caller 5061 refused-caller "$PAUSE" -key callee 198.18.2.2:5061
    directions=0
    sdp=none
}

# Two phones ring, the one with early media. The other one answers.
fork() {
    local loser=
    directions=2
    lab_callee loser callee 5062 fork-loser "$PAUSE"
    lab_callee winner callee 5061 fork-winner "$PAUSE"
    lab_caller caller caller 5061 fork-caller "$PAUSE" -key callee 198.18.2.2:5061 -key other 198.18.2.2:5062
    lab_until "early media has ports" open_port loser
    loser=$port
    open_port winner && lab_die "nobody has answered yet"
    lab_until "the answer has ports" open_port winner
    lab_until "who did not answer has none" is_closed "$loser"
    open_port winner || lab_die "the wrong ports were closed"
}

check_fork() {
    local call
    call=$(lab_ng list --json | jq -r '.calls[]')
    lab_ng show "$call" --json | jq -e --argjson probe "$LAB_REPORT" '
        def sent_to(tag): .parties[] | select(.tag | contains(tag)) | .medias[0].streams[0].sent.packets;
        sent_to("winner") == $probe.directions[0].sent and sent_to("loser") == 0' >/dev/null ||
        lab_die "not all of $LAB_REPORT went to who answered: $(lab_ng show "$call")"
}

# open_port TAG: the port for media of a party of the only call, whose tag has this in it, into $port. Fails if there is none.
open_port() {
    local call
    call=$(lab_ng list --json | jq -r '.calls[]')
    [ -n "$call" ] || return 1
    port=$(lab_ng show "$call" --json | jq -r --arg tag "$1" \
        '.parties[] | select(.tag | contains($tag)) | .medias[0].streams[0].local // empty | sub(".*:"; "")')
    [ -n "$port" ] && lab_hears relay "$port"
}

# is_closed PORT: whether neither the port nor the one for RTCP is open.
is_closed() {
    ! open_port loser && ! lab_hears relay "$1" && ! lab_hears relay $(($1 + 1))
}

# The caller holds the callee, asks the target, and has the callee take its place (RFC 5589 section 7).
transfer() {
    local callee=198.18.2.2:5061 target=198.18.3.2:5061
    directions=6
    lab_callee target target 5061 transfer-target "$PAUSE" -key caller 198.18.1.2:5061
    lab_callee callee callee 5061 transfer-callee "$PAUSE" -key caller 198.18.1.2:5061 -key target "$target"
    # Without the address in it the call-id needs no escapes in the URI that refers to it.
    lab_caller caller caller 5061 transfer-caller "$PAUSE" -cid_str %u-%p -key callee "$callee" -key target "$target"
}

# two CALLER CALLEE: two calls at once between two scenarios.
two() {
    directions=2
    lab_call 1 "$1" "$2" "$PAUSE"
    lab_call 2 "$1" "$2" "$PAUSE"
}

# one TABLE CALL
one() {
    local table=$1 call=$2 directions port sdp=some options=()
    [ "$table" = -1 ] || options=(--no-fallback)
    lab_open "relay-sip-$$"
    lab_relay "$LAB_BIN/relay-daemon" --table="$table" "${options[@]}"
    lab_proxy "$LAB_SIP/kamailio.cfg"
    lab_probe
    "$call"
    lab_hang_up || lab_die "$call, table $table: a user agent saw what its scenario does not say"
    lab_report
    lab_count
    jq -n -e --argjson probe "$LAB_REPORT" --argjson relay "$LAB_COUNTS" --argjson table "$table" --argjson n "$directions" '
        ($probe.directions | length == $n and all(.sent > 0 and .lost == 0 and .duplicated == 0 and .corrupted == 0))
        and $probe.capture_drops == 0 and $probe.strays == 0
        and ($relay | to_entries | all(
            .value as $counted
            | [$probe.directions[] as $direction | select($direction.from == .key) | $direction.sent] | add // 0
            | . == $counted.kernel + $counted.userspace
              and if $table < 0 or . == 0 then $counted.kernel == 0 else $counted.kernel > 0 end))' >/dev/null ||
        lab_die "$call, table $table: probe $LAB_REPORT, relay $LAB_COUNTS"
    [ "$sdp" = none ] || lab_names_relay || lab_die "$call, table $table: SDP names somebody else: $LAB_REPORT"
    ! declare -F "check_$call" >/dev/null || "check_$call"
    nothing_is_left
    lab_stop "$LAB_RELAY" || lab_die "$call, table $table: the relay ended with status $?"
    echo "ok: $call, table $table, $(jq -c '[.directions[].sent]' <<<"$LAB_REPORT") packets, relay $(jq -c . <<<"$LAB_COUNTS")"
}

# The proxy has deleted every call. They only wait for their time to come, which the test does not.
nothing_is_left() {
    local id
    for id in $(lab_ng list --json | jq -r '.calls[]'); do
        lab_ng show "$id" --json | jq -e 'has("deleted-in")' >/dev/null || lab_die "the call $id is not deleted: $(lab_ng show "$id")"
        lab_ng delete "$id" --delay 0 >/dev/null
    done
    [ -z "$(lab_ng list --json | jq -r '.calls[]')" ] || lab_die "calls are left: $(lab_ng calls)"
    lab_until "all ports are closed" no_ports
}

no_ports() {
    [ "$(lab_media_ports)" = 0 ]
}

if [ $# -gt 1 ]; then
    shift
    one "$@"
else
    main
fi
