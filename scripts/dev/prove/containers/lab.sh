# A Docker Engine with Compose in one privileged container of podman, for machines without either, and without a registry of
# images: everything is made of Debian's packages. The engine has a network of its own, so that ports, firewall and containers
# of the machine stay as they are. Limits, read-only file systems, capabilities and users are enforced as by any engine.
#
# Images are small ones under the names that docker-compose.yml uses; images/ says in what they differ from the official
# ones. `rust` delivers the binary that was built outside, so that deploy/Dockerfile itself runs, in seconds.

LAB_NAME=automation-lab
LAB_SUBNET=10.97.41.0/24

# Some machines may not raise the limit of open files, as podman would by default.
lab_podman() { CONTAINERS_CONF=$LAB/containers.conf podman --storage-driver=vfs --runtime runc --cgroup-manager cgroupfs "$@"; }

# Runs a command line in the engine, in a folder of it.
lab_run() { # folder command-line
    lab_podman exec --workdir "$1" "$LAB_NAME" bash -c "$2"
}

# Sets LAB, the folder that has the same name in the engine; starts the engine, with its images.
lab_start() {
    [ "$(id -u)" = 0 ] || die "without an engine that answers to docker, this needs root, for one in podman."
    LAB=$STATE/lab
    mkdir -p "$LAB/data" "$STATE/log"
    printf '[containers]\ndefault_ulimits = []\n' >"$LAB/containers.conf"
    lab_packages
    lab_tree engine trixie
    lab_engine
    lab_images
}

lab_packages() {
    local missing=()
    local program
    for program in podman runc debootstrap iptables netavark; do
        has "$program" || [ -x "/usr/lib/podman/$program" ] || missing+=("$program")
    done
    if [ ${#missing[@]} -gt 0 ]; then install_packages "${missing[*]}"; fi
}

lab_tree() { # name release
    [ ! -e "$LAB/$1/etc/debian_version" ] || return 0
    step "Debian $2 for $1"
    rm -rf "$LAB/$1.new"
    debootstrap --variant=minbase --include=ca-certificates "$2" "$LAB/$1.new" >"$STATE/log/lab.log" 2>&1 || die "debootstrap failed; see $STATE/log/lab.log"
    cp -L /etc/resolv.conf "$LAB/$1.new/etc/resolv.conf"
    printf '#!/bin/sh\nexit 101\n' >"$LAB/$1.new/usr/sbin/policy-rc.d"
    chmod 755 "$LAB/$1.new" "$LAB/$1.new/usr/sbin/policy-rc.d"
    mv "$LAB/$1.new" "$LAB/$1"
}

lab_engine() {
    if [ ! -e "$LAB/engine/usr/bin/dockerd" ] && [ ! -e "$LAB/engine/usr/sbin/dockerd" ]; then
        step "Docker and Compose in the engine"
        chroot "$LAB/engine" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
            docker.io docker-cli docker-compose docker-buildx tini iptables openssl' >>"$STATE/log/lab.log" 2>&1 || die "no Docker; see $STATE/log/lab.log"
    fi
    if lab_run / 'docker info' >/dev/null 2>&1; then return; fi
    step "Starting the engine"
    lab_podman rm --force "$LAB_NAME" >/dev/null 2>&1 || true
    lab_podman network exists "$LAB_NAME" || lab_podman network create --disable-dns --subnet "$LAB_SUBNET" "$LAB_NAME" >/dev/null
    # What an engine that was killed left behind would keep the next one from starting.
    rm -rf "$LAB"/engine/run/docker*
    lab_podman run --detach --name "$LAB_NAME" --privileged --network "$LAB_NAME" \
        --volume "$LAB/data:/docker-data" --volume "$LAB:$LAB" --rootfs "$LAB/engine" \
        tini -s -- dockerd --data-root /docker-data --storage-driver overlay2 >/dev/null
    cp -L /etc/resolv.conf "$LAB/engine/etc/resolv.conf"
    local deadline=$((SECONDS + 60))
    until lab_run / 'docker info' >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "the engine does not answer: podman logs $LAB_NAME"
        sleep 0.5
    done
}

lab_images() {
    local release images
    for release in bookworm trixie; do
        if lab_run / "docker image inspect debian:$release-slim" >/dev/null 2>&1; then continue; fi
        lab_tree "base-$release" "$release"
        tar -C "$LAB/base-$release" -c . | lab_podman exec --interactive "$LAB_NAME" docker import --change 'CMD ["bash"]' - "debian:$release-slim" >/dev/null
        rm -rf "$LAB/base-$release"
    done
    images=$LAB/images
    rm -rf "$images"
    cp -R "$ROOT/scripts/dev/prove/containers/images" "$images"
    cp -R "$images/rust" "$images/older"
    strip -o "$images/rust/automation" "$LAB_BINARY"
    strip -o "$images/older/automation" "$LAB_OLDER_BINARY"
    step "Images"
    lab_run "$images" "set -e
        docker build -q -t postgres:15-bookworm --build-arg DEBIAN=bookworm --build-arg VERSION=15 postgres
        docker build -q -t postgres:17-bookworm --build-arg DEBIAN=trixie --build-arg VERSION=17 postgres
        docker build -q -t rabbitmq:3.10-management --build-arg DEBIAN=bookworm rabbitmq
        docker build -q -t rabbitmq:4-management --build-arg DEBIAN=trixie rabbitmq
        docker build -q -t curlimages/curl:8.10.1 curl
        docker build -q -t rust:1.95.0-slim-bookworm rust
        docker build -q -t rust:older-slim-bookworm older" >>"$STATE/log/lab.log" 2>&1 || die "an image cannot be built; see $STATE/log/lab.log"
}

lab_stop() {
    [ -d "$STATE/lab" ] || return 0
    LAB=$STATE/lab
    lab_podman rm --force "$LAB_NAME" >/dev/null 2>&1 || true
    lab_podman network rm "$LAB_NAME" >/dev/null 2>&1 || true
}
