#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# etcd 3.4.23 passes over a key of its configuration file that it does not know, without a word: a member with a misspelt `data-dir` keeps
# its data in a new folder below where it was started, and counts its snapshots by the default. The same misspelt name as an option is
# an error that ends it.
. "${BASH_SOURCE%/*}/fetch"
debian 'etcd-server=3.4.23-4+*'

cat > member.yaml <<YAML
name: one
data-dri: $work/store
snapshot-cout: 7
listen-client-urls: http://127.0.0.1:0
advertise-client-urls: http://127.0.0.1:2379
listen-peer-urls: http://127.0.0.1:0
initial-advertise-peer-urls: http://127.0.0.1:2380
initial-cluster: one=http://127.0.0.1:2380
YAML
root/usr/bin/etcd --version | head -1
timeout 10 root/usr/bin/etcd --config-file member.yaml > member.log 2>&1 || true
same 'the keys of the file' 'embed: data dir = one.etcd
embed: snapshot count = 100000' "$(grep -oE 'embed: (data dir|snapshot count) = .*' member.log)"
same 'words of them' '' "$(grep -E 'data-dri|snapshot-cout' member.log || true)"
same 'as an option' 'flag provided but not defined: -data-dri' \
    "$(timeout 10 root/usr/bin/etcd --data-dri "$work/store" 2>&1 | grep -o 'flag provided.*' || true)"
