# SPDX-License-Identifier: Apache-2.0
"""What cloud-init makes of network configurations: `network.py PACKAGES DIR`.

PACKAGES are Debian's Python modules, unpacked. Each `NAME.json` of DIR is a configuration of version 1 or OpenStack's
network_data.json; `NAME.yaml` beside it becomes the same in netplan's language, by cloud-init's own modules.
"""
import json
import pathlib
import sys

packages, directory = sys.argv[1:]
sys.path.insert(0, packages)

from cloudinit.net import netplan, network_state  # noqa: E402
from cloudinit.sources.helpers import openstack  # noqa: E402

for path in sorted(pathlib.Path(directory).glob("*.json")):
    config = json.loads(path.read_text())
    if "links" in config:
        macs = {
            link["ethernet_mac_address"]: link["name"]
            for link in config["links"]
            if "name" in link
        }
        config = openstack.convert_net_json(config, known_macs=macs)
    state = network_state.parse_net_config_data(config)
    path.with_suffix(".yaml").write_text(
        netplan.Renderer({})._render_content(state)
    )
