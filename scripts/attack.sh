#!/bin/bash
# Attacks the media ports of a daemon from a network of its own while calls go on through it, in the kernel and in
# userspace, and prints what each attack costs: the other calls, the victim, and how long after it; beside a flood what it costs
# others where XDP_DROP is all that becomes of it.
#
#   scripts/attack.sh [SECONDS [RATE]]    default: 10 seconds each, as many packets a second as the machine makes
#   scripts/attack.sh short               what continuous integration runs: 2 seconds each, 20,000 packets a second
#
# RELAY_BIN=target/debug takes programs that are built already. As root.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-10} in
short) set -- 2 20000 ;;
*) set -- "${1:-10}" "${2:-0}" ;;
esac
if [ -z "${RELAY_BIN:-}" ]; then
    scripts/setup.sh
    export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    cargo build --release --quiet -p relay-daemon -p relay-tests
    RELAY_BIN=${CARGO_TARGET_DIR:-$PWD/target}/release
fi
exec "$RELAY_BIN/attack" "$@"
