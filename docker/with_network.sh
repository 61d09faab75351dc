#!/bin/sh
# Runs a command with the proxy and the CA bundle of the build's secrets, each where it is given.
# They live in this process only, so nothing of them stays in the image.
set -eu

secrets=/run/secrets

for name in http_proxy https_proxy no_proxy; do
    if [ -s "$secrets/$name" ]; then
        # apt reads the lower-case name, some programs the other one.
        value=$(cat "$secrets/$name")
        upper=$(echo "$name" | tr '[:lower:]' '[:upper:]')
        export "$name=$value" "$upper=$value"
    fi
done

if [ -s "$secrets/ca" ]; then
    if ! grep -q 'BEGIN CERTIFICATE' "$secrets/ca"; then
        echo "error: the build secret \`ca\` holds no PEM certificate" >&2
        echo "hint: give a bundle, such as /etc/ssl/certs/ca-certificates.crt of the host" >&2
        exit 1
    fi
    # One name for each program that downloads.
    export PIP_CERT="$secrets/ca" SSL_CERT_FILE="$secrets/ca" \
        REQUESTS_CA_BUNDLE="$secrets/ca" CURL_CA_BUNDLE="$secrets/ca"
    # apt has no variable for it, but one for a configuration file.
    APT_CONFIG=$(mktemp)
    export APT_CONFIG
    trap 'rm -f "$APT_CONFIG"' EXIT
    echo "Acquire::https::CAInfo \"$secrets/ca\";" >"$APT_CONFIG"
    # apt downloads as its own user, which must be able to read both.
    chmod 0644 "$APT_CONFIG"
fi

# Not `exec`: the trap must run.
"$@"
