#!/bin/sh
# Installs dist/agent and its systemd unit, or removes them. PREFIX (default /usr/local) is where they will be found,
# DESTDIR stands before it when a package is made. Usage: tools/install.sh install|uninstall
# Pods, manifests, volumes and configuration are nobody's to remove here: they stay.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
prefix=${PREFIX:-/usr/local}
destination=${DESTDIR:-}
binary=$prefix/bin/agent
unit=$prefix/lib/systemd/system/agent.service # systemd looks there for /usr and for /usr/local

# Whether systemd runs this machine and the files went to where it looks.
has_systemd() { [ -z "$destination" ] && [ -d /run/systemd/system ]; }

# Through a name beside it: a start that races with us finds the old file or the new one.
place() {
  mkdir -p "$destination$(dirname "$2")"
  cp "$1" "$destination$2.new"
  chmod "$3" "$destination$2.new"
  mv -f "$destination$2.new" "$destination$2"
  echo "installed $destination$2"
}

install_all() {
  [ -x "$root/dist/agent" ] || { echo "dist/agent is not there: run \`make build\` first" >&2; exit 1; }
  place "$root/dist/agent" "$binary" 755
  filled=$(mktemp)
  trap 'rm -f "$filled"' EXIT
  sed "s|^ExecStart=[^ ]*|ExecStart=$binary|" "$root/manifests/agent.service" >"$filled"
  place "$filled" "$unit" 644
  if ! has_systemd; then
    echo "systemd does not run here: start it yourself with \`$binary run\`"
  elif systemctl daemon-reload && systemctl --quiet is-active agent; then
    echo "an older agent runs: \`systemctl restart agent\` replaces it, containers stay"
  else
    echo "start it now and at boot: systemctl enable --now agent"
  fi
}

uninstall_all() {
  if has_systemd && [ -e "$unit" ]; then systemctl disable --now --quiet agent || true; fi
  for path in "$binary" "$unit"; do
    [ ! -e "$destination$path" ] || { rm -f "$destination$path" && echo "removed $destination$path"; }
  done
  if has_systemd; then systemctl daemon-reload; fi
  # What the binary unpacked of itself; no DESTDIR ever holds it.
  if [ -z "$destination" ]; then rm -rf /var/lib/agent/bin; fi
  echo "kept: running containers, /etc/kubernetes, /var/lib/kubelet, /var/log/pods, /etc/default/agent"
}

case ${1:-} in
  install) install_all ;;
  uninstall) uninstall_all ;;
  *) echo "usage: $0 install|uninstall" >&2; exit 2 ;;
esac
