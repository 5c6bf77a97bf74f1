# SPDX-License-Identifier: Apache-2.0
# Sourced by tests/run and bench/run: makes sure that the Debian packages a script needs are there.
#
#   need_packages cmake=cmake c++=g++ libxsimd-dev ...
#
# A word is a package, or command=package: then any command of that name will do, wherever it came from.
# Without anything missing this needs neither root nor the network.

fail() {  # fail STATUS MESSAGE: one line on stderr, and out
  printf '%s: %s\n' "${0##*/}" "$2" >&2
  exit "$1"
}

package_is_installed() {
  [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

need_packages() {
  local word missing=() as_root=()
  for word in "$@"; do
    [[ $word == *=* ]] && command -v "${word%%=*}" >/dev/null && continue
    package_is_installed "${word#*=}" || missing+=("${word#*=}")
  done
  [[ ${#missing[@]} -eq 0 ]] && return 0

  command -v apt-get >/dev/null ||
    fail 1 "needs what Debian calls: ${missing[*]}; install them, then call CMake directly (no apt-get here)"
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null ||
      fail 1 "cannot install: ${missing[*]} (neither root nor sudo); run: apt-get install ${missing[*]}"
    as_root=(sudo)
    [[ -t 0 ]] || as_root+=(-n)  # nobody could type a password
  fi
  as_root+=(env DEBIAN_FRONTEND=noninteractive)

  printf '== installing: %s\n' "${missing[*]}"
  "${as_root[@]}" apt-get update -qq </dev/null || printf 'apt-get update failed; trying with the lists at hand\n' >&2
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
    fail 1 "could not install: ${missing[*]}"
}
