#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The npm package etcd3 1.1.2 loses the order that it asked etcd 3.4.23 for, where keys are numbers: `getAll().sort("Key", "Descend")` gives
# its values as an object of JavaScript, which has such keys in an order of its own. `keys()` of the same request has the order of etcd.
. "${BASH_SOURCE%/*}/fetch"
debian 'etcd-server=3.4.23-4+*'
npm_packages etcd3@1.1.2

port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
client=http://127.0.0.1:$(port) peer=http://127.0.0.1:$(port)
timeout 60 root/usr/bin/etcd --data-dir store --listen-client-urls "$client" --advertise-client-urls "$client" --listen-peer-urls "$peer" \
    --initial-advertise-peer-urls "$peer" --initial-cluster default="$peer" > etcd.log 2>&1 &
etcd=$!
cat > order.mjs <<'NODE'
import { Etcd3 } from "etcd3"
const client = new Etcd3({ hosts: process.argv[2], defaultCallOptions: { deadline: Infinity } })
const prefix = process.argv[3]
for (const key of process.argv.slice(4)) await client.put(prefix + key).value("value " + key)
const all = () => client.namespace(prefix).getAll().sort("Key", "Descend")
console.log("keys:", (await all().keys()).join(", "))
console.log("strings:", Object.values(await all().strings()).join(", "))
client.close()
NODE
for _ in $(seq 50); do grep -q 'ready to serve client requests' etcd.log && break; sleep 0.2; done
numbers=$(node order.mjs "$client" a/ 30 7 200 || true) words=$(node order.mjs "$client" b/ n30 n7 n200 || true)
kill "$etcd"
same 'numbers' 'keys: 7, 30, 200
strings: value 7, value 30, value 200' "$numbers"
same 'words' 'keys: n7, n30, n200
strings: value n7, value n30, value n200' "$words"
