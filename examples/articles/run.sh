#!/bin/sh
echo "hello from $(hostname), a container"
echo "its root has $(ls / | wc -l) entries; /etc/motd ends with:"
tail -n 1 /etc/motd
date -u +%Y > /data/year && echo "the volume /data holds: $(ls /data)"
