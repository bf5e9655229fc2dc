#!/bin/sh
# agent: one file that carries its runtime. On its first start it unpacks the runtime and the program into a directory
# of its own; later starts only look whether both are still what they were, and go on as that program by exec.
# The directory: $AGENT_UNPACK_DIR, or the first of these that can hold an executable: /var/lib/agent/bin (root),
# $XDG_CACHE_HOME/agent/bin, $HOME/.cache/agent/bin, /run/agent/bin (root), $TMPDIR/agent-bin-UID, /tmp/agent-bin-UID.
# gzip packs it because each Debian has gzip; xz and zstd would be smaller but may be missing.

runtime_name='@RUNTIME_NAME@' runtime_sum='@RUNTIME_SUM@' runtime_size='@RUNTIME_SIZE@'
runtime_packed='@RUNTIME_PACKED@' runtime_at='@RUNTIME_AT@'
program_name='@PROGRAM_NAME@' program_sum='@PROGRAM_SUM@' program_size='@PROGRAM_SIZE@'
program_packed='@PROGRAM_PACKED@' program_at='@PROGRAM_AT@'
machine='@MACHINE@'

# Both files get this time when they have been checked by their sums; a write to one would move it.
stamp=946684800 stamp_text=200001010000.00
newline='
'

# Whether $1 is our private directory with both files as they were published. One spawned program, about a millisecond.
is_fresh() {
  [ -O "$1" ] && [ ! -L "$1" ] && [ -O "$1/$runtime_name" ] && [ -O "$1/$program_name" ] || return 1
  seen=$(stat -c '%a:%s:%Y' "$1" "$1/$runtime_name" "$1/$program_name" 2>/dev/null) || return 1
  case $seen in
    700:*"${newline}500:$runtime_size:$stamp${newline}400:$program_size:$stamp") return 0 ;;
  esac
  return 1
}

called=$0

# The fast way: every start but the first ends here.
start() {
  base=$1
  shift
  # Without a place to write, V8's code cache costs more than it saves.
  [ -w "$base" ] && cache= || cache=--no-code-cache
  DENO_DIR=$base/cache DENO_NO_UPDATE_CHECK=1 AGENT_CALLED=$called exec "$base/$runtime_name" run @FLAGS@ $cache "$base/$program_name" "$@"
}

candidates() {
  if [ -n "${AGENT_UNPACK_DIR:-}" ]; then
    echo "$AGENT_UNPACK_DIR"
    return
  fi
  [ "$user" != 0 ] || echo /var/lib/agent/bin
  [ -z "${XDG_CACHE_HOME:-}" ] || echo "$XDG_CACHE_HOME/agent/bin"
  [ -z "${HOME:-}" ] || echo "$HOME/.cache/agent/bin"
  [ "$user" != 0 ] || echo /run/agent/bin
  [ -z "${TMPDIR:-}" ] || echo "$TMPDIR/agent-bin-$user"
  echo "/tmp/agent-bin-$user"
}

for base in "${AGENT_UNPACK_DIR:-/var/lib/agent/bin}" "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/agent/bin"; do
  if is_fresh "$base"; then start "$base" "$@"; fi
  [ -z "${AGENT_UNPACK_DIR:-}" ] || break
done

# From here on: the first start, a damaged copy, or one of the rarer directories.

# publish NAME SUM PACKED AT MODE: makes $base/NAME right. Racing starts each write a file of their own and rename it
# into place; whoever is last, the content is the same, and a program that runs already keeps its file.
publish() {
  target=$base/$1
  if [ ! -L "$target" ] && [ -O "$target" ] && [ "$(sum_of "$target")" = "$2" ]; then
    new=$target
  else
    new=$base/.new-$$-${1##*/}
    tail -c "+$4" "$self" 2>/dev/null | head -c "$3" | gzip -dc >"$new" 2>/dev/null && [ "$(sum_of "$new")" = "$2" ] || {
      rm -f "$new"
      why="cannot unpack into $base (no space, or $self is damaged)"
      return 1
    }
    # On disk before it gets its name, so that a power cut leaves no empty file behind.
    sync "$new" 2>/dev/null || sync
  fi
  chmod "$5" "$new" && TZ=UTC0 touch -t "$stamp_text" "$new" && { [ "$new" = "$target" ] || mv -f "$new" "$target"; }
}

sum_of() {
  set -- "$(sha256sum "$1" 2>/dev/null)"
  echo "${1%% *}"
}

# What earlier unpacking left: files of starts that died, runtimes that no process runs any more.
sweep() {
  for old in "$base"/.new-*; do
    pid=${old##*/.new-} pid=${pid%%-*}
    [ ! -e "$old" ] || kill -0 "$pid" 2>/dev/null || rm -f "$old"
  done
  for old in "$base"/deno-*; do
    [ "$old" != "$base/${runtime_name%/*}" ] && [ -d "$old" ] || continue
    for exe in /proc/[0-9]*/exe; do
      [ "$exe" -ef "$old/agent" ] && continue 2
    done
    rm -rf "$old"
  done
}

unpack() {
  why="cannot make $base a private directory (owner $user, mode 0700)"
  mkdir -p "$base" 2>/dev/null && [ -d "$base" ] && [ ! -L "$base" ] && [ -O "$base" ] || return 1
  chmod 700 "$base" 2>/dev/null && mkdir -p "$base/${runtime_name%/*}" 2>/dev/null || return 1
  sweep
  publish "$runtime_name" "$runtime_sum" "$runtime_packed" "$runtime_at" 500 || return 1
  publish "$program_name" "$program_sum" "$program_packed" "$program_at" 400 || return 1
  # This proves the place and fills Deno's cache: a long-lived process that filled it would keep 25 MB more for good.
  why="$base/$runtime_name does not run there (mounted noexec, or a C library that is too old)"
  (called=agent && start "$base" version) >/dev/null 2>&1 </dev/null || return 1
  why="$base does not keep what is written into it"
  is_fresh "$base"
}

self=$0
user=$(id -u)
if [ "$(uname -m)" != "$machine" ]; then
  echo "agent: this file is for $machine, this machine is $(uname -m)" >&2
  exit 126
fi
mask=$(umask)
umask 077
clean() { rm -f "$base/.new-$$-"*; }
trap 'clean; exit 129' HUP
trap 'clean; exit 130' INT
trap 'clean; exit 143' TERM
reasons=
IFS=$newline
set -f
for base in $(candidates); do
  unset IFS
  set +f
  if is_fresh "$base" || unpack; then
    trap - HUP INT TERM
    umask "$mask"
    start "$base" "$@"
  fi
  reasons="$reasons${newline}  $why"
done
echo "agent: found no directory to unpack the runtime into; set AGENT_UNPACK_DIR$reasons" >&2
exit 126
