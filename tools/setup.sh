#!/bin/sh
# Makes sure that the programs a target needs are there: installs the missing ones with apt when that is possible (root
# on Debian), otherwise names them and says how to get them. Usage: tools/setup.sh npm|run|e2e|gpu|bench
# Not for Deno itself (tools/deno) nor for JavaScript packages (Deno fetches those).
set -eu

# A line for each program: how to see that it is there, and the Debian package that brings it.
programs_of() {
  case $1 in
    npm)
      echo 'npm npm'
      echo 'openssl openssl'
      ;;
    run)
      echo 'containerd containerd'
      echo 'runc runc'
      echo '/usr/lib/cni/bridge|/opt/cni/bin/bridge containernetworking-plugins'
      echo 'iptables iptables'
      echo '/bin/busybox busybox-static'
      ;;
    e2e)
      programs_of run
      echo 'docker-registry docker-registry'
      echo 'skopeo skopeo'
      echo 'zstd zstd'
      echo 'kubectl kubernetes-client'
      echo 'curl curl'
      echo 'openssl openssl'
      echo 'faketime faketime'
      ;;
    gpu)
      programs_of run
      echo 'cc gcc'
      echo '/usr/include/stdio.h libc6-dev'
      ;;
    bench)
      programs_of run
      echo 'podman podman'
      ;;
    *) echo "usage: $0 npm|run|e2e|gpu|bench" >&2; exit 2 ;;
  esac
}

# $1: alternatives separated by '|', each a command name or an absolute path.
is_there() {
  old_ifs=$IFS; IFS='|'
  for one in $1; do
    IFS=$old_ifs
    case $one in
      /*) [ -e "$one" ] && return 0 ;;
      *) command -v "$one" >/dev/null 2>&1 && return 0 ;;
    esac
  done
  IFS=$old_ifs
  return 1
}

[ $# -eq 1 ] || { echo "usage: $0 npm|run|e2e|gpu|bench" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
missing=$(programs_of "$1" | while read -r probe package; do is_there "$probe" || echo "$package"; done | tr '\n' ' ')
[ -n "${missing% }" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "$0: these packages are missing: $missing" >&2
  echo "  on Debian, as root: apt-get install --no-install-recommends $missing" >&2
  exit 1
fi

# A package that starts a service at installation would collide with what the tests start themselves; containerd's own
# service may run, since every instance of ours has a socket of its own.
echo "installing: $missing" >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install || { apt-get update -q >"$log" 2>&1 && install; } || { cat "$log" >&2; exit 1; }
