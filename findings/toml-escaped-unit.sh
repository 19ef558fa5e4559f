#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The module toml 0.10.2 of PyPI writes the text `dev-disk-by\x2dlabel-data.mount`, as systemd escapes a name, with one backslash: a TOML file
# that Python's own reader refuses, and toml too. The one of `\d` it doubles, and tomli-w 1.2.0 doubles both.
. "${BASH_SOURCE%/*}/fetch"
pypi toml==0.10.2 tomli-w==1.2.0

cat > written.py <<'PYTHON'
import sys, toml, tomli_w, tomllib
value = {"unit": sys.argv[1]}
for writer in (toml, tomli_w):
    text = writer.dumps(value).strip()
    print(writer.__name__, text)
    for reader in (tomllib, toml):
        try:
            print(" ", reader.__name__, "reads", reader.loads(text) == value)
        except ValueError:
            print(" ", reader.__name__, "refuses it")
PYTHON
same 'an escaped name' 'toml unit = "dev-disk-by\x2dlabel-data.mount"
  tomllib refuses it
  toml refuses it
tomli_w unit = "dev-disk-by\\x2dlabel-data.mount"
  tomllib reads True
  toml reads True' "$(python/bin/python written.py 'dev-disk-by\x2dlabel-data.mount')"
same 'another backslash' 'toml unit = "a\\d"
  tomllib reads True
  toml reads True
tomli_w unit = "a\\d"
  tomllib reads True
  toml reads True' "$(python/bin/python written.py 'a\d')"
