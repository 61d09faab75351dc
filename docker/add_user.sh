#!/bin/sh
# Makes the user `codex` with exactly the host user's ids, whatever the base has under them.
# Reads HOST_UID and HOST_GID, and checks the result.
set -eu

: "${HOST_UID:?is missing: give --build-arg HOST_UID=\$(id -u)}"
: "${HOST_GID:?is missing: give --build-arg HOST_GID=\$(id -g)}"

name=codex
home=/home/codex

fail() { # what, hint
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

check_id() { # variable, value
    case $2 in
        *[!0-9]* | 0?*) fail "$1 is \`$2\`, which is not a plain number" "give what \`id\` prints" ;;
    esac
    # The engine takes no larger one for a container's user.
    if [ "${#2}" -gt 10 ] || [ "$2" -gt 2147483647 ]; then
        fail "$1 is \`$2\`, and the largest id that the engine takes is 2147483647" \
            "run as a user with a smaller id"
    fi
}
check_id HOST_UID "$HOST_UID"
check_id HOST_GID "$HOST_GID"

account_of() { getent passwd "$1" | cut -d: -f1; }

# A `codex` of the base's own would be in the way.
if getent passwd "$name" >/dev/null; then userdel "$name"; fi

# The group: that of the base where one has the id, for it is the number that counts.
if ! getent group "$HOST_GID" >/dev/null; then
    if getent group "$name" >/dev/null; then groupdel "$name"; fi
    groupadd -g "$HOST_GID" "$name"
fi

unique=
owner=$(account_of "$HOST_UID")
if [ -n "$owner" ]; then
    if [ "$HOST_UID" -ge 1000 ] && [ "$HOST_UID" -lt 60000 ]; then
        # A regular account, such as `ubuntu` with 1000: nobody logs in to it here.
        # userdel takes its group with it, also where that is ours: so the group is made again below.
        owner_home=$(getent passwd "$owner" | cut -d: -f6)
        userdel "$owner"
        case $owner_home in /home/?*) rm -rf "$owner_home" "/var/mail/$owner" ;; esac
        if ! getent group "$HOST_GID" >/dev/null; then groupadd -g "$HOST_GID" "$name"; fi
    else
        # root, or a system account whose name programs of the base look up: `codex` becomes a
        # second name for the same id.
        unique=-o
    fi
fi

# -l: without it, lastlog and faillog grow to gigabytes with a large id.
# shellcheck disable=SC2086 # one option or none
useradd -l $unique -K UID_MIN=0 -K UID_MAX=2147483647 -m -d "$home" -s /bin/bash -u "$HOST_UID" -g "$HOST_GID" "$name"

# Of two names, the first in the file is what the id is shown as. For root it stays `root`.
if [ -n "$unique" ] && [ "$HOST_UID" -ne 0 ]; then
    { grep "^$name:" /etc/passwd; grep -v "^$name:" /etc/passwd; } >/etc/passwd.new
    cat /etc/passwd.new >/etc/passwd
    rm /etc/passwd.new
fi

# The Codex home is mounted here. Where it is not, Codex must still be able to make its own.
mkdir -p "$home/.codex"
# The caches are volumes, and the engine gives a new one the owner of what lies here.
mkdir -p "$home/.cache/huggingface" "$home/.cache/torch" "$home/.cache/pip" "$home/.cache/uv"
chown -R "$HOST_UID:$HOST_GID" "$home"
chmod 0755 "$home"
chmod 0700 "$home/.codex"

# Root inside could have the loader read this, and take it away again unseen; what is there cannot change unseen.
if [ "$HOST_UID" -eq 0 ] && [ ! -e /etc/ld.so.preload ]; then : >/etc/ld.so.preload; fi

# Backups that useradd leaves; they name the account that was deleted.
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-

expect() { # what, expected, seen
    [ "$2" = "$3" ] || fail "the new user's $1 is \`$3\`, not \`$2\`" \
        "the base's accounts are unusual: look at its /etc/passwd and /etc/group"
}
expect "uid" "$HOST_UID" "$(id -u "$name")"
expect "gid" "$HOST_GID" "$(id -g "$name")"
expect "home" "$home" "$(getent passwd "$name" | cut -d: -f6)"
expect "caches' owner" "$HOST_UID:$HOST_GID" "$(stat -c %u:%g "$home/.cache/pip")"
expect "home's owner" "$HOST_UID:$HOST_GID" "$(stat -c %u:%g "$home/.codex")"
if [ "$HOST_UID" -ne 0 ]; then expect "name" "$name" "$(account_of "$HOST_UID")"; fi
echo "user: $name has $HOST_UID:$HOST_GID"
