# install.sh - sourced by quickstart.sh and test.sh: the packages that dips needs, and the build.
# Debian 12 (or a later one) by apt; nothing is fetched from anywhere else.

# package          why
packages_to_build="\
gcc                the C compiler
libc6-dev          its headers
make               runs the build
pkg-config         finds the libraries below
libzmq3-dev        messages between workers and servers
libopenmpi-dev     the all-reduce among workers
openmpi-bin        mpirun
libopenblas-dev    matrix products
libyaml-dev        configuration files
libjansson-dev     JSON
libxxhash-dev      checksums and string ids
libzstd-dev        compressed checkpoints
zlib1g-dev         gzipped raw data"
packages_to_test="\
libcmocka-dev      the test programs
python3            programs of other languages that read and write dips' files"

say() { printf '%s\n' "$*" >&2; }

fail() {
    status=$1
    shift
    say "dips: $*"
    exit "$status"
}

has_package() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Debian's own or any other in PATH will do, if it is new enough.
has_cmake() {
    version=$(cmake --version 2>/dev/null | sed -n '1s/.*version //p')
    [ -n "$version" ] && [ "$(printf '3.25\n%s\n' "$version" | sort -V | head -n 1)" = 3.25 ]
}

# install_packages LIST: installs those of LIST that are missing, and says which and why.
install_packages() {
    missing=
    reasons=
    if ! has_cmake; then
        missing=" cmake"
        reasons="  cmake              the build, 3.25 or later"
    fi
    while read -r package why; do
        case $package in
        gcc | make | python3) command -v "$package" >/dev/null && continue ;;
        pkg-config) command -v pkg-config >/dev/null && continue ;;
        esac
        has_package "$package" && continue
        missing="$missing $package"
        reasons="$reasons
  $(printf '%-18s %s' "$package" "$why")"
    done <<EOF
$1
EOF
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null ||
        fail 5 "these packages are missing and there is no apt-get to install them:$missing"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        fail 5 "packages are missing; as root, run: apt-get install --no-install-recommends$missing"
    fi
    say "installing what is missing:" "$reasons"
    { $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing; } >&2 ||
        fail 5 "apt-get could not install:$missing"
}

# build FOLDER TARGETS [cmake options]: configures once, then builds what changed of the targets.
build() {
    folder=$1 targets=$2
    shift 2
    if [ ! -f "$folder/CMakeCache.txt" ]; then
        cmake -S "$root" -B "$folder" "$@" >"$folder.log" 2>&1 ||
            { cat "$folder.log" >&2; fail 5 "configuring $folder failed"; }
    fi
    cmake --build "$folder" -j "$(nproc)" --target $targets >"$folder.log" 2>&1 ||
        { tail -n 40 "$folder.log" >&2; fail 5 "building $folder failed (all of it: $folder.log)"; }
    rm -f "$folder.log"
}
