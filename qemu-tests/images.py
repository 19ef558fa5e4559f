# SPDX-License-Identifier: Apache-2.0
"""The images that machines boot from: the distribution, Kubernetes, and what footplate bakes into them."""

import hashlib
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from kept import cached
from host import HERE, OUT, REPOSITORY, Trouble, called, say
from scenario import root_of
from tree import lay, put, unpack

# What is baked into an image for a bootstrap to be real.
KUBERNETES = ["kubeadm", "kubelet"]
# What runs in a cluster beyond that, and who asks it.
CONTROL_PLANE = ["kubectl", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler"]


def run_as(architecture):
    """What stands before a command that calls programs of an architecture."""
    return [REPOSITORY / "tests" / "emulate"] if architecture == "arm64" else []


def make_image(suite, architecture):
    """The directories of base and of the image, of a release of Debian."""
    image, here = HERE / "image", run_as(architecture)
    make_base = lambda place: called(*here, image / "base", suite, architecture, place)  # noqa: E731
    base_key, base = cached("base", [suite, architecture, image / "base", image / "packages"], make_base)
    inputs = [base_key, *(image / part for part in ("build", "initramfs", "stage-one", "minimal-init", "extension", "overlay", "dracut"))]
    return base, cached("image", inputs, lambda place: called(*here, image / "build", base, place))[1]


def make_usr(image):
    """/usr of the image as a directory, for the containers, with what its extensions bring."""

    def make(place):
        unsquash = ["unsquashfs", "-quiet", "-no-progress", "-force", "-dest"]
        called(*unsquash, place, image / "usr.squashfs")
        for extension in sorted((place / "share/flatcar/sysext").glob("*.raw")):
            with tempfile.TemporaryDirectory(prefix="footplate-extension-") as work:
                called(*unsquash, work, extension)
                called("cp", "--archive", f"{work}/usr/.", place)

    return cached("usr", [image.name], make)[1]


def make_kubernetes(architecture="amd64"):
    """The directory of Kubernetes' programs for an architecture; for arm64 it is kubeadm alone, for no kubelet starts there."""
    build = HERE / "kubernetes" / "build"
    if architecture == "amd64":
        return cached("kubernetes", [build, *KUBERNETES], lambda place: called(build, place, *KUBERNETES))[1]
    environment = os.environ | {"GOARCH": architecture}
    return cached(f"kubeadm-{architecture}", [build], lambda place: called(build, place, "kubeadm", env=environment))[1]


def make_control_plane():
    """The programs of a control plane: what they were made of, and their directory."""
    build = HERE / "kubernetes" / "build"
    return cached("control-plane", [build, *CONTROL_PLANE], lambda place: called(build, place, *CONTROL_PLANE))


def make_cluster(kubernetes):
    """What a cluster's machines have beside kubeadm and the kubelet: containerd's store with the images, and what is baked."""
    place = HERE / "kubernetes"
    inputs = [kubernetes.name, place / "images", place / "archive"]
    key, programs = make_control_plane()
    return cached("cluster", [key, *inputs], lambda goal: called(place / "images", kubernetes, programs, goal))[1]


def make_binaries(architectures):
    """footplate and vmware-host: as the environment names them, or as cargo builds them; and `footplate-arm64` where it is wanted."""
    wanted = {"footplate": "FOOTPLATE_BIN", "vmware-host": "VMWARE_HOST_BIN"}
    found = {name: Path(os.environ[variable]) for name, variable in wanted.items() if variable in os.environ}
    packages = [name for name in wanted if name not in found]
    if packages:
        command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics", "--bins"]
        command += [f"--package={name}" for name in packages]
        say(f"building {' '.join(packages)}")
        build = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
        if build.returncode != 0:
            raise Trouble(f"`{' '.join(command)}` ended with status {build.returncode}")
        for message in map(json.loads, build.stdout.splitlines()):
            if message.get("executable") and message["target"]["name"] in packages:
                found[message["target"]["name"]] = Path(message["executable"])
    if "arm64" in architectures:
        wanted["footplate-arm64"] = "FOOTPLATE_ARM64_BIN"
        made = REPOSITORY / "target/aarch64-unknown-linux-gnu/release/footplate"
        found["footplate-arm64"] = Path(os.environ.get(wanted["footplate-arm64"], made))
        if wanted["footplate-arm64"] not in os.environ:
            called(REPOSITORY / "dist" / "build", "aarch64")
    for name in wanted:
        if name not in found or not found[name].is_file():
            raise Trouble(f"there is no {name}: {found.get(name, 'cargo built none')}")
    return found


def make_initramfs(base, binaries):
    """The image's initramfs with footplate's dracut module, as the module installs itself. It holds the program under test,
    so it is in no cache."""
    OUT.mkdir(exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="footplate-initramfs-") as work:
        tree = Path(work) / "tree"
        put(tree / "opt/bin/footplate", binaries["footplate"].read_bytes(), executable=True)
        module = tree / "usr/lib/dracut/modules.d/55footplate"
        module.mkdir(parents=True)
        lay(REPOSITORY / "dracut" / "55footplate", module)
        called(HERE / "image" / "initramfs", base, OUT / "initrd-footplate.img", tree)
    say(f"made an initramfs with footplate in {time.monotonic() - begun:.0f} s")
    return OUT / "initrd-footplate.img"


def lock_file(architecture, kubernetes, cluster, binaries):
    """What `footplate bake` is to bring in, byte for byte, and the files of it."""
    asked = [*run_as(architecture), kubernetes / "kubeadm", "version", "--output", "short"]
    version = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    release = f"https://dl.k8s.io/release/{version}/bin/linux/{architecture}"
    found = [(path, version, release, f"/opt/bin/{path.name}") for path in sorted(kubernetes.iterdir())]
    if architecture != "amd64":
        # The program that bakes installs itself, unless the lock has one for the image's architecture.
        found.append((binaries[f"footplate-{architecture}"], "0", "https://release.invalid", "/opt/bin/footplate"))
    if cluster:
        found.append((cluster / "kubectl", version, release, "/opt/bin/kubectl"))
        plugins = next(cluster.glob("cni-plugins-*.tgz"))
        version = plugins.stem.rpartition("-")[2]
        found.append((plugins, version, f"https://github.com/containernetworking/plugins/releases/download/{version}", "/opt/cni/bin/"))
    return lock_of(architecture, found)


def lock_of(architecture, found):
    artifacts = [
        {
            "name": path.name.partition("-linux-")[0],
            "version": version,
            "url": f"{where}/{path.name}",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "install": [{"from": "", "to": to} | ({} if to.endswith("/") else {"mode": "0755"})],
        }
        for path, version, where, to in found
    ]
    return json.dumps({"version": 1, "arch": architecture, "artifacts": artifacts}, indent=2), [path for path, *_ in found]


def bake(suite, architecture, userdata, image, kubernetes, cluster, binaries):
    """An image with footplate, as it is made by the program itself: baked, verified and sealed. Answers the archive of it. With a
    cluster's directory, it is one for its machines."""
    begun = time.monotonic()
    OUT.mkdir(exist_ok=True)
    archive = OUT / f"baked-{suite}-{architecture}-{userdata}{'-cluster' if cluster else ''}.tar"
    with tempfile.TemporaryDirectory(prefix="footplate-bake-") as work:
        stage, downloads = Path(work) / "root", Path(work) / "downloads"
        unpack(image / "root.tar", stage)
        lock = Path(work) / "lock.json"
        text, files = lock_file(architecture, kubernetes, cluster, binaries)
        lock.write_text(text)
        downloads.mkdir()
        for path in files:
            (downloads / path.name).symlink_to(path)
        footplate = binaries["footplate"]
        called("mount", "-t", "squashfs", "-o", "loop,ro", image / "usr.squashfs", stage / "usr")
        try:
            # The images of a cluster hold the pause image of this kubeadm, and no other.
            containerd = ["--containerd-config"] if cluster else []
            called(footplate, "bake", "--force", "--root", stage, "--lock", lock, "--from", downloads, "--userdata", userdata, *containerd)
            called(footplate, "verify", "--root", stage)
            called(footplate, "seal", "--force", "--root", stage)
        finally:
            called("umount", stage / "usr")
        called("tar", "-C", stage, "--numeric-owner", "--sort=name", "-cf", archive, ".")
    what = f"of {suite} {architecture} for {userdata}{' of a cluster' if cluster else ''}"
    say(f"baked an image {what} in {time.monotonic() - begun:.0f} s")
    return archive


class Image:
    """An image of a release and an architecture of Debian, with all of it that these scenarios want."""

    def __init__(self, suite, architecture, scenarios, kubernetes, cluster, binaries):
        scenarios = [s for s in scenarios if (s.suite, s.architecture) == (suite, architecture)]
        base, self.files = make_image(suite, architecture)
        self.cluster = cluster
        # For the containers.
        self.usr = make_usr(self.files) if any(s.container for s in scenarios) else None
        # The root without footplate, and of each flavour.
        self.roots = {False: self.files / "root.tar"}
        for userdata, clustered in sorted({root_of(s) for s in scenarios if s.footplate}):
            self.roots[userdata, clustered] = bake(
                suite, architecture, userdata, self.files, kubernetes, cluster if clustered else None, binaries
            )
        # Whether footplate is in it, and the initramfs.
        self.initrds = {False: self.files / "initrd.img"}
        if any(s.initramfs for s in scenarios):
            self.initrds[True] = make_initramfs(base, binaries)
