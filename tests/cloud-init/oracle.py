# SPDX-License-Identifier: Apache-2.0
"""What cloud-init makes of each case: `oracle.py PACKAGES CASES`.

PACKAGES are Debian's Python modules, unpacked. Each directory of CASES holds `user-data`, perhaps `vendor-data`,
`include/` with what include lists name, and `root/`, where write_files writes. `theirs.json` is put beside them: the
merged cloud-config, the programs by name, and what cloud-init gave up on. The modules are cloud-init's own from its
stage downwards; made here are a datasource that knows its data already, and the world behind its URLs.
"""
import base64
import json
import logging
import os
import pathlib
import sys

packages, cases = sys.argv[1:]
sys.path.insert(0, packages)

# Each file that is written asks for it, and it is nowhere.
sys.modules["selinux"] = None

from cloudinit import helpers, sources, stages, user_data, util  # noqa: E402
from cloudinit.config import cc_write_files, cc_write_files_deferred  # noqa: E402
from cloudinit.mergers import m_dict, m_list, m_str  # noqa: E402, F401
from cloudinit.settings import PER_ALWAYS  # noqa: E402
from cloudinit.sources.DataSourceNone import DataSourceNone  # noqa: E402
from cloudinit.url_helper import StringResponse, UrlError  # noqa: E402

METADATA = {"instance-id": "i-1", "local-hostname": "node-1.example.com"}


class Given(DataSourceNone):
    """A datasource whose data is at hand."""

    def get_instance_id(self):
        return self.metadata["instance-id"]


class Told(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage().splitlines()[0])


def plain(value):
    """A value as JSON has it: bytes as text or base64, dates as they are written."""
    if isinstance(value, dict):
        return {written(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def written(key):
    return key if isinstance(key, str) else json.dumps(key)


def programs(directory):
    """The programs of a directory, by name."""
    found = pathlib.Path(directory)
    files = sorted(found.iterdir()) if found.is_dir() else []
    return {f.name: plain(f.read_bytes()) for f in files if f.is_file()}


def merged(case, told):
    """Has cloud-init's own stage read the data."""
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"

    def read(url, **_):
        path = url.strip().partition("://")[2] or url.strip()
        try:
            return StringResponse((case / "include" / path.lstrip("/")).read_bytes())
        except OSError as error:
            raise UrlError(cause=error, code=404, headers=None, url=url) from error

    user_data.read_file_or_url = read
    cc_write_files.read_file_or_url = read
    config = {
        "system_info": {
            "distro": "debian",
            "paths": {"cloud_dir": str(case / "cloud"), "run_dir": str(case / "run")},
        },
        "vendor_data": {"enabled": True},
    }
    init = stages.Init(ds_deps=[])
    init._cfg = config
    init.datasource = Given(config, init.distro, init.paths)
    init.datasource.metadata = METADATA
    init.datasource.userdata_raw = (case / "user-data").read_bytes()
    if (case / "vendor-data").exists():
        init.datasource.vendordata_raw = (case / "vendor-data").read_bytes()
    init.datasource.paths.datasource = init.datasource
    util.ensure_dirs(init._initial_subdirs())
    init._reflect_cur_instance()
    init._cfg = config
    init.paths.datasource = init.datasource
    init.datasource.persist_instance_data()
    init.consume_data(PER_ALWAYS)
    paths = helpers.Paths(config["system_info"]["paths"], init.datasource)
    result = helpers.ConfigMerger(paths=paths, datasource=init.datasource, base_cfg={}).cfg
    return result, {
        "config": plain({k: v for k, v in result.items() if k != "vendor_data"}),
        "scripts": programs(paths.get_ipath("scripts")),
        "vendor": programs(paths.get_ipath("vendor_scripts")),
        "boothooks": programs(paths.get_ipath("boothooks")),
        "boot": programs(case / "cloud" / "scripts" / "per-boot"),
    }


def main():
    logging.getLogger().setLevel(logging.WARNING)
    for case in sorted(pathlib.Path(cases).iterdir()):
        told = Told()
        logging.getLogger().handlers = [told]
        try:
            config, result = merged(case, told)
            write(case / "root", config, told)
        except Exception as error:  # a failure of the whole stage
            result = {"stopped": str(error)}
        result["told"] = told.lines
        (case / "theirs.json").write_text(json.dumps(result))


def write(root, config, told):
    """write_files, with that root as the only one there is."""

    class Cloud:
        class distro:
            default_owner = "root:root"

    child = os.fork()
    if child == 0:
        status = root.parent / "files.told"
        out = os.open(status, os.O_WRONLY | os.O_CREAT)
        os.chroot(root)
        os.chdir("/")
        os.umask(0o022)
        for module in (cc_write_files, cc_write_files_deferred):
            try:
                module.handle("write_files", config, Cloud, logging.getLogger(), [])
            except BaseException as error:
                logging.warning("write_files: %s: %s", type(error).__name__, error)
        os.write(out, json.dumps(told.lines).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told.lines = json.loads((root.parent / "files.told").read_text())


main()
