# shellcheck shell=bash disable=SC2034 # variables are for who sources this
# A small telephone network in four network namespaces, for scripts to source:
#
#   NAME-caller            NAME-relay                       NAME-callee
#   SIPp 198.18.1.2 -----  198.18.1.1   198.18.2.1  ------  SIPp 198.18.2.2
#                          Kamailio, relay                  NAME-target
#                                       198.18.3.1  ------  SIPp 198.18.3.2
#
# lab_open makes it, and sees to it that it goes away when the script ends, however it ends. Only
# processes that were started here are stopped. Needs root, kamailio, sipp, ethtool, iproute2, jq.

LAB_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB_SIP=$LAB_ROOT/tests/sip
LAB_PIDS=()
LAB_ENDS=(caller callee target)

# lab_open NAME: makes the namespaces and a directory for logs, $LAB_DIR.
lab_open() {
    LAB_NAME=$1
    LAB_DIR=$(mktemp -d "/tmp/$LAB_NAME.XXXXXX")
    trap lab_close EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    local end
    for end in relay "${LAB_ENDS[@]}"; do
        if [ -e "/run/netns/$LAB_NAME-$end" ]; then
            lab_die "there is a network namespace $LAB_NAME-$end already: another run, or the rest of one (ip netns del $LAB_NAME-$end)"
        fi
    done
    LAB_OPEN=1
    for end in relay "${LAB_ENDS[@]}"; do
        # The first of all namespaces remounts /run/netns: only one process may do that.
        flock /run/relay-tests.lock ip netns add "$LAB_NAME-$end"
        ip -n "$LAB_NAME-$end" link set lo up
    done
    for end in "${LAB_ENDS[@]}"; do
        lab_wire "$end"
    done
    "$LAB_SIP/tone.py" >"$LAB_DIR/tone.alaw"
}

# lab_net END: the first three bytes of the addresses there.
lab_net() {
    case $1 in
    caller) echo 198.18.1 ;;
    callee) echo 198.18.2 ;;
    target) echo 198.18.3 ;;
    *) lab_die "there is no end $1" ;;
    esac
}

# lab_wire END: joins an end to the relay.
lab_wire() {
    local end=$LAB_NAME-$1 relay=$LAB_NAME-relay net
    net=$(lab_net "$1")
    ip -n "$relay" link add "to-$1" type veth peer name wire netns "$end"
    ip -n "$relay" addr add "$net.1/24" dev "to-$1"
    ip -n "$end" addr add "$net.2/24" dev wire
    # What XDP redirects to one end of a veth pair arrives only if the other end polls, which GRO makes it do.
    lab_in "$1" ethtool -K wire gro on >/dev/null
    # Packets leave with a whole checksum, as they do on a wire.
    lab_in "$1" ethtool -K wire tx off >/dev/null
    ip -n "$end" link set wire up
    ip -n "$relay" link set "to-$1" up
}

# lab_close: stops what was started and removes the namespaces.
lab_close() {
    local status=$? pid end
    trap - EXIT
    trap '' INT TERM HUP
    for pid in "${LAB_PIDS[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${LAB_PIDS[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "${LAB_OPEN:-}" ]; then
        for end in relay "${LAB_ENDS[@]}"; do
            ip netns del "$LAB_NAME-$end" 2>/dev/null || true
        done
    fi
    if [ "$status" = 0 ]; then
        rm -rf "$LAB_DIR"
    else
        echo "Logs: $LAB_DIR" >&2
    fi
    exit "$status"
}

lab_die() {
    echo "Error: $*" >&2
    exit 1
}

# lab_in END COMMAND...: runs a command in a namespace. Unlike `ip netns exec` this leaves /sys/fs/bpf visible.
lab_in() {
    local end=$1
    shift
    nsenter --net="/run/netns/$LAB_NAME-$end" "$@"
}

# lab_start LABEL END COMMAND...: starts a program, with its output in LABEL.log; its id is then in $LAB_PID.
lab_start() {
    local label=$1 end=$2
    shift 2
    (cd "$LAB_DIR" && exec nsenter --net="/run/netns/$LAB_NAME-$end" "$@") >"$LAB_DIR/$label.log" 2>&1 </dev/null &
    LAB_PID=$!
    LAB_PIDS+=("$LAB_PID")
}

# lab_stop PID: ends a program that was started here, and gives its exit status.
lab_stop() {
    kill "$1" 2>/dev/null || true
    local status=0 pid rest=()
    wait "$1" || status=$?
    for pid in "${LAB_PIDS[@]}"; do
        [ "$pid" = "$1" ] || rest+=("$pid")
    done
    LAB_PIDS=("${rest[@]}")
    return "$status"
}

# lab_await LABEL PID COMMAND...: waits until the command succeeds, as long as the program lives, at most 15 seconds.
lab_await() {
    local label=$1 pid=$2 tries=0
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
            cat "$LAB_DIR/$label.log" >&2
            lab_die "$label did not start"
        fi
        sleep 0.05
    done
}

# lab_relay COMMAND...: starts the relay; options for addresses are added.
lab_relay() {
    lab_start relay relay "$@" --config-file=none --foreground --log-stderr --listen-ng=127.0.0.1:2223 \
        --interface=net-1/198.18.1.1 --interface=net-2/198.18.2.1 --interface=net-3/198.18.3.1
    LAB_RELAY=$LAB_PID
    lab_await relay "$LAB_PID" lab_pings
}

