#!/bin/bash
# SIP calls of phones that insist on SRTP, through a real proxy and the real relay, to and from phones that know only RTP (SIPp), and
# among themselves: baresip with keys in the SDP or by DTLS, and browsers (Chromium: ICE and DTLS, their SIP is tests/clients/browser/phone.js).
# Each must hear the other's tone, for ten seconds.
#
#   scripts/sip-secure.sh [DIRECTORY OF THE PROGRAMS [CALL]]      default: target/release, everything
#
# Needs root and what scripts/setup.sh installs. Calls of phones that are not installed are left out.
set -euo pipefail
LAB_BIN=$(realpath "${1:-$(dirname "$0")/../target/release}")
# shellcheck source=scripts/sip-lab.sh
. "$(dirname "$0")/sip-lab.sh"

SDES_CALLS="to_plain from_plain to_ipv6 from_ipv6 among_themselves"
DTLS_CALLS="dtls_to_plain plain_to_dtls"
BROWSER_CALLS="browser_to_sdes sdes_to_browser opus_to_pcma pcma_to_opus"
AT_ONCE=2
PLAIN=5061
PLAIN_IPV6=5062
# Where a phone listens says what it wants: see route[PROTOCOL] in tests/sip/kamailio.cfg.
SDES=5070
DTLS=5071
BROWSER=5072
# The same as SDES and BROWSER, but that the caller has another codec.
SDES_PCMA=5073
BROWSER_OPUS=5074

main() {
    local call calls="" running=0 passed=0 failed=0
    if command -v baresip >/dev/null; then
        calls="$SDES_CALLS $DTLS_CALLS"
        if command -v chromium >/dev/null; then
            calls+=" $BROWSER_CALLS"
        else
            echo "Calls with a browser: skipped, chromium is not installed"
        fi
    else
        echo "Secure SIP calls: skipped, baresip is not installed"
    fi
    for call in $calls; do
        [ "$running" -lt "$AT_ONCE" ] || finish
        bash "$0" "$LAB_BIN" "$call" &
        running=$((running + 1))
    done
    while [ "$running" -gt 0 ]; do
        finish
    done
    echo "Secure SIP calls: $passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# finish: waits for the end of a call, and counts it.
finish() {
    if wait -n; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    running=$((running - 1))
}

to_plain() {
    plain_callee "$PLAIN"
    desk_phone caller "$SDES" -e "/dial sip:callee@198.18.2.2:$PLAIN"
}

from_plain() {
    desk_phone callee "$SDES"
    plain_caller "$SDES"
}

# The plain phone has media on IPv6.
to_ipv6() {
    plain_callee "$PLAIN_IPV6" -mi fd18:2::2
    desk_phone caller "$SDES" -e "/dial sip:callee@198.18.2.2:$PLAIN_IPV6"
}

from_ipv6() {
    desk_phone callee "$SDES"
    plain_caller "$SDES" -mi fd18:1::2
}

# Both get the same keys, so the kernel can relay what it cannot read.
among_themselves() {
    desk_phone callee "$SDES"
    desk_phone caller "$SDES" -e "/dial sip:callee@198.18.2.2:$SDES"
    settled=kernel
}

dtls_to_plain() {
    plain_callee "$PLAIN"
    desk_phone caller "$DTLS" -e "/dial sip:callee@198.18.2.2:$PLAIN"
    handshakes=established
}

plain_to_dtls() {
    desk_phone callee "$DTLS"
    plain_caller "$DTLS"
    handshakes=established
}

browser_to_sdes() {
    desk_phone callee "$SDES"
    browser caller "$BROWSER" "callee@198.18.2.2:$SDES"
    handshakes="completed established"
}

# The browser has no codec that the other side has: Opus becomes A-law, and A-law Opus.
opus_to_pcma() {
    desk_phone callee "$SDES_PCMA"
    browser caller "$BROWSER_OPUS" "callee@198.18.2.2:$SDES_PCMA"
    handshakes="completed established"
    settled=transcoded
}

pcma_to_opus() {
    browser callee "$BROWSER_OPUS"
    desk_phone caller "$SDES" -e "/dial sip:callee@198.18.2.2:$BROWSER_OPUS"
    handshakes="completed established"
    settled=transcoded
}

sdes_to_browser() {
    browser callee "$BROWSER"
    desk_phone caller "$SDES" -e "/dial sip:callee@198.18.2.2:$BROWSER"
    handshakes="completed established"
}

# ipv6 END: gives the end, and the relay there, an address of IPv6.
ipv6() {
    local net
    net=fd18:${1/caller/1}
    net=${net/callee/2}
    ip -n "$LAB_NAME-relay" addr add "$net::1/64" dev "to-$1" nodad
    ip -n "$LAB_NAME-$1" addr add "$net::2/64" dev wire nodad
}

# hertz END: what is said there.
hertz() {
    case $1 in
    caller) echo 600 ;;
    callee) echo 1000 ;;
    esac
}

# other END: who is heard there.
other() {
    case $1 in
    caller) echo callee ;;
    callee) echo caller ;;
    esac
}

# plain_callee PORT OPTION...: starts a phone without encryption, which cannot tell what it hears.
plain_callee() {
    "$LAB_SIP/tone.py" "$(hertz callee)" >"$LAB_DIR/tone.alaw"
    lab_callee callee callee "$1" callee 1000 -timeout 150s "${@:2}"
    listen callee wire "${3:-198.18.2.2}"
}

