# SPDX-License-Identifier: Apache-2.0
"""One boot of one machine, under QEMU or in a container, from its command line to its verdict."""

import errno
import os
import re
import subprocess
import time
from pathlib import Path

import disk
from host import CACHE, ENDING, HERE, OUT, Trouble, read
from judge import Verdict, judge, judge_death, stood_still
from tree import put


def logs_of(name, number):
    return OUT / (name if number == 1 else f"{name}.{number}")


def arguments(scenario, number, first):
    """The kernel arguments of a boot that say something of the machine."""
    return [
        *(["flatcar.first_boot=detected"] if first else []),
        f"footplate-test.boot={number}",
        # Where a line of it is waited for; and what an initramfs has to say is lost with it otherwise.
        *(["systemd.journald.forward_to_console=1"] if scenario.dies or (scenario.cut is not None and number == 1) else []),
        *scenario.kernel,
    ]


def qemu(scenario, image, initrd, drive, logs, number):
    """The command line of one machine for its boot of that number."""
    if scenario.architecture == "amd64":
        # Without QEMU's own, incomplete backdoor: on the machines here, VMware's is played by vmware-host or it is not there.
        program, board, console = "qemu-system-x86_64", ["-machine", "q35,vmport=off"], "ttyS0,115200"
    else:
        # SMBIOS comes by way of UEFI; without UEFI there is a device tree alone. This emulation is slower than the other: devices of
        # the initramfs have more time.
        program, board, console = "qemu-system-aarch64", ["-machine", "virt"], "ttyAMA0 systemd.default_device_timeout_sec=400"
        board += ["-bios", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"] if scenario.smbios else []
    # Signed pointers of a processor for arm64 are most of the work of its emulation, unless they are signed in a way of QEMU's own.
    cpu = scenario.cpu if scenario.architecture == "amd64" else f"{scenario.cpu},pauth-impdef=on"
    # As Flatcar's GRUB configuration has them, with what GRUB finds on the disk; then what makes a boot under emulation quick
    # and its console useful. A boot that fails in the initramfs ends there, in place of a shell that nobody sits at.
    kernel = [
        "rootflags=rw mount.usrflags=ro consoleblank=0 root=LABEL=ROOT",
        f"mount.usr={disk.next_slot(drive).device} mount.usrfstype=squashfs console={console} loglevel=4 panic=5",
        "systemd.show_status=yes mitigations=off audit=0 lsm=landlock,yama no_timer_check random.trust_cpu=on",
        "rd.shell=0 rd.emergency=poweroff",
        *arguments(scenario, number, disk.first_boot(drive)),
    ]
    command = [
        program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        *board,
        # TCG by default, for then every host gives the same: FOOTPLATE_ACCEL=kvm where that is there and works. What is translated is
        # kept in so many MiB, and begun anew when they are full: a control plane's programs are large.
        "-accel", os.environ.get("FOOTPLATE_ACCEL", f"tcg,thread=multi,tb-size={1024 if scenario.cluster else 512}"),
        "-cpu", cpu, "-smp", "2", "-m", scenario.memory,
        "-serial", f"file:{logs / 'console.log'}",
        "-kernel", image / "vmlinuz", "-initrd", initrd, "-append", " ".join(kernel),
        "-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={drive}",
        "-device", "virtio-blk-pci,drive=disk,serial=disk",
        "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
    ]  # fmt: skip
    for port in ("report", "journal"):
        command += ["-chardev", f"file,id={port},path={logs / port}"]
        command += ["-device", f"virtserialport,chardev={port},name=footplate.{port}"]
    for number in range(len(scenario.disks)):
        empty = drive.parent / f"disk{number}.img"
        command += ["-drive", f"if=none,id=disk{number},format=raw,cache=unsafe,file={empty}"]
        command += ["-device", f"virtio-blk-pci,drive=disk{number},serial=disk{number}"]
    # By number: a label may have letters that an id of QEMU's may not.
    for number, iso in enumerate(sorted(drive.parent.glob("*.iso"))):
        command += ["-drive", f"if=none,id=iso{number},format=raw,readonly=on,file={iso}"]
        command += ["-device", f"virtio-blk-pci,drive=iso{number}"]
    if scenario.cluster:
        command += ["-drive", f"if=none,id=containerd,format=raw,cache=unsafe,file={drive.parent / 'containerd.img'}"]
        command += ["-device", "virtio-blk-pci,drive=containerd,serial=containerd"]
    for number, (network, device) in enumerate(scenario.nic):
        if network == "cable":
            # Sockets of the file system, which two machines see who see no common network.
            own, other = scenario.cable
            network = f"dgram,local.type=unix,local.path={own},remote.type=unix,remote.path={other}"
        # No boot ROM, which not every host's QEMU has.
        command += ["-netdev", f"{network},id=net{number}", "-device", f"{device},netdev=net{number},romfile="]
    for table in scenario.smbios:
        command += ["-smbios", table]
    for name, file in scenario.fw_cfg:
        command += ["-fw_cfg", f"name={name},file={file}"]
    return [str(part) for part in command]


def container(scenario, usr, root, logs, number):
    """The command line of one container for its boot of that number, and its control group."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    mount = next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line.removeprefix("0::/") for line in groups if line.startswith("0::/")), "")
    if not mount or not os.access(mount / own, os.W_OK):
        raise Trouble("containers need control groups of version 2 that can be written: inside of a container, start that one with --privileged")
    group = mount / own / f"footplate-test-{os.getpid()}-{scenario.name}"
    group.mkdir(exist_ok=True)
    put(root / "opt/footplate-test/cmdline", " ".join(arguments(scenario, number, number == 1)).encode() + b"\n")
    peer = [scenario.peer] if scenario.peer.exists() else []
    # Killed, the first process of a process namespace takes with it all that runs there.
    isolated = with_services(scenario, logs) or ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    return [str(part) for part in [*isolated, HERE / "nspawn", group, root, usr, logs, *peer]], group


def with_services(scenario, logs):
    """What stands before a machine's command where it has EC2's or another platform's services, in a network of its own; nothing where it
    has none."""
    if (scenario.folder / "ec2").is_dir():
        return [HERE / "ec2", scenario.folder / "ec2", CACHE, logs]
    return [HERE / "service", scenario.folder / "service"] if (scenario.folder / "service").is_dir() else []


def run_machine(command, logs, timeout, until=lambda: False):
    """Runs a machine to its end: its exit status, None when it had to be ended: for the time, or for what it was run until."""
    (logs / "command").write_text("\n".join(command) + "\n")
    with open(logs / "machine.log", "wb") as log:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + timeout
        try:
            while machine.poll() is None and time.monotonic() < end and not ENDING.is_set() and not until():
                time.sleep(0.01)
            return machine.poll()
        finally:
            machine.kill()
            machine.wait()


def remove_group(group):
    """Removes a control group once the last process in it is gone: of those that were killed none outlives a moment."""
    end = time.monotonic() + 30
    for directory, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(directory)
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)


def power_on(scenario, number, image, initrd, until=lambda: False):
    """One boot of a scenario's disk; the machine's exit status, None when it had to be ended."""
    first, logs = logs_of(scenario.name, 1), logs_of(scenario.name, number)
    if not scenario.container:
        command = [str(part) for part in with_services(scenario, logs)] + qemu(scenario, image.files, initrd, first / "disk.img", logs, number)
        return run_machine(command, logs, scenario.timeout, until)
    command, group = container(scenario, image.usr, first / "root", logs, number)
    try:
        return run_machine(command, logs, scenario.timeout, until)
    finally:
        remove_group(group)


def console_of(scenario, logs):
    return logs / ("machine.log" if scenario.container else "console.log")


def cut_boot(scenario, *parts):
    """A first boot whose power is cut when its console says that line of the journal."""
    console = console_of(scenario, logs_of(scenario.name, 1))
    line = re.compile(scenario.cut.encode())
    said = lambda: console.exists() and line.search(console.read_bytes())  # noqa: E731
    status = power_on(scenario, 1, *parts, said)
    if said():
        return Verdict()
    never = f"the power was to be cut at /{scenario.cut}/, which the console never said"
    return Verdict([never], still=stood_still(status, read(console)))


def boot(scenario, number, *parts):
    """One boot of a scenario's disk; its verdict."""
    if scenario.cut is not None and number == 1:
        return cut_boot(scenario, *parts)
    status, logs = power_on(scenario, number, *parts), logs_of(scenario.name, number)
    console, report = read(console_of(scenario, logs)), read(logs / "report")
    if scenario.dies:
        verdict = judge_death(report, console, status, scenario.dies, scenario.says)
    else:
        failed = scenario.failed[number - 1] if number <= len(scenario.failed) else []
        verdict = judge(report, read(logs / "journal"), status, failed, console, scenario.says, scenario.unsaid)
    verdict.still = stood_still(status, console)
    return verdict
