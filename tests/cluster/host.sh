#!/usr/bin/env bash
# The first process of a pretended machine: bash host.sh NAME WORK CHECKOUT VENV
# It runs in namespaces of its own, so what it mounts and masks here nobody else sees. WORK becomes
# /mnt/work, the folder that all machines share; the user `lab` is root with a home of its own.
set -euo pipefail
name=$1 work=$2 checkout=$3 venv=$4
hostname "$name"
ip link set lo up
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/work /mnt/home /mnt/home/.ssh /mnt/home/gauntlet
mount --bind "$work" /mnt/work
{ echo 'lab:x:0:0::/mnt/home:/bin/bash'; cat /etc/passwd; } > /mnt/passwd
mount --bind /mnt/passwd /etc/passwd
echo 'nameserver 127.0.0.1' > /mnt/resolv.conf # an unreachable one costs Ray twenty seconds
mount --bind /mnt/resolv.conf "$(readlink -f /etc/resolv.conf)"
{ echo '127.0.0.1 localhost'; cat /mnt/work/hosts; } > /mnt/hosts
mount --bind /mnt/hosts /etc/hosts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
chmod 1777 /tmp /dev/shm
mkdir /run/sshd /run/postgresql
touch /mnt/home/.bashrc
ln -s "$checkout"/{deploy,orchestrator} "$venv" /mnt/home/gauntlet/
[ -e /mnt/home/gauntlet/.venv ] || ln -s "$venv" /mnt/home/gauntlet/.venv
cp /mnt/work/key /mnt/home/.ssh/id_ed25519
ssh-keygen -q -t ed25519 -N '' -f /mnt/host_key
exec /usr/sbin/sshd -D -e -f /dev/null -h /mnt/host_key -o AuthorizedKeysFile=/mnt/work/key.pub \
  -o StrictModes=no -o UsePAM=no -o PasswordAuthentication=no -o PermitRootLogin=prohibit-password \
  -o PidFile=none 2> "/mnt/work/sshd-$name.log"
