#!/bin/sh
# Boots the guest, in mount and process namespaces of its own: what is mounted here ends with it. The guest's root is a
# folder whose parts are the host's, read-only.
#   boot.sh ROOT SHIM CHECKOUT KERNEL-ARGUMENT...
# Descriptor 3 is the guest's serial line.
set -eu
root=$1
shim=$2
checkout=$3
shift 3
share() {
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  mount -o remount,bind,ro "$root$2"
}
share /usr /usr
share /etc /etc
# Under a name of its own: the guest mounts over /tmp and the like, where a checkout may be.
share "$checkout" /checkout
exec env LD_PRELOAD="$shim" linux.uml root=/dev/root rootfstype=hostfs rootflags="$root" rw init=/init \
  con=null con0=null,fd:1 ssl=null ssl0=null,fd:3 "$@" </dev/null
