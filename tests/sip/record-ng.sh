#!/bin/bash
# Records what Kamailio's rtpengine module sends, byte for byte, as fixtures:
#
#   tests/sip/record-ng.sh target/release/relay-daemon
#
# Any daemon that speaks ng over UDP will do: only requests are kept. Writes tests/fixtures/ng/kamailio-*.bin, one
# datagram each, and prints their names.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/sip-lab.sh
[ $# -gt 0 ] || lab_die "usage: $0 DAEMON [OPTION...]"
command -v tshark >/dev/null || lab_die "tshark is missing"
fixtures=$PWD/tests/fixtures/ng
mkdir -p "$fixtures"

# record NAME FLAGS COMMAND...: a call that the command starts, its requests as kamailio-NAME-N-COMMAND.bin.
record() {
    local name=$1 flags=$2 config=$LAB_DIR/$1.cfg
    shift 2
    sed -e "s|replace-origin|$flags|" "$LAB_SIP/kamailio.cfg" >"$config"
    lab_start "tshark-$name" relay tshark -i lo -w "$LAB_DIR/$name.pcap" -q udp dst port 2223
    local tshark=$LAB_PID
    lab_await "tshark-$name" "$tshark" grep -q "Capture started" "$LAB_DIR/tshark-$name.log"
    lab_proxy "$config"
    "$@"
    # What the daemon makes of the flags is not the matter here.
    lab_hang_up || echo "($name: the call itself failed)" >&2
    lab_stop "$LAB_PROXY" || true
    lab_stop "$tshark" || true
    tshark -r "$LAB_DIR/$name.pcap" -T fields -e udp.payload 2>/dev/null | python3 -c '
import re, sys
name, fixtures = sys.argv[1:]
number = 0
for line in sys.stdin:
    datagram = bytes.fromhex(line)
    command = re.search(rb"7:command\d+:([a-z]+)e$", datagram).group(1).decode()
    if command == "ping":
        file = "kamailio-ping.bin"
    else:
        number += 1
        file = f"kamailio-{name}-{number}-{command}.bin"
    open(f"{fixtures}/{file}", "wb").write(datagram)
    print(file)
' "$name" "$fixtures"
}

# The second phone rings with early media, the first one answers: see sip-calls.sh.
forked_call() {
    lab_callee loser callee 5062 fork-loser 100
    lab_callee winner callee 5061 fork-winner 100
    lab_caller caller caller 5061 fork-caller 100 -key callee 198.18.2.2:5061 -key other 198.18.2.2:5062
}

lab_open "relay-record-$$"
lab_relay "$@"
record call replace-origin lab_call 1 caller callee 100
record late-offer replace-origin lab_call 1 late-offer-caller callee 100
record reinvite replace-origin lab_call 1 reinvite-caller reinvite-callee 100
record fork replace-origin forked_call
record webrtc "RTP/SAVPF ICE=force DTLS=passive SDES-off rtcp-mux-offer rtcp-mux-accept generate-mid codec-strip-PCMU codec-transcode-opus" lab_call 1 caller callee 100
record options "trust-address replace-origin replace-session-connection via-branch=auto address-family=IP4 asymmetric strict-source TOS=184 delete-delay=1 label=outside media-address=203.0.113.9 no-rtcp-attribute ICE=remove RTP/AVP metadata=a:b record-call=on loop-protect port-latching received-from=198.18.9.9" lab_call 1 caller callee 100
