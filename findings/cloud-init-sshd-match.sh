#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 takes `AuthorizedKeysFile` inside a `Match` of sshd_config for everybody's: the keys of a user whom the `Match` is not for
# go into a file in which sshd does not look, and nobody logs in by them.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'openssh-server=1:9.2p1-2+*' libwrap0=7.6.q-32

ssh-keygen -q -t ed25519 -N '' -f host
printf '%s:x:0:0::/:/bin/sh\n' root sshd core > passwd # sshd asks for two of them
cat > keys.py <<'PYTHON'
# The file into which cloud-init writes the keys of the user `core`, whose home is taken to be /home/core.
import types
from cloudinit import ssh_util
core = types.SimpleNamespace(pw_name="core", pw_dir="/home/core")
ssh_util.users_ssh_info = lambda name: ("/home/core/.ssh", core)
ssh_util.check_create_path = lambda *rest: True
print(ssh_util.extract_authorized_keys("core", "sshd_config")[0])
PYTHON
# files LINE...: where cloud-init writes the keys of `core`, and where sshd looks for them, by these lines of sshd_config.
files() {
    printf '%s\n' "HostKey $work/host" "$@" > sshd_config
    /usr/bin/python3 keys.py
    LD_LIBRARY_PATH=$work/root/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu unshare --user --map-root-user --mount sh -ec '
        mount --bind passwd /etc/passwd
        mount -t tmpfs tmpfs /run
        mkdir /run/sshd
        root/usr/sbin/sshd -T -C user=core,host=a,addr=192.0.2.5 -f sshd_config' | grep '^authorizedkeysfile'
}
same 'without a Match' '/home/core/.ssh/authorized_keys
authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2' "$(files)"
same 'with a Match for another user' '/etc/ssh/keys/core
authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2' "$(files 'Match User deploy' '    AuthorizedKeysFile /etc/ssh/keys/%u')"
