#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init 22.4.2 writes all of `ca_certs: trusted` into one file. Debian's update-ca-certificates makes no link for a file with more
# than one certificate, and OpenSSL finds certificates in /etc/ssl/certs by these links: with a second CA the first is trusted no more.
# Programs that read the bundle, such as curl, still trust both.
. "${BASH_SOURCE%/*}/fetch"
cloud_init
debian 'openssl=3.0.*' 'libssl3=3.0.*' 'ca-certificates=*'

export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu PATH=$work/root/usr/bin:$PATH
/usr/bin/python3 -m cloudinit.cmd.main --version | tail -1
for name in one two; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config /dev/stdin -keyout $name.key -out $name.pem -days 3 \
        -subj "/CN=$name" <<< $'[req]\ndistinguished_name=d\n[d]' 2> openssl.log
done
# trusted CA...: whether OpenSSL and a reader of the bundle trust `one` after cloud-init got these.
trusted() {
    rm -rf local etc && mkdir -p local etc share && : > ca-certificates.conf
    /usr/bin/python3 - "$@" <<'PYTHON'
import sys
from cloudinit.config import cc_ca_certs
cc_ca_certs.add_ca_certs({"ca_cert_full_path": "local/cloud-init-ca-certs.crt", "ca_cert_config": None}, [open(name).read() for name in sys.argv[1:]])
PYTHON
    sh root/usr/sbin/update-ca-certificates --certsconf "$work/ca-certificates.conf" --certsdir "$work/share" --localcertsdir "$work/local" \
        --etccertsdir "$work/etc" --hooksdir "$work/none" > update.log 2>&1
    openssl verify -no-CAfile -no-CAstore -CApath etc one.pem > verify.log 2>&1 && echo 'directory: trusted' || echo 'directory: not trusted'
    openssl verify -no-CApath -no-CAstore -CAfile etc/ca-certificates.crt one.pem > verify.log 2>&1 && echo 'bundle: trusted' || echo 'bundle: not trusted'
}
same 'one certificate' 'directory: trusted
bundle: trusted' "$(trusted one.pem)"
same 'two certificates' 'directory: not trusted
bundle: trusted' "$(trusted one.pem two.pem)"
