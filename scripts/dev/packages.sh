# What has to be on the machine, and installing what is not.

# For the servers.
missing_packages() {
    postgres_bin || echo postgresql
    rabbitmq_bin || echo rabbitmq-server
    has curl || echo curl
    if [ "$(uname)" = Linux ]; then
        has setsid && has setpriv && has flock || echo util-linux
    fi
}

require_packages() {
    local missing
    missing=$(missing_packages | tr '\n' ' ')
    missing=${missing% }
    if [ -n "$missing" ]; then
        install_packages "$missing"
        hash -r
        missing=$(missing_packages | tr '\n' ' ')
        [ -z "$missing" ] || die "still missing after the installation: $missing"
    fi
    # `missing_packages` ran in a subshell; now the paths are set for good.
    postgres_bin && rabbitmq_bin
}

install_packages() { # "name name"
    if has apt-get && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        step "Installing with apt-get: $1 (their services are not started)"
        install_with_apt "$1"
    elif has brew; then
        step "Installing with brew: $1"
        # Untested. A C compiler comes with Xcode's command line tools.
        # shellcheck disable=SC2046
        brew install $(echo " $1 " | sed 's/ postgresql / postgresql@17 /; s/ rabbitmq-server / rabbitmq /; s/ gcc libc6-dev / /')
    elif has apt-get; then
        die "please install what is missing: sudo apt-get install --no-install-recommends $1"
    else
        die "please install what is missing (the names are Debian's): $1"
    fi
}

# Debian starts a service as soon as it is installed; policy-rc.d forbids that, and is taken away again at the end.
# One that somebody else put there stays. Where systemd runs, the new services are also kept from starting at boot.
install_with_apt() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    # shellcheck disable=SC2016
    $sudo sh -s "$1" >&2 9>&- <<'ROOT_SCRIPT' || die "apt-get could not install: $1 (see above)"
set -e
policy=/usr/sbin/policy-rc.d
mark='# put here by automation ./dev during an installation'
if [ ! -e "$policy" ] || grep -qxF "$mark" "$policy"; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
fi
export DEBIAN_FRONTEND=noninteractive
apt="apt-get -q -y -o DPkg::Lock::Timeout=120"
$apt update </dev/null
$apt install --no-install-recommends $1 </dev/null
if [ -d /run/systemd/system ]; then
    for package in $1; do
        case $package in
        postgresql | rabbitmq-server) systemctl disable --now "$package" || true ;;
        esac
    done
fi
ROOT_SCRIPT
}

# Rust links with the C compiler, also where somebody else runs the servers.
require_compiler() {
    if ! has cc; then
        install_packages "gcc libc6-dev"
        hash -r
        has cc || die "still missing after the installation: a C compiler"
    fi
}

require_cargo() {
    # A login shell has it in PATH, `sudo -u` and cron do not.
    if ! has cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH="$HOME/.cargo/bin:$PATH"; fi
    has cargo || die "Rust is missing: install it from https://rustup.rs and run this again."
}

# libFuzzer is C++.
require_cpp_compiler() {
    if ! has c++; then
        install_packages "g++"
        hash -r
        has c++ || die "still missing after the installation: a C++ compiler"
    fi
}
