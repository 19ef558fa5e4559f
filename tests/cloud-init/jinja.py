# SPDX-License-Identifier: Apache-2.0
"""What Jinja2 makes of templates, set up as cloud-init sets it up: `jinja.py PACKAGES`.

PACKAGES are Debian's Python modules, unpacked. Without further input it prints the names of all filters, tests and
methods that Jinja2 and Python have. Lines of standard input are templates, each as a JSON string; for each it prints what
it renders to as a JSON string, or `null` where it fails.
"""
import copy
import json
import signal
import sys

sys.path.insert(0, sys.argv[1])

import jinja2.defaults  # noqa: E402
from cloudinit import templater  # noqa: E402
from jinja2 import Template  # noqa: E402

DATA = {
    "ds": {"meta_data": {"hostname": "n.x.example", "tags": {"a": 1, "b": "two"}, "disks": ["sda", "sdb"]}},
    "v1": {"region": None},
}


def methods(kind):
    return [name for name in dir(kind) if not name.startswith("_")]


def rendered(source):
    try:
        template = Template(
            source,
            undefined=templater.UndefinedJinjaVariable,
            trim_blocks=True,
            extensions=["jinja2.ext.do"],
        )
        signal.alarm(5)
        return template.render(**copy.deepcopy(DATA))
    except Exception:
        return None
    finally:
        signal.alarm(0)


def main():
    names = {
        "filter": sorted(jinja2.defaults.DEFAULT_FILTERS),
        "test": sorted(jinja2.defaults.DEFAULT_TESTS),
        "str": methods(str),
        "list": methods(list),
        "dict": methods(dict),
    }
    print(json.dumps(names))
    for line in sys.stdin:
        print(json.dumps(rendered(json.loads(line))))


main()
