# shellcheck shell=bash
# Sourced by bazelw and scripts/check. Installs Debian packages, or prints the command that does.

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

package_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

apt_install() {  # WHAT-FOR PACKAGES...: installs the missing ones as root, else fails with the sudo line
  local purpose="$1" package missing=()
  shift
  command -v apt-get >/dev/null ||
    die "$purpose: missing, and this is not a Debian system (no apt-get)." \
      "Install Bazelisk (https://github.com/bazelbuild/bazelisk), a C++17 compiler and: $*"
  for package in "$@"; do package_installed "$package" || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    printf '%s: needed: %s. Run this, then try again:\n  sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n' \
      "${0##*/}" "$purpose" "${missing[*]}" >&2
    exit 1
  fi
  printf '%s: installing %s: %s\n' "${0##*/}" "$purpose" "${missing[*]}" >&2
  (
    export DEBIAN_FRONTEND=noninteractive
    # Some of the packages are servers: tests start their own, and the package must not start another.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    fi
    options=(-y --no-install-recommends -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
    # The package lists may be missing or old: refresh them only if the installation fails.
    apt-get "${options[@]}" install "${missing[@]}" ||
      { apt-get -o Acquire::Retries=3 update && apt-get "${options[@]}" install "${missing[@]}"; }
  ) </dev/null >&2 || die "apt-get could not install ${missing[*]}; see its messages above"
}

apt_install_programs() {  # WHAT-FOR FILE: the same for a list of "command packages" or "file packages" lines
  local command packages missing=()
  while read -r command packages; do
    [[ -z $command || $command == "#"* ]] && continue
    [[ $command == /* && -e $command ]] && continue
    # Some servers are in /usr/sbin, which is not on every user's PATH.
    PATH="$PATH:/usr/sbin" command -v "$command" >/dev/null || missing+=($packages)
  done <"$2"
  ((${#missing[@]} == 0)) || apt_install "$1" "${missing[@]}"
}

apt_install_libraries() {  # WHAT-FOR FILE: the same for a list of "file packages" lines
  local file packages missing=()
  while read -r file packages; do
    [[ -z $file || $file == "#"* || -e $file ]] || missing+=($packages)
  done <"$2"
  ((${#missing[@]} == 0)) || apt_install "$1" "${missing[@]}"
}
