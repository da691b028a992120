#!/bin/bash
# Installs what the relay needs on Debian 12: to build it, to show it, to test it. Does nothing where all is there.
#
#   scripts/setup.sh          everything
#   scripts/setup.sh build    what `cargo build` needs
#   scripts/setup.sh demo     that, and what scripts/demo.sh needs
set -euo pipefail

# Compiler and library sources for the XDP program; a C compiler for linking and, with make, for the allocator, with cmake for
# Opus; OpenSSL for certificates and DTLS.
build_packages="gcc libc6-dev make cmake libssl-dev pkg-config rustc-web rust-web-src"
# Proxy, user agents, network namespaces.
demo_packages="kamailio sip-tester iproute2 ethtool jq procps python3-minimal"
# cargo-fuzz links a C++ library; names of protocols for iproute2; what checks scripts; a client of the ng protocol; what
# our SRTP is compared with, a phone that has it, and a browser; codecs that are loaded when they are needed.
test_packages="g++ python3 python3-venv netbase shellcheck curl libsrtp2-1 baresip-core chromium libgsm1 libspeex1 libbcg729-0"

bpf_linker=0.10.4
cargo_fuzz=0.13.2

main() {
    local packages
    case ${1:-all} in
    build) packages=$build_packages ;;
    demo) packages="$build_packages $demo_packages" ;;
    all) packages="$build_packages $demo_packages $test_packages $(missing_programs node:nodejs npm:npm)" ;;
    *) fail "usage: $0 [build|demo]" ;;
    esac
    export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    command -v cargo >/dev/null || fail "Rust is missing: install version 1.95 or newer with rustup"
    install_packages "$packages"
    install_tool bpf-linker "$bpf_linker" bpf-linker --version
    if [ "${1:-all}" = all ]; then
        install_tool cargo-fuzz "$cargo_fuzz" cargo fuzz --version
        install_clients
    fi
}

# missing_programs PROGRAM:PACKAGE...: packages of programs that are not there. They may come from elsewhere than Debian.
missing_programs() {
    local pair
    for pair in "$@"; do
        command -v "${pair%:*}" >/dev/null || echo "${pair#*:}"
    done
}

install_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null || fail "this is no Debian: install by hand what corresponds to: $1"
    for package in $1; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || fail "not root; as root: apt-get install ${missing[*]}"
    echo "Installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || echo "Warning: apt-get update failed, going on with the package lists that are here" >&2
    apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}" >/dev/null
    # Here Kamailio is a tool, not a service of this machine.
    if [[ " ${missing[*]} " == *" kamailio "* ]] && [ -d /run/systemd/system ]; then
        systemctl disable --quiet --now kamailio
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_tool NAME VERSION COMMAND...: the command prints the version of what is installed.
install_tool() {
    local name=$1 version=$2
    shift 2
    [[ "$("$@" 2>/dev/null)" != *" $version"* ]] || return 0
    echo "Building $name $version: this takes some minutes, once"
    cargo install --quiet "$name" --version "$version" --locked --force
}

# Clients of the ng protocol, and of WebRTC, with the versions that their files say.
install_clients() {
    local clients
    clients=$(dirname "${BASH_SOURCE[0]}")/../tests/clients
    if [ ! "$clients/node_modules/.package-lock.json" -nt "$clients/package-lock.json" ]; then
        npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund --loglevel=error
    fi
    if [ ! "$clients/.venv/installed" -nt "$clients/requirements.txt" ]; then
        python3 -m venv "$clients/.venv"
        "$clients/.venv/bin/pip" install --quiet --disable-pip-version-check -r "$clients/requirements.txt"
        touch "$clients/.venv/installed"
    fi
}

fail() {
    echo "Error: $*" >&2
    exit 1
}

main "$@"
