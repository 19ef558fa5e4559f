#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2: ds-identify, which runs before cloud-init, reads a `datasource_list` that is written over several lines as an empty
# one and takes all data sources instead. It then hands cloud-init the one that it found: on an OpenStack machine whose image says NoCloud
# alone, OpenStack is used. cloud-init's own reader has NoCloud from the same file, and ds-identify has it where the list is on one line.
. "${BASH_SOURCE%/*}/fetch"
cloud_init

# A machine of its own: product_name is what the test goes by, and blkid finds nothing.
mkdir -p tree/{etc/cloud/cloud.cfg.d,proc/1,sys/class/dmi/id} bin
touch tree/proc/{cmdline,1/cmdline,1/environ}
echo '1.0 1.0' > tree/proc/uptime
echo 'OpenStack Nova' > tree/sys/class/dmi/id/product_name
printf '#!/bin/sh\nexit 1\n' | tee bin/blkid > bin/systemd-detect-virt
chmod +x bin/*
# identified: the list that ds-identify writes for cloud-init.
identified() {
    rm -rf tree/run && mkdir tree/run
    PATH=$work/bin:$PATH PATH_ROOT=$work/tree sh root/usr/lib/cloud-init/ds-identify --force > identify.log 2>&1 || true
    cat tree/run/cloud-init/cloud.cfg
}
# configured: the list that cloud-init reads in the image's file.
configured() {
    /usr/bin/python3 -c 'from cloudinit import util; print(util.read_conf("tree/etc/cloud/cloud.cfg.d/90_ds.cfg")["datasource_list"])'
}
/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
echo 'datasource_list: [ NoCloud ]' > tree/etc/cloud/cloud.cfg.d/90_ds.cfg
same 'on one line' 'datasource_list: [ NoCloud, None ]' "$(identified)"
printf 'datasource_list:\n  - NoCloud\n' > tree/etc/cloud/cloud.cfg.d/90_ds.cfg
same 'on two lines, to cloud-init' "['NoCloud']" "$(configured)"
same 'on two lines, to ds-identify' 'datasource_list: [ OpenStack, None ]' "$(identified)"
