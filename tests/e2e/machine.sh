#!/bin/sh
# A host of its own with systemd as its first process, on an overlay of this one's files; what it writes is lost with it.
# Usage: machine.sh NAME ROOT: NAME is that of the host and of its cgroup, ROOT an empty directory that it is mounted at.
# Started in the network namespace that it is to have. Not for: ending it, nor for removing the cgroup (machine.ts).
set -eu
name=$1 root=$2

# First in a cgroup of its own, which a cgroup namespace then makes the root.
if [ "${3:-}" != inside ]; then
  for mount in $(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts); do
    mkdir -p "$mount/$name"
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$mount/$file" ] || cat "$mount/$file" >"$mount/$name/$file"
    done
    echo $$ >"$mount/$name/cgroup.procs"
  done
  exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup --propagation private sh "$0" "$name" "$root" inside
fi

hostname "$name"
mount -t tmpfs tmpfs "$root"
layers=$root root=$root/root
mkdir "$layers/upper" "$layers/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$root"

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty kmsg fuse; do
  [ ! -e "/dev/$device" ] || cp -a "/dev/$device" "$root/dev/"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# Nothing that this host runs, keeps or has configured is the other's.
for empty in /run /tmp /var/lib /var/log /var/cache /etc/systemd/system /etc/kubernetes /etc/cni /etc/default; do
  mkdir -p "$root$empty"
  mount -t tmpfs -o mode=755 tmpfs "$root$empty"
done
chmod 1777 "$root/tmp"
: >"$root/etc/fstab"
echo "$name" >"$root/etc/hostname"
printf '127.0.0.1 localhost %s\n' "$name" >"$root/etc/hosts"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
units=$root/etc/systemd/system
ln -s /lib/systemd/system/multi-user.target "$units/default.target"
# There is no hardware, and nobody logs in.
for unit in getty.target systemd-logind.service systemd-modules-load.service systemd-udevd.service systemd-udev-trigger.service \
  systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-networkd.service systemd-resolved.service; do
  ln -s /dev/null "$units/$unit"
done

# The hierarchies where the kernel has them, by the words with which they are mounted here.
awk '$3 == "cgroup" || $3 == "cgroup2" { print $2, $3, $4 }' /proc/mounts | sort >"$layers/cgroups"
[ "$(awk '{ print $2 }' "$layers/cgroups" | head -n 1)" = cgroup2 ] || mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
while read -r at kind options; do
  mkdir -p "$root$at"
  case $kind in
    cgroup) mount -t cgroup -o "$(echo "$options" | sed 's/^rw,//; s/relatime,//; s/nosuid,//; s/nodev,//; s/noexec,//; s/name=/none,name=/')" cgroup "$root$at" ;;
    cgroup2) mount -t cgroup2 cgroup2 "$root$at" ;;
  esac
done <"$layers/cgroups"

cd "$root"
mkdir -p mnt
pivot_root . mnt
umount -l /mnt
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
