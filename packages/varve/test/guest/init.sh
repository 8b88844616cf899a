#!/bin/sh
# The guest's first process. Kernel arguments that the kernel does not know are its environment:
#   guest_modules   paths of modules, in order, with commas
#   guest_node guest_checkout guest_test guest_reporter
#   guest_only      pattern of tests' names, or nothing
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -e /dev/null ] || mount -t devtmpfs dev /dev
mkdir -p /dev/shm
for folder in /tmp /var/tmp /run /dev/shm; do mount -t tmpfs -o size=80% tmpfs "$folder"; done
IFS=,
for module in $guest_modules; do busybox insmod "$module" || echo "cannot load $module"; done
unset IFS
stty -F /dev/ttyS0 raw -echo
mkdir -p "$guest_checkout"
mount --bind /checkout "$guest_checkout"
cd "$guest_checkout" || echo 'no checkout'
NODE_COMPILE_CACHE=/tmp/compiled "$guest_node" --test-timeout=240000 --test-force-exit \
  ${guest_only:+"--test-name-pattern=$guest_only"} \
  --test-reporter="$guest_reporter" --test-reporter-destination=/dev/ttyS0 "$guest_test" 2>&1
echo "node ended with $?"
busybox poweroff -f
