#!/usr/bin/env bash
# What the engine tier needs on a bare Debian machine, as root: programs, and a Docker Engine.
#
#   .ci/engine.sh packages   installs what is missing: engine, Compose v2, BuildKit, and the programs that tests use
#   .ci/engine.sh start DIR  starts an engine where none answers; its pid goes to DIR/dockerd.pid
#   .ci/engine.sh stop DIR   stops the engine that `start` started, and only that one
#
# Debian 12's own Compose is too old. There the engine's packages come from Debian's next release, by name, at a pin
# priority of 100, so that nothing that is installed is upgraded. The mirror is the one that this machine's own apt
# sources name: no address is written down here.
set -euo pipefail

next_release=trixie

say() { printf 'engine.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Packages of the programs that tests and the CPU image use, where the program is missing.
missing_tools() {
  local pair
  for pair in mmdebstrap:mmdebstrap ffmpeg:ffmpeg git:git ps:procps python3:python3 tmux:tmux setpriv:util-linux \
    node:nodejs npm:npm cc:gcc setsid:util-linux; do
    have "${pair%%:*}" || printf '%s\n' "${pair#*:}"
  done
  have cc || printf 'libc6-dev\n'
  [ -s /etc/ssl/certs/ca-certificates.crt ] || printf 'ca-certificates\n'
}

# Debian's packages of the parts of an engine that are missing. Each part is looked at by itself: a machine may well
# have an engine and no Compose.
missing_engine() {
  have dockerd || printf '%s\n' docker.io containerd
  have docker || printf 'docker-cli\n'
  docker compose version >/dev/null 2>&1 || printf 'docker-compose\n'
  docker buildx version >/dev/null 2>&1 || printf 'docker-buildx\n'
}

# "SITE SIGNED-BY" of the first apt source that carries this very release of Debian: not its updates, not security.
debian_source() {
  # shellcheck disable=SC2016 # apt's own placeholders
  apt-get indextargets --format '$(SITE) $(RELEASE) $(CODENAME) $(COMPONENT) $(CREATED_BY) $(SIGNED_BY)' |
    awk -v release="$1" '($2 == release || $3 == release) && $4 == "main" && $5 == "Packages" { print $1, $6; exit }'
}

add_next_release() {
  local site key
  read -r site key < <(debian_source "$1") || fail "no source of Debian $1 among this machine's apt sources"
  case $key in /*) ;; *) key=/usr/share/keyrings/debian-archive-keyring.gpg ;; esac
  printf 'deb [signed-by=%s] %s %s main\n' "$key" "$site" "$next_release" >/etc/apt/sources.list.d/codex-sandbox-next.list
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$next_release" >/etc/apt/preferences.d/codex-sandbox-next
  apt-get update -qq
}

apt_install() { apt-get install -qq -y --no-install-recommends "$@" </dev/null >&2; }

packages() {
  local tools engine codename
  mapfile -t tools < <(missing_tools)
  mapfile -t engine < <(missing_engine)
  if [ "${#tools[@]}" -eq 0 ] && [ "${#engine[@]}" -eq 0 ]; then say "nothing is missing"; return; fi
  say "installs: ${tools[*]} ${engine[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  if [ "${#tools[@]}" -gt 0 ]; then apt_install "${tools[@]}"; fi
  if [ "${#engine[@]}" -eq 0 ]; then return; fi
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  if [ "$codename" = bookworm ]; then
    add_next_release "$codename"
    apt_install "${engine[@]/%//$next_release}"
  else
    apt_install "${engine[@]}"
  fi
  mapfile -t engine < <(missing_engine)
  [ "${#engine[@]}" -eq 0 ] || fail "still missing after the installation: ${engine[*]}"
}

answers() { timeout 20 docker version >/dev/null 2>&1; }

start() {
  local dir=$1 pid
  mkdir -p "$dir"
  if answers; then say "an engine answers: it is used as it is"; return; fi
  say "starting dockerd"
  setsid dockerd --pidfile "$dir/dockerd.pid" >"$dir/dockerd.log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 240); do
    if answers; then say "dockerd answers"; return; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 40 "$dir/dockerd.log" >&2
  stop "$dir"
  fail "dockerd did not answer"
}

stop() {
  local pidfile=$1/dockerd.pid pid
  [ -s "$pidfile" ] || return 0
  pid=$(cat "$pidfile")
  # A pid file that outlived its engine may name anything by now.
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || { rm -f "$pidfile"; return 0; }
  say "stopping dockerd"
  kill "$pid"
  for _ in $(seq 120); do
    [ -e "/proc/$pid" ] || return 0
    sleep 0.5
  done
  fail "dockerd ($pid) does not stop"
}

case "${1:-}" in
  packages) packages ;;
  start) start "${2:?DIR}" ;;
  stop) stop "${2:?DIR}" ;;
  *) sed -n '2,10p' "$0" >&2; exit 2 ;;
esac
