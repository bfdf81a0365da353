#!/usr/bin/env bash
# boot.sh FOLDER: runs systemd as the first process of namespaces of its own, over a copy of this machine's files that is thrown away. It
# must be the first process there, as root; test-packages.sh starts it.
set -euo pipefail
dir=$1
mount -t tmpfs tmpfs "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
cd "$dir/root"
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
ip link set lo up
# Nothing of this machine starts there.
rm -rf etc/systemd/system/*.wants
mkdir -p etc/systemd/system
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot . /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=0
