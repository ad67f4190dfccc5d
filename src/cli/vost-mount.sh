#!/bin/sh
# vost-mount, as it is installed: vost-mount.js beside it does what is asked. But a command line of
# two paths needs nobody to read it, so the daemon starts at once, and Node starts once instead of
# twice one after the other. Each program that this starts takes some milliseconds, too.

self=$0
[ ! -h "$self" ] || self=$(LC_ALL=C readlink -f -- "$0") || self=$0
bin=${self%/*}

# Memory that nobody has touched yet costs a fault for each 4 KiB, and in a virtual machine that can be more
# than what is done with it. So glibc takes pages of 2 MiB where the system gives them to those who ask, and
# keeps what was freed for the next one, as it does by itself after its first large piece.
export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=67108864}"

fail() {
  printf 'vost-mount: %s\n' "$2" >&2
  exit "$1"
}

mount_at_once() {
  # It has a session of its own, and reports how its start went: the exit code and a message. An
  # interrupt ends whoever reads, and then nobody hears the report, for which it takes the mount away
  # again.
  { setsid node "$bin/daemon.js" "$1" "$2" --reports </dev/null 3>&1 >/dev/null 2>&1 & } | {
    IFS= read -r report
    case $report in
      0*) [ -d "$2/." ] || fail 1 "$2 is mounted, but it does not answer" ;;
      '') fail 1 'the daemon ended before the mount was ready; -f or --log-file shows why' ;;
      *) fail "${report%% *}" "${report#* }" ;;
    esac
  }
}

case $#:$1:$2 in
  2:-*:* | 2:*:-* | 2:list:* | 2:status:* | 2:commit:* | 2:unmount:* | 2:completion:*) ;;
  2:*)
    if command -v setsid >/dev/null; then
      mount_at_once "$1" "$2"
      exit
    fi
    ;;
esac
exec node "$bin/vost-mount.js" "$@"
