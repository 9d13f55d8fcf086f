# shellcheck shell=bash
# What the scripts share. Meant to be sourced; works with the bash of every Linux and of macOS (3.2).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Runs a command as root where that takes no password; fails otherwise.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# The package manager of this machine, or nothing.
package_manager() {
    local manager
    for manager in apt-get dnf pacman zypper apk; do
        if have "$manager"; then
            echo "$manager"
            return
        fi
    done
    if have brew; then
        echo brew
    fi
}

# The words that install packages with a package manager, without questions.
install_words() {
    case $1 in
        apt-get) echo "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends" ;;
        dnf) echo "dnf install -y" ;;
        pacman) echo "pacman -S --noconfirm --needed" ;;
        zypper) echo "zypper --non-interactive install" ;;
        apk) echo "apk add" ;;
        brew) echo "brew install" ;;
    esac
}

# Brings the list of packages up to date where an install would fail without it.
refresh_packages() {
    case $1 in
        apt-get) as_root apt-get update -qq ;;
        pacman) as_root pacman -Sy --noconfirm ;;
        *) ;;
    esac
}

# install MANAGER PACKAGE…: fails when the packages cannot be had without a password.
install() {
    local manager=$1 words
    shift
    read -r -a words <<<"$(install_words "$manager")"
    if [ "$manager" = brew ]; then
        "${words[@]}" "$@" >&2
    else
        as_root true && refresh_packages "$manager" >&2 && as_root "${words[@]}" "$@" >&2
    fi
}

# The packages that bring a C compiler and the C library's headers.
compiler_packages() {
    case $1 in
        apt-get) echo "gcc libc6-dev" ;;
        apk) echo "gcc musl-dev" ;;
        *) echo "gcc" ;;
    esac
}

# install_or_say WHAT MANAGER PACKAGE…: installs, or stops with the line to type.
install_or_say() {
    local what=$1 manager=$2
    shift 2
    if [ -z "$manager" ]; then
        fail "$what is missing and no package manager known here was found: install $* by hand, then start this again"
    fi
    say "installing $what: $*"
    install "$manager" "$@" ||
        fail "$what is missing. As root, type: $(install_words "$manager") $*   Then start this again."
}

# Some crates have parts in C, and Rust links with the C compiler.
need_c_compiler() {
    local manager packages
    if have cc || have gcc || have clang; then
        return
    fi
    if [ "$(uname -s)" = Darwin ]; then
        fail "a C compiler is missing. Type: xcode-select --install   Then start this again."
    fi
    manager=$(package_manager)
    read -r -a packages <<<"$(compiler_packages "$manager")"
    install_or_say "a C compiler" "$manager" "${packages[@]}"
}

# A value of rust-toolchain.toml or Cargo.toml, by its key.
toml_value() {
    sed -n "s/^$2 *= *\"\\(.*\\)\"/\\1/p" "$ROOT/$1" | head -n 1
}

# A fresh rustup is not on the path of a shell that was started before it.
use_cargo_folder() {
    local bin=${CARGO_HOME:-$HOME/.cargo}/bin
    if ! have cargo && [ -x "$bin/cargo" ]; then
        PATH=$bin:$PATH
        export PATH
    fi
}

readonly RUSTUP_LINE="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none"

install_rustup() {
    local installer
    have curl || install_or_say curl "$(package_manager)" curl
    say "installing Rust with its official installer"
    installer=$(mktemp)
    if curl --proto '=https' --tlsv1.2 -sSf --connect-timeout 15 --retry 2 https://sh.rustup.rs -o "$installer" &&
        sh "$installer" -y --profile minimal --default-toolchain none >&2; then
        rm -f "$installer"
        use_cargo_folder
        return
    fi
    rm -f "$installer"
    fail "Rust is missing and its installer could not be reached. With a way to the network, type:
  $RUSTUP_LINE
Then start this again."
}

# The toolchain that rust-toolchain.toml names, with its components.
install_toolchain() {
    local channel
    channel=$(toml_value rust-toolchain.toml channel)
    say "installing Rust $channel"
    rustup toolchain install "$channel" --profile minimal --component rustfmt --component clippy >&2 ||
        fail "Rust $channel could not be installed. With a way to the network, type:
  rustup toolchain install $channel --profile minimal --component rustfmt --component clippy
Then start this again."
}

# Whether version $1 is at least version $2.
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]
}

# A Rust that came without rustup does not read rust-toolchain.toml: it has to be new enough by itself.
check_rust_version() {
    local wanted found
    wanted=$(toml_value Cargo.toml rust-version)
    found=$(rustc --version | cut -d' ' -f2)
    at_least "${found%%-*}" "$wanted" ||
        fail "Rust $found is too old: $wanted or newer is needed. Type:
  $RUSTUP_LINE
Then open a new shell and start this again."
}

need_rust() {
    use_cargo_folder
    have cargo || install_rustup
    if have rustup && ! (cargo --version && cargo fmt --version && cargo clippy --version) >/dev/null 2>&1; then
        install_toolchain
    fi
    check_rust_version
}

# Whether the fuzz targets can be built and run here.
have_fuzzer() {
    cargo fuzz --version >/dev/null 2>&1 && have rustup && rustup run nightly rustc --version >/dev/null 2>&1
}

# fuzz_all SECONDS: runs every fuzz target, for so long together. What it finds on the way is kept under target/.
fuzz_all() {
    local target targets each
    targets=$(cargo +nightly fuzz list)
    each=$(awk -v seconds="$1" -v targets="$(wc -w <<<"$targets")" 'BEGIN { printf "%d", seconds / targets + 1 }')
    # The crates that the programs are built with.
    cp Cargo.lock fuzz/Cargo.lock
    cargo +nightly fuzz build --target-dir target/fuzz >&2
    for target in $targets; do
        say "fuzzing $target, $each seconds"
        mkdir -p "target/fuzz-corpus/$target"
        cargo +nightly fuzz run --target-dir target/fuzz "$target" "target/fuzz-corpus/$target" "fuzz/corpus/$target" -- \
            -max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 >&2 || return 1
    done
}

# Everything that building takes. Asks nothing; stops with the line to type where it cannot go on.
setup() {
    cd "$ROOT"
    need_c_compiler
    need_rust
}
