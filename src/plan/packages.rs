// SPDX-License-Identifier: Apache-2.0
//! Package managers of other distributions. A template for one of them installs containerd, kubeadm and the kubelet, which a baked image
//! has: where its commands call such a program, one stands in for it, so that they go on as they would there.

use super::STATE_DIR;
use super::trust::StandIn;

/// Takes what is on the machine as installed, in the version that is asked for, and fails for any other package.
const TOOL: &str = r#"#!/bin/sh
# Written by footplate: stands in for a package manager. What is on the machine counts as installed, and any other package fails.
name=${0##*/}
[ "$(uname -m)" = aarch64 ] && arch=arm64 || arch=amd64
# The program of a package; `:` where there is none to look for.
program() {
    case $1 in
    containerd.io) echo containerd ;;
    cri-tools) echo crictl ;;
    gnupg | gnupg2) echo gpg ;;
    nfs-common | nfs-utils) echo mount.nfs ;;
    open-iscsi | iscsi-initiator-utils) echo iscsiadm ;;
    qemu-guest-agent) echo qemu-ga ;;
    kubernetes-cni) echo /opt/cni/bin/loopback ;;
    apt-transport-https | bash-completion | ca-certificates | lsb-release | software-properties-common) echo : ;;
    *) echo "$1" ;;
    esac
}
version() {
    case $1 in
    kubeadm) kubeadm version -o short ;;
    kubectl) kubectl version --client ;;
    *) "$1" --version ;;
    esac 2>/dev/null | sed -n 's/[^0-9]*\([0-9][0-9.]*[0-9]\).*/\1/p' | head -n 1
}
# Whether a package is there in the version that is wanted: NAME=1.2.3-*, NAME-1.2.3.
installed() {
    package=${1%%=*} wanted=${1#*=}
    [ "$wanted" != "$1" ] || wanted=
    case $package in
    kube[ac-z]*-[0-9]*) wanted=${package#*-} package=${package%%-*} ;;
    esac
    found=$(program "$package")
    if ! command -v "$found" > /dev/null; then
        echo "footplate: $name: Flatcar has no package manager, and $package is not on this machine: put it into the image" >&2
        return 1
    fi
    [ -n "$wanted" ] || return 0
    have=$(version "$found") wanted=${wanted%%-*}
    case $have. in
    $wanted.*) ;;
    *) echo "footplate: $name: the image has $package $have, and not $wanted: bake an image with it" >&2 && return 1 ;;
    esac
}
verb='' status=0 skip=''
for word; do
    case $skip$word in
    --print-architecture) echo "$arch" && exit ;;
    -o | -t | -c) skip=- ;;
    -s | -l | -i | --status | --install) [ "$name" != dpkg ] || verb=install ;;
    -*) skip='' ;;
    *)
        case $verb in
        '') verb=$word ;;
        install | in | localinstall) installed "$word" || status=100 ;;
        list | madison)
            have=$(version "$(program "$word")")
            [ -z "$have" ] || case $verb in
            list) echo "$word/image $have-1.1 $arch [installed]" ;;
            *) echo " $word | $have-1.1 | image" ;;
            esac
            ;;
        esac
        ;;
    esac
done
# A key that comes by a pipe is read, so that what writes it does not fail.
[ "$name" != apt-key ] || [ -t 0 ] || cat > /dev/null
exit "$status"
"#;

/// Other distributions have these directories, and commands write there without making them.
const PRELUDE: &str =
    "mkdir -p /etc/apt/keyrings /etc/apt/sources.list.d /etc/yum.repos.d 2>/dev/null || :\n";

pub(super) fn stand_in() -> StandIn {
    let names = crate::model::paths::FOREIGN_PACKAGE_TOOLS;
    StandIn { names, dir: format!("{STATE_DIR}/packages"), text: TOOL, linked: true, prelude: PRELUDE }
}
