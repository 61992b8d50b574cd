# `test --newer`: the same tests on the servers of the Debian after this one, which lie in a tree of their own.
#
# ./dev starts and stops servers in a tree by running itself there: AUTOMATION_SERVERS_ROOT names the tree. Tests inherit the
# variable, so that servers which they start for themselves are the newer ones too.

NEWER_RELEASE=trixie # PostgreSQL 17, RabbitMQ 4.0, Erlang 27

# Commands that concern servers, and nothing that only this system has.
enters_tree() { # command
    [ -n "${AUTOMATION_SERVERS_ROOT:-}" ] || return 1
    case $1 in servers | test-env | env | ps | down | reset) ;; *) return 1 ;; esac
}

# The mounts are of a namespace of their own, which ends with the last process in it: there is nothing to take back, and whoever
# deletes the tree deletes the tree alone. Checkout, state and temporary folders have the same names inside and outside.
in_tree() { # command...
    local tree=$AUTOMATION_SERVERS_ROOT
    if [ "$(id -u)" != 0 ]; then die "only root can run servers in another tree (AUTOMATION_SERVERS_ROOT)."; fi
    # shellcheck disable=SC2016
    env -u AUTOMATION_SERVERS_ROOT AUTOMATION_HOME="$STATE" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        unshare --mount --propagation private bash -euc '
        tree=$1 root=$2 state=$3
        shift 3
        mkdir -p "$tree$root" "$tree$(dirname "$state")"
        mount --bind /proc "$tree/proc"
        mount --rbind /dev "$tree/dev"
        for shared in /tmp /var/tmp "$root" "$(dirname "$state")"; do mount --bind "$shared" "$tree$shared"; done
        exec chroot "$tree" "$@"
    ' dev "$tree" "$ROOT" "$STATE" "$@"
}

# Runs a command with AUTOMATION_TEST_* of newer servers, which are gone afterwards.
with_newer_servers() { # command...
    open_state
    export AUTOMATION_SERVERS_ROOT=$STATE/newer/$NEWER_RELEASE
    newer_tree
    trap newer_down EXIT
    trap 'exit 130' INT TERM
    newer_dev servers
    eval "$(newer_dev test-env)"
    say "On $(newer_versions)."
    "$@"
}

newer_dev() { (unset AUTOMATION_DEV && AUTOMATION_HOME="$STATE/newer/servers" "$ROOT/dev" "$@"); }

newer_versions() {
    # shellcheck disable=SC2016
    in_tree dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\n' 'postgresql-[0-9]*' rabbitmq-server |
        awk '$1 == "installed" && $2 ~ /^(postgresql-[0-9]+|rabbitmq-server)$/ { printf "%s%s %s", sep, $2, $3; sep = ", " }'
}

newer_down() {
    local status=$?
    trap - EXIT INT TERM
    newer_dev reset || status=1
    exit "$status"
}

# A minimal system; the servers are installed by ./dev in it, as on any other. It is kept for the next time.
newer_tree() {
    local tree=$AUTOMATION_SERVERS_ROOT
    if [ -e "$tree/etc/debian_version" ]; then return; fi
    if [ "$(id -u)" != 0 ]; then die "only root can make the tree of newer servers."; fi
    if ! has debootstrap; then install_packages debootstrap; fi
    step "Debian $NEWER_RELEASE in $tree (1 GB with its servers, once)"
    rm -rf "$tree.new"
    mkdir -p "$STATE/newer" "$STATE/log"
    debootstrap --variant=minbase --include=ca-certificates "$NEWER_RELEASE" "$tree.new" >"$STATE/log/debootstrap.log" 2>&1 9>&- ||
        die "debootstrap failed; see $STATE/log/debootstrap.log"
    cp -L /etc/resolv.conf "$tree.new/etc/resolv.conf"
    # Whoever else runs in it has to get in: user postgres.
    chmod 755 "$tree.new"
    mv "$tree.new" "$tree"
}
