#!/bin/sh
# Makes requirements.lock from requirements.in: every wheel that could be installed, by hash.
# Run it anywhere with pip and network: docker/lock.sh
set -eu
export LC_ALL=C
cd "$(dirname "$0")"

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT

# The bases have Python 3.12 (NVIDIA) or 3.13 (Debian trixie), on both machines.
fetch() { # requirement, machine
    for python in 3.12 3.13; do
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --implementation cp --python-version "$python" \
            --platform "manylinux_2_28_$2" --platform "manylinux_2_17_$2" \
            --platform "manylinux2014_$2" --platform "manylinux2010_$2" \
            --dest "$wheels/$1" "$1"
    done
}

{
    echo "# Made by docker/lock.sh from docker/requirements.in. Do not edit."
    while IFS= read -r line; do
        case $line in
            "# ["*) printf '\n%s\n' "$line"; continue ;;
            "#"* | "") continue ;;
        esac
        requirement=${line%% *}
        case $line in
            *x86_64*) fetch "$requirement" x86_64 ;;
            *aarch64*) fetch "$requirement" aarch64 ;;
            *) fetch "$requirement" x86_64; fetch "$requirement" aarch64 ;;
        esac
        printf '%s' "$line"
        # One wheel often serves several: each hash once.
        sha256sum "$wheels/$requirement"/*.whl | cut -d' ' -f1 | sort -u |
            while IFS= read -r hash; do printf ' \\\n    --hash=sha256:%s' "$hash"; done
        printf '\n'
    done <requirements.in
} >requirements.lock.new
mv requirements.lock.new requirements.lock
