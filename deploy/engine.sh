#!/usr/bin/env bash
# `make engine`: a container engine that answers, and a base image where none can be pulled.
# It does what is missing and nothing else, so that it may run before every build. Debian only.
set -euo pipefail

# Stands in for the Dockerfile's base: the same distribution and Python, made by debootstrap.
BASE=bentoline/python:3.11-bookworm
LOG=${TMPDIR:-/tmp}/bentoline-dockerd.log
# Debian's client has BuildKit built in; another one earlier on PATH may lack its plugin.
PATH=/usr/bin:/usr/sbin:/bin:/sbin:$PATH
cd "$(dirname "$0")/.."

fail() {
    echo "engine: $*" >&2
    exit 2
}

answers() {
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "${missing[*]} must be installed, which needs root; run it as root."
    command -v apt-get >/dev/null || fail "no apt-get here; install docker and start it yourself."
    export DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } \
            >/dev/null 9>&- || fail "${missing[*]} could not be installed."
}

start_engine() {
    [ "$(id -u)" -eq 0 ] || fail "no engine answers, and starting one needs root; start docker."
    # One only: a second dockerd would take the network bridge away from the first.
    ! pgrep --exact dockerd >/dev/null || fail "a dockerd runs and does not answer; see its log."
    setsid --fork dockerd >"$LOG" 2>&1 </dev/null 9>&-
    for _ in $(seq 100); do
        ! answers || return 0
        sleep 0.1
    done
    fail "dockerd did not start: $(grep -m 1 -E 'failed|level=fatal' "$LOG" || tail -n 1 "$LOG")"
}

make_base() {
    [ "$(id -u)" -eq 0 ] || fail "$public cannot be pulled, and making $BASE needs root."
    local root
    root=$(mktemp -d)
    trap 'rm -rf "$root"' RETURN
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
        bookworm "$root" >"$root.log" 2>&1 || fail "debootstrap failed: $(tail -n 1 "$root.log")"
    rm -rf "$root.log" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* \
        "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*
    tar --create --directory "$root" --numeric-owner . |
        docker import --change 'CMD ["python3"]' - "$BASE" >/dev/null
}

exec 9>"${TMPDIR:-/tmp}/bentoline-engine.lock"
flock 9 # two of these at once would start two engines
if ! answers; then
    install_packages docker.io iptables
    start_engine
fi
public=$(sed -n 's/^ARG BASE=//p' Dockerfile)
if docker image inspect "$public" >/dev/null 2>&1; then
    base=$public
elif docker image inspect "$BASE" >/dev/null 2>&1; then
    base=$BASE
elif timeout 120 docker pull --quiet "$public" >/dev/null 2>&1; then
    base=$public
else
    install_packages debootstrap
    make_base
    base=$BASE
fi
# What the tests push to, release behind and load with; nothing else needs them.
[ "$(id -u)" -ne 0 ] || install_packages docker-registry nginx-light wrk
echo "engine $(docker version --format '{{.Server.Version}}'), base image $base"