# plain_caller PORT OPTION...: the same, calling the callee's phone there. The call lasts longer than any test.
plain_caller() {
    "$LAB_SIP/tone.py" "$(hertz caller)" >"$LAB_DIR/tone.alaw"
    lab_caller caller caller "$PLAIN" caller 150000 -key callee "198.18.2.2:$1" -timeout 150s "${@:2}"
    listen caller wire "${3:-198.18.1.2}"
}

# desk_phone END PORT OPTION...: starts a phone that talks in SRTP only, plays a tone and records what it hears.
desk_phone() {
    local end=$1 port=$2 address encryption
    address=$(lab_net "$end").2
    shift 2
    case $port in
    "$SDES" | "$SDES_PCMA") encryption=srtp-mand ;;
    "$DTLS") encryption=dtls_srtp ;;
    esac
    mkdir -p "$LAB_DIR/$end"
    "$LAB_SIP/tone.py" "$(hertz "$end")" "$LAB_DIR/$end/tone.wav"
    cat >"$LAB_DIR/$end/config" <<END
sip_listen $address:$port
rtp_ports 20000-20100
module_path $(dirname "$(find /usr/lib -path '*baresip/modules/srtp.so' -print -quit)")
module g711.so
module srtp.so
module dtls_srtp.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
audio_source aufile,$LAB_DIR/$end/tone.wav
audio_player aubridge,nobody
snd_path $LAB_DIR/$end
END
    echo "<sip:$end@$address:$port>;regint=0;answermode=auto;mediaenc=$encryption;audio_codecs=pcma;outbound=\"sip:$(lab_net "$end").1:5060\"" \
        >"$LAB_DIR/$end/accounts"
    touch "$LAB_DIR/$end/contacts"
    lab_start "$end" "$end" baresip -f "$LAB_DIR/$end" "$@"
    lab_await "$end" "$LAB_PID" lab_hears "$end" "$port"
    DESKS+=("$end $LAB_PID")
}
DESKS=()

# browser END PORT [CALLEE]: starts a browser, whose port says which codec it has; with the address of a callee, it calls.
browser() {
    local end=$1 port=$2 address codec=PCMA
    address=$(lab_net "$end").2
    [ "$port" != "$BROWSER_OPUS" ] || codec=opus
    lab_start "$end" "$end" node "$LAB_ROOT/tests/clients/browser/phone.js" "$(hertz "$end")" "$(hertz "$(other "$end")")" \
        "$codec" "$address:$port" "$(lab_net "$end").1:5060" "${@:3}"
    lab_await "$end" "$LAB_PID" lab_hears "$end" "$port"
    has_heard "$end" "$LAB_PID" &
    LISTENERS+=("$end $!")
}

# has_heard END PID: waits until a browser says so.
has_heard() {
    until grep -qs heard "$LAB_DIR/$1.log"; do
        kill -0 "$2" || return 1
        sleep 0.1
    done
}

# listen END KIND SOURCE: starts listening for a tone.
listen() {
    lab_start "hears-$1" "$1" "$LAB_SIP/hear.py" "$(hertz "$(other "$1")")" "$2" "$3"
    LISTENERS+=("hears-$1 $LAB_PID")
}
LISTENERS=()

# one CALL
one() {
    local call=$1 settled=encrypted handshakes="" desk listener
    lab_open "relay-secure-$$"
    ipv6 caller
    ipv6 callee
    lab_relay "$LAB_BIN/relay-daemon" --table=0 --no-fallback --interface=net-1/fd18:1::1 --interface=net-2/fd18:2::1
    lab_proxy "$LAB_SIP/kamailio.cfg"
    "$call"
    for desk in "${DESKS[@]}"; do
        lab_until "the ${desk% *} records" is_recording "${desk% *}"
        listen "${desk% *}" file "$(recording "${desk% *}")"
    done
    for listener in "${LISTENERS[@]}"; do
        wait "${listener#* }" || lab_die "$call: no tone: $(cat "$LAB_DIR/${listener% *}.log")"
    done
    lab_ng show "$(lab_ng list --json | jq -r '.calls[]')" --json >"$LAB_DIR/show.json"
    is_settled "$settled" || lab_die "$call: not $settled: $(cat "$LAB_DIR/show.json")"
    have_shaken_hands "$handshakes" || lab_die "$call: not $handshakes: $(cat "$LAB_DIR/show.json")"
    # They hang up, which takes long when nobody answers any more.
    for desk in "${DESKS[@]}"; do
        lab_stop "${desk#* }" || true
    done
    echo "ok: $call; $(grep -h heard "$LAB_DIR"/*.log | paste -sd ';')"
}

# is_settled WHERE: whether both directions of the media are relayed there.
is_settled() {
    jq -e --arg where "$1" '[.parties[].medias[0].streams[0]] | length == 2 and all(
        if $where == "kernel" then .path == "kernel" else .reason // "" | startswith($where) end)' \
        "$LAB_DIR/show.json" >/dev/null
}

# have_shaken_hands STATES: whether ICE and DTLS have come to this, wherever there is any.
have_shaken_hands() {
    [ "$(jq -r '[.parties[].medias[0].streams[0] | .ICE, .DTLS | strings] | join(" ")' "$LAB_DIR/show.json")" = "$1" ]
}

# recording END: the name of what a desk phone records.
recording() {
    find "$LAB_DIR/$1" -name 'dump-*-dec.wav'
}

# is_recording END: whether it has begun to.
is_recording() {
    [ -n "$(recording "$1")" ]
}

if [ $# -gt 1 ]; then
    one "$2"
else
    main
fi
