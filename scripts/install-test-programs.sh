#!/usr/bin/env bash
# Installs, on Debian and as root, the programs that the tests drive. A program that is
# still missing afterwards fails the run: nothing is skipped.
set -euo pipefail

declare -A package_of=(
  [git]=git [rsync]=rsync [sqlite3]=sqlite3 [vim]=vim [tar]=tar [diff]=diffutils
  [find]=findutils [ps]=procps [mount]=mount [setpriv]=util-linux [unshare]=util-linux
  [flock]=util-linux [bsdtar]=libarchive-tools [zip]=zip [unzip]=unzip [bzip2]=bzip2 [xz]=xz-utils
  [python3]=python3 [getfattr]=attr
  [mount.fuse3]=fuse3 [systemd-notify]=systemd [ssh]=openssh-client [ssh-keygen]=openssh-client [sshd]=openssh-server
  [openssl]=openssl [mkfs.ext4]=e2fsprogs
)

# What the package fuse-native is linked against.
has_libfuse2() { grep -q 'libfuse\.so\.2 ' <<<"$(ldconfig -p)"; }

missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
has_libfuse2 || missing+=(libfuse2)
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || { echo "still missing: $program" >&2; exit 1; }
done
has_libfuse2 || { echo "still missing: libfuse.so.2" >&2; exit 1; }
