#!/usr/bin/env bash
# Makes sure of a Docker Engine for the engine tier, on a bare Debian 12 as root.
#
#   .ci/engine.sh packages   installs what is missing: engine, Compose v2, BuildKit, mmdebstrap, ffmpeg, git
#   .ci/engine.sh start DIR  starts an engine where none answers; its pid goes to DIR/dockerd.pid
#   .ci/engine.sh stop DIR   stops the engine that `start` started, and only that one
#
# Debian 12's own Compose is too old. The engine's packages come from Debian's next release, by name, at a
# pin priority of 100, so that nothing that is installed is upgraded. The mirror is the one that this machine's
# own apt sources name: no address is written down here.
set -euo pipefail

engine_packages=(docker.io docker-cli docker-compose docker-buildx containerd)
tools=(mmdebstrap ffmpeg git procps python3 ca-certificates util-linux)
next_release=trixie

say() { printf 'engine.sh: %s\n' "$*" >&2; }

# The URI of the Debian mirror in the one-line or the deb822 format, the first that carries bookworm itself.
debian_mirror() {
  local found
  found=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(CREATED_BY)' 2>/dev/null |
    awk '$2 ~ /^(bookworm|trixie|stable)$/ && $3 == "Packages" { print $1; exit }')
  [ -n "$found" ] || { say "no Debian mirror in this machine's apt sources"; exit 1; }
  printf '%s\n' "$found"
}

packages() {
  local need=()
  command -v dockerd >/dev/null && docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 || need=("${engine_packages[@]}")
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends "${tools[@]}" >&2
  if [ "${#need[@]}" -gt 0 ] && ! . /etc/os-release || [ "${VERSION_CODENAME:-}" = bookworm ] && [ "${#need[@]}" -gt 0 ]; then
    local mirror; mirror=$(debian_mirror)
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$next_release" \
      >/etc/apt/sources.list.d/codex-sandbox-next.list
    printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$next_release" \
      >/etc/apt/preferences.d/codex-sandbox-next
    apt-get update -qq
    apt-get install -y --no-install-recommends "${need[@]/%//$next_release}" >&2
  elif [ "${#need[@]}" -gt 0 ]; then
    apt-get install -qq -y --no-install-recommends "${need[@]}" >&2
  fi
}

start() {
  local dir=$1
  mkdir -p "$dir"
  if docker version >/dev/null 2>&1; then say "an engine answers: it is used as it is"; return; fi
  say "starting dockerd"
  setsid dockerd --pidfile "$dir/dockerd.pid" >"$dir/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq 120); do
    docker version >/dev/null 2>&1 && { say "dockerd answers"; return; }
    sleep 0.5
  done
  tail -n 40 "$dir/dockerd.log" >&2
  say "dockerd did not answer in 60 s"
  exit 1
}

stop() {
  local pidfile=$1/dockerd.pid
  [ -s "$pidfile" ] || return 0
  kill "$(cat "$pidfile")" 2>/dev/null || true
  for _ in $(seq 60); do [ -e "$pidfile" ] || return 0; sleep 0.5; done
}

case "${1:-}" in
  packages) packages ;;
  start) start "${2:?DIR}" ;;
  stop) stop "${2:?DIR}" ;;
  *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
