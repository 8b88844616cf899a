#!/bin/sh
# Starts PostgreSQL, Swift with its S3 API, two registry nodes and HAProxy on the loopback address, and stops them when
# it is stopped itself. Everything they keep and say is in one folder: ./run.sh FOLDER (default ./state).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
varve=${VARVE:-$here/../../varve}
mkdir -p "${1:-state}"
cd "${1:-state}"
cp "$here"/haproxy.cfg "$here"/node-1.yml "$here"/node-2.yml .
mkdir -p swift
# Swift's servers leave the folder they are started in, so their files name it.
for file in "$here"/swift/*.conf; do sed "s#@FOLDER@#$PWD#" "$file" > "swift/${file##*/}"; done
# PostgreSQL gets to its folder as another account.
chmod a+x .
mkdir -p disks/d1 node-1 node-2

pids=''
trap 'trap - EXIT; [ -z "$pids" ] || kill $pids 2>/dev/null || true; wait; exit 0' INT TERM
trap '[ -z "$pids" ] || kill $pids 2>/dev/null || true' EXIT
# start NAME COMMAND...: its output goes to NAME.log, its process id to NAME.pid
start() {
  name=$1
  shift
  "$@" > "$name.log" 2>&1 &
  echo $! > "$name.pid"
  pids="$pids $!"
}
# until_ready NAME COMMAND...
until_ready() {
  name=$1
  shift
  tries=0
  until "$@" > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ] || ! kill -0 "$(cat "$name.pid")"; then
      echo "$name does not start:" >&2
      tail -n 20 "$name.log" >&2
      exit 1
    fi
    sleep 0.2
  done
}

# PostgreSQL refuses to run as root.
as_postgres=''
if [ "$(id -u)" = 0 ]; then
  as_postgres='setpriv --reuid=postgres --regid=postgres --init-groups'
fi
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
if [ ! -e postgres/PG_VERSION ]; then
  mkdir -p postgres
  [ "$(id -u)" != 0 ] || chown postgres: postgres
  $as_postgres "$bin/initdb" -D postgres -A trust -U registry -E UTF8 --no-instructions > initdb.log
fi
start postgres $as_postgres "$bin/postgres" -D postgres -h 127.0.0.1 -p 15432 -k ''
until_ready postgres "$bin/pg_isready" -h 127.0.0.1 -p 15432
"$bin/createdb" -h 127.0.0.1 -p 15432 -U registry registry 2> createdb.log || grep -q 'already exists' createdb.log

# The store: rings of one disk, made once.
port=15081
for kind in account container object; do
  if [ ! -e swift/$kind.ring.gz ]; then
    (
      cd swift
      swift-ring-builder $kind.builder create 4 1 1
      swift-ring-builder $kind.builder add --region 1 --zone 1 --ip 127.0.0.1 --port $port --device d1 --weight 1
      swift-ring-builder $kind.builder rebalance
    ) > "rings-$kind.log"
  fi
  port=$((port + 1))
done
start memcached memcached -u "$(id -un)" -l 127.0.0.1 -p 15211 -m 16
for kind in account container object proxy; do
  start "swift-$kind" "swift-$kind-server" swift/$kind-server.conf
done
until_ready swift-proxy curl -fsS http://127.0.0.1:15080/healthcheck
make_bucket() {
  token=$(curl -fsS -i -H 'X-Auth-User: test:tester' -H 'X-Auth-Key: testing' http://127.0.0.1:15080/auth/v1.0 |
    tr -d '\r' | sed -n 's/^X-Auth-Token: //p')
  curl -fsS -X PUT -H "X-Auth-Token: $token" http://127.0.0.1:15080/v1/AUTH_test/registry
}
until_ready swift-proxy make_bucket

for node in node-1 node-2; do start $node "$varve" registry serve $node.yml; done
for number in 1 2; do until_ready node-$number curl -fsS http://127.0.0.1:1501$number/readyz; done
start haproxy haproxy -db -f haproxy.cfg
until_ready haproxy curl -fsS http://127.0.0.1:15000/v2/
echo 'the registry is at 127.0.0.1:15000'
wait
