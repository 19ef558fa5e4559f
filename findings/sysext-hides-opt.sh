#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-sysext 257.13: where something is mounted below /opt, `merge` of an extension that has nothing for /opt lays an empty file
# system over it: the mount stays, all else in /opt is gone until `unmerge`. Without the mount /opt is left alone.
. "${BASH_SOURCE%/*}/fetch"
packages=(
    systemd=257.13-1~deb13u1 libsystemd-shared=257.13-1~deb13u1 libc6=2.41-12+deb13u5 libacl1=2.3.2-2+b1
    libaudit1=1:4.0.2-2+deb13u1 libblkid1=2.41.5-0+deb13u1 libmount1=2.41.5-0+deb13u1 libcap-ng0=0.8.5-4+b1 libcap2=1:2.75-10+deb13u1+b3
    libcrypt1=1:4.4.38-1 libssl3t64=3.5.9-1~deb13u1 libpam0g=1.7.0-5 libpcre2-8-0=10.46-1~deb13u3 libseccomp2=2.6.0-2
    libselinux1=3.8.1-1 zlib1g=1:1.3.dfsg+really1.3.1-1+deb13u1 libzstd1=1.5.7+dfsg-1
)
# Debian 13's, beside Debian 12's: with their own C library, called by its loader.
"$findings/../dist/fetch" root trixie "${packages[@]}" > fetch.log 2>&1 ||
    { cat fetch.log >&2; echo "the packages cannot be had" >&2; exit 69; }
libraries=$work/root/usr/lib/x86_64-linux-gnu
export sysext="$libraries/ld-linux-x86-64.so.2 --library-path $libraries:$libraries/systemd $work/root/usr/bin/systemd-sysext"
$sysext --version | head -1

tree=$work/tree extension=tree/var/lib/extensions/tool/usr/lib/extension-release.d
mkdir -p tree/{etc,opt/{bin,data},usr/lib} "$extension"
echo 'ID=any' > tree/usr/lib/os-release
echo 'ID=_any' > "$extension/extension-release.tool"
touch tree/opt/bin/program
# Mounts of its own, which are gone at its end.
after() {
    unshare --user --map-root-user --mount sh -ec "mount --make-rshared /; mount -t tmpfs run /run; $1
        \$sysext --root=$tree merge 2>/dev/null; cd $tree/opt; find . | sort"
}
same 'a merge without a mount below /opt' '.
./bin
./bin/program
./data' "$(after '')"
same 'a merge with one' '.
./data' "$(after "mount -t tmpfs data $tree/opt/data")"
