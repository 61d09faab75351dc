#!/bin/sh
# Installs the commands that the sandbox needs, only those that the base lacks.
set -eu

missing=
need() { # command, package
    command -v "$1" >/dev/null || missing="$missing $2"
}
need ffmpeg ffmpeg
need git git
need ps procps # Codex's background server asks it
[ -s /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"

if [ -z "$missing" ]; then
    echo "commands: the base has all of them"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "error: the base image lacks$missing, and has no \`apt-get\` to install them with" >&2
    echo "hint: use a base made from Debian or Ubuntu, or one that has these packages" >&2
    exit 1
fi

echo "commands: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of package names
apt-get install -q -y --no-install-recommends $missing
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/apt /var/log/dpkg.log
