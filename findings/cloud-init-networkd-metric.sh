#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2, renderer for systemd-networkd: the metric of a route is lost in version 2 and kept in version 1. The documentation
# of version 2 has `metric`. Two default routes that differ by it become equal.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
routes() { networkd_of | sed -n '/^\[Route\]/,$p'; }
same 'version 1' '[Route]
Destination=10.0.0.0/8
Gateway=192.0.2.9
Metric=70' "$(routes <<YAML
version: 1
config: [{type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.5/24,
  routes: [{destination: 10.0.0.0/8, gateway: 192.0.2.9, metric: 70}]}]}]
YAML
)"
same 'version 2' '[Route]
Destination=10.0.0.0/8
Gateway=192.0.2.9' "$(routes <<YAML
version: 2
ethernets: {eth0: {addresses: [192.0.2.5/24], routes: [{to: 10.0.0.0/8, via: 192.0.2.9, metric: 70}]}}
YAML
)"
