#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloudbase-init 1.1.9 reads the parameters of a bond in version 1 with the prefix `bond-`, as they are documented, but for one: the hash
# policy is read as `xmit_hash_policy`, so that `bond-xmit-hash-policy` has no effect.
. "${BASH_SOURCE%/*}/fetch"
pypi cloudbase-init==1.1.9
python/bin/pip list 2> pip.log | grep '^cloudbase-init '

# bond_of KEY: the bond that has its policy under that key.
bond_of() {
    cloudbase_network <<YAML | sed -n 's/.*\(Bond([^)]*)\).*/\1/p'
version: 1
config:
- {type: bond, name: bond0, bond_interfaces: [eth0, eth1], params: {bond-mode: 802.3ad, bond-lacp-rate: fast, $1: layer2}}
YAML
}
same bond-xmit-hash-policy "Bond(members=['eth0', 'eth1'], type='802.3ad', lb_algorithm=None, lacp_rate='fast')" "$(bond_of bond-xmit-hash-policy)"
same xmit_hash_policy "Bond(members=['eth0', 'eth1'], type='802.3ad', lb_algorithm='layer2', lacp_rate='fast')" "$(bond_of xmit_hash_policy)"
