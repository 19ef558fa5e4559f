#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-image-utils 0.33: `cloud-localds --interfaces FILE` writes the file into the metadata as `interfaces`. cloud-init 22.4.2 looks for
# `network-interfaces` there, so the static address that the image was made with is lost without a word.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian cloud-image-utils=0.33-1

echo '#cloud-config' > user-data
printf '%s\n' 'iface eth0 inet static' 'address 192.0.2.5/24' > interfaces
root/usr/bin/cloud-localds --disk-format tar-seed-local --interfaces interfaces seed.tar user-data
tar -xf seed.tar
# network: the network configuration that cloud-init's data source NoCloud has for the seed.
network() {
    /usr/bin/python3 - 2> cloud.log <<'PYTHON'
from cloudinit.helpers import Paths
from cloudinit.sources.DataSourceNoCloud import DataSourceNoCloud
source = DataSourceNoCloud({"datasource": {"NoCloud": {"fs_label": None}}}, None, Paths({"cloud_dir": "var/lib/cloud", "run_dir": "run"}))
source._get_data()
network = source.network_config
print(source.metadata["instance-id"], network and network["config"][0]["subnets"][0]["address"])
PYTHON
}
seed=var/lib/cloud/seed/nocloud/meta-data
same 'by cloud-localds' '"interfaces": "iface eth0 inet static\naddress 192.0.2.5/24"' "$(grep interfaces $seed)"
same 'cloud-init' 'iid-local01 None' "$(network)"
same "what cloud-init's log says of it" '' "$(grep interfaces cloud.log || true)"
sed -i 's/"interfaces"/"network-interfaces"/' $seed
same 'cloud-init, with the name that it looks for' 'iid-local01 192.0.2.5/24' "$(network)"
