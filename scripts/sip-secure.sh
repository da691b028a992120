#!/bin/bash
# SIP calls of phones that insist on SRTP (baresip, with keys in the SDP), through a real proxy and the real relay: to and from
# phones that know only RTP (SIPp), and among themselves. Each must hear the other's tone, for at least ten seconds.
#
#   scripts/sip-secure.sh [DIRECTORY OF THE PROGRAMS [CALL]]      default: target/release, everything
#
# Needs root, what scripts/setup.sh installs, and baresip (Debian: baresip-core); without it nothing is tested.
set -euo pipefail
LAB_BIN=$(realpath "${1:-$(dirname "$0")/../target/release}")
# shellcheck source=scripts/sip-lab.sh
. "$(dirname "$0")/sip-lab.sh"

CALLS="to_plain from_plain among_themselves"
SECONDS_OF_TALK=12

main() {
    local call passed=0 failed=0
    if ! command -v baresip >/dev/null; then
        echo "Secure SIP calls: skipped, baresip is not installed"
        return
    fi
    for call in $CALLS; do
        if bash "$0" "$LAB_BIN" "$call"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    done
    echo "Secure SIP calls: $passed passed, $failed failed"
    [ "$failed" = 0 ]
}

to_plain() {
    lab_callee callee callee 5061 callee 1000
    listen callee
    desk_phone caller -e "/dial sip:callee@198.18.2.2:5061"
    settled=encrypted
}

from_plain() {
    desk_phone callee
    listen caller
    lab_caller caller caller 5061 caller $((SECONDS_OF_TALK * 1000)) -key callee 198.18.2.2:5070
    settled=encrypted
}

# Both get the same keys, so the kernel can relay what it cannot read.
among_themselves() {
    desk_phone callee
    desk_phone caller -e "/dial sip:callee@198.18.2.2:5070"
    settled=kernel
}

# desk_phone END OPTION...: starts a phone that talks in SRTP only, plays a tone and records what it hears.
desk_phone() {
    local end=$1 address
    address=$(lab_net "$end").2
    shift
    mkdir -p "$LAB_DIR/$end"
    "$LAB_SIP/tone.py" "$LAB_DIR/tone.wav"
    cat >"$LAB_DIR/$end/config" <<EOF
sip_listen $address:5070
rtp_ports 20000-20100
module_path $(dirname "$(find /usr/lib -path '*baresip/modules/srtp.so' -print -quit)")
module g711.so
module srtp.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
audio_source aufile,$LAB_DIR/tone.wav
audio_player aubridge,nobody
snd_path $LAB_DIR/$end
EOF
    echo "<sip:$end@$address:5070>;regint=0;answermode=auto;mediaenc=srtp-mand;audio_codecs=pcma;outbound=\"sip:$(lab_net "$end").1:5060\"" \
        >"$LAB_DIR/$end/accounts"
    touch "$LAB_DIR/$end/contacts"
    lab_start "$end" "$end" baresip -f "$LAB_DIR/$end" "$@"
    PHONES+=("$end $LAB_PID")
    lab_await "$end" "$LAB_PID" lab_hears "$end" 5070
}
PHONES=()

# listen END: listens at the network of a phone that cannot tell what it hears.
listen() {
    lab_start "hears-$1" "$1" "$LAB_SIP/hear.py" wire "$SECONDS_OF_TALK" "$(lab_net "$1").2"
    LISTENER=$LAB_PID
}
LISTENER=

# one CALL
one() {
    local call=$1 settled phone
    lab_open "relay-secure-$$"
    lab_relay "$LAB_BIN/relay-daemon" --table=0 --no-fallback
    lab_proxy "$LAB_SIP/kamailio.cfg"
    "$call"
    sleep "$SECONDS_OF_TALK"
    lab_ng show "$(lab_ng list --json | jq -r '.calls[]')" --json >"$LAB_DIR/show.json"
    is_settled "$settled" || lab_die "$call: not $settled: $(cat "$LAB_DIR/show.json")"
    if [ -n "$LISTENER" ]; then
        wait "$LISTENER" || lab_die "$call: the plain phone hears no tone: $(cat "$LAB_DIR"/hears-*.log)"
    fi
    for phone in "${PHONES[@]}"; do
        lab_stop "${phone#* }" || true
        recorded "${phone% *}" || lab_die "$call: the ${phone% *} hears no tone"
    done
    echo "ok: $call, $(cat "$LAB_DIR"/hears-*.log "$LAB_DIR"/*.heard 2>/dev/null | tr '\n' ';')"
}

# is_settled WHERE: whether both directions of the media are relayed there.
is_settled() {
    jq -e --arg where "$1" '[.parties[].medias[0].streams[0]] | length == 2 and all(
        if $where == "kernel" then .path == "kernel" else .reason // "" | startswith("encrypted") end)' \
        "$LAB_DIR/show.json" >/dev/null
}

# recorded END: whether a desk phone heard the tone.
recorded() {
    local file
    for file in "$LAB_DIR/$1"/dump-*-dec.wav; do
        "$LAB_SIP/hear.py" file "$file" >"$LAB_DIR/$1.heard" && return
    done
    cat "$LAB_DIR/$1.heard" >&2
    return 1
}

if [ $# -gt 1 ]; then
    one "$2"
else
    main
fi
