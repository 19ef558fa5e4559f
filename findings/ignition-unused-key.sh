#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ignition 2.14.0 warns that a key whose letters have another case is unused, and reads it: a `Storage` with an invalid file is an error
# of `storage`. Go's JSON decoder ignores case, and the check for unused keys does not.
. "${BASH_SOURCE%/*}/fetch"
debian 'ignition=2.14.0+ds1-*'

validate() { root/usr/bin/ignition-validate - 2>&1; echo "exit status $?"; }
root/usr/bin/ignition-validate --version
same 'Storage with a valid path' 'warning at $.Storage, line 1 col 34: Unused key Storage
exit status 0' "$(echo '{"ignition":{"version":"3.3.0"}, "Storage":{"files":[{"path":"/etc/a"}]}}' | validate)"
same 'Storage with an invalid path' 'error at $.storage.files.0.path, line 1 col 2: path not absolute
warning at $.Storage, line 1 col 34: Unused key Storage
exit status 1' "$(echo '{"ignition":{"version":"3.3.0"}, "Storage":{"files":[{"path":"etc/a"}]}}' | validate)"