# lab_pings: whether the relay answers. Its port is bound before it is ready.
lab_pings() {
    lab_in relay bash -c 'exec 3<>/dev/udp/127.0.0.1/2223 && printf "1 d7:command4:pinge" >&3 && read -r -t 1 -n 1 <&3'
}

# lab_proxy CONFIG: starts Kamailio.
lab_proxy() {
    lab_start kamailio relay kamailio -DD -E -m 64 -M 8 -Y "$LAB_DIR" -f "$1"
    LAB_PROXY=$LAB_PID
    lab_await kamailio "$LAB_PID" lab_hears relay 5060
}

# lab_probe: starts counting packets at all ends; lab_report ends it and leaves its report in $LAB_REPORT.
lab_probe() {
    local end taps=()
    for end in "${LAB_ENDS[@]}"; do
        taps+=("$end=$LAB_NAME-$end/wire")
    done
    lab_start probe relay "$LAB_BIN/rtp-probe" "${taps[@]}"
    LAB_PROBE=$LAB_PID
    lab_await probe "$LAB_PID" grep -q ready "$LAB_DIR/probe.log"
}

lab_report() {
    lab_stop "$LAB_PROBE" || lab_die "rtp-probe failed: $(cat "$LAB_DIR/probe.log")"
    LAB_REPORT=$(tail -n 1 "$LAB_DIR/probe.log")
}

# lab_call NUMBER CALLER CALLEE MILLISECONDS: starts one call between two scenarios, with ports of its own.
# The milliseconds are the length of each pause in them.
lab_call() {
    local port=$((5060 + $1)) pause=$4
    lab_callee "callee-$1" callee "$port" "$3" "$pause"
    lab_caller "caller-$1" caller "$port" "$2" "$pause" -key callee "198.18.2.2:$port"
}

# lab_callee LABEL END PORT SCENARIO MILLISECONDS [OPTION...]: starts a phone that waits for a call.
lab_callee() {
    lab_phone "$@" -key callee "$(lab_net "$2").2:$3"
    lab_await "$1" "$LAB_PID" lab_hears "$2" "$3"
}

# lab_caller LABEL END PORT SCENARIO MILLISECONDS [OPTION...]: starts a phone that calls.
lab_caller() {
    lab_phone "$@" "$(lab_net "$2").1:5060"
}

# lab_phone LABEL END PORT SCENARIO MILLISECONDS [OPTION...]: starts a phone that goes through its scenario once.
lab_phone() {
    local label=$1 end=$2 port=$3 scenario=$4 pause=$5 address
    address=$(lab_net "$end").2
    shift 5
    lab_start "$label" "$end" sipp -sf "$LAB_SIP/$scenario.xml" -i "$address" -p "$port" -mi "$address" \
        -mp $((10000 + 4 * (port - 5060))) -d "$pause" -m 1 -timeout 60s -timeout_error -nostdin \
        -key proxy "$(lab_net "$end").1" -trace_err -error_file "$label.err" "$@"
    LAB_CALLS+=("$LAB_PID")
}

# lab_hears END PORT: whether somebody has bound a UDP port there.
lab_hears() {
    [ -n "$(lab_in "$1" ss -Hlun "sport = :$2")" ]
}

# lab_hang_up: waits until all calls have ended; fails if a user agent saw anything that its scenario does not say.
lab_hang_up() {
    local pid failed=0
    for pid in "${LAB_CALLS[@]}"; do
        wait "$pid" || failed=1
    done
    LAB_CALLS=()
    if [ "$failed" != 0 ]; then
        cat "$LAB_DIR"/*.err >&2 2>/dev/null || true
        return 1
    fi
}
LAB_CALLS=()

# lab_talks: whether any call still runs.
lab_talks() {
    local pid
    for pid in "${LAB_CALLS[@]}"; do
        ! kill -0 "$pid" 2>/dev/null || return 0
    done
    return 1
}

# lab_ng COMMAND...: asks the relay.
lab_ng() {
    lab_in relay "$LAB_BIN/ng-client" --server 127.0.0.1:2223 "$@"
}

# lab_count: what the relay counted of the calls it still knows, by the end that sent it, into $LAB_COUNTS:
# {"caller": {"kernel": packets, "userspace": packets}, "callee": ..., "target": ...}
lab_count() {
    local call
    LAB_COUNTS=$(lab_ng list --json | jq -r '.calls[]' | while read -r call; do
        lab_ng show "$call" --json
    done | jq -s '[.[].parties[].medias[].streams[]] |
        def from(net): [.[] | select((.signalled // "") | startswith(net)) | .received] |
            {kernel: (map(.kernel.packets) | add // 0), userspace: (map(.userspace.packets) | add // 0)};
        {caller: from("198.18.1.2:"), callee: from("198.18.2.2:"), target: from("198.18.3.2:")}')
}

# lab_names_relay: whether all SDP that arrived named the relay, at each end by its address there.
lab_names_relay() {
    jq -e '{caller: "198.18.1.1:", callee: "198.18.2.1:", target: "198.18.3.1:"} as $relay
        | .announced | length > 0 and all(to_entries[]; .key as $who | all(.value[]; startswith($relay[$who])))' \
        >/dev/null <<<"$LAB_REPORT"
}

# lab_media_ports: how many ports the relay has open for media.
lab_media_ports() {
    lab_in relay ss -Hlun "sport >= 30000" | wc -l
}

# lab_until WHAT COMMAND...: waits until the command succeeds, at most 15 seconds.
lab_until() {
    local what=$1 tries=0
    shift
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || lab_die "waited in vain: $what"
        sleep 0.05
    done
}
