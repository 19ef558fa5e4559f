// SPDX-License-Identifier: Apache-2.0
//! What a lock can be written for, and how upstream publishes and signs it.

use super::cosign::Signer;

/// Something that is published: where, where its checksum is, and where its parts go. In addresses `{v}` is the version,
/// `{n}` the version without its `v`, `{a}` the architecture.
pub struct Publication {
    /// The artifact's name.
    pub name: &'static str,
    pub(super) url: &'static str,
    /// What stands behind the address for the checksum's, or a whole address.
    pub(super) checksum: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) signed: Signed,
}

/// How upstream signs something.
pub(super) enum Signed {
    /// By cosign, as this signer: the file's name with `.sig` and `.cert`.
    Cosign(Signer<'static>),
    /// By an attestation of GitHub's.
    Attested(Attested),
    /// The file of checksums itself, by OpenPGP.
    OpenPgp,
    /// Not at all.
    Nothing,
}

/// Who attests a release: the workflow that built it.
pub(super) struct Attested {
    /// Where the attestation is.
    pub(super) url: &'static str,
    /// The workflow's URI, at the release's tag.
    pub(super) workflow: &'static str,
    /// The first release, major and minor, of which none is without.
    pub(super) since: (u32, u32),
}

/// Kubernetes' release managers ([how to verify](https://kubernetes.io/docs/tasks/administer-cluster/verify-signed-artifacts/)).
pub(super) const KUBERNETES: Signer<'_> = Signer {
    identity: "krel-staging@k8s-releng-prod.iam.gserviceaccount.com",
    issuer: "https://accounts.google.com",
};

/// Who says for which workflow of GitHub's a certificate is.
pub(super) const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// What a lock can be written for. Kubernetes' own three come first, and together.
pub const PUBLICATIONS: &[Publication] = &[
    // https://kubernetes.io/releases/download/
    kubernetes("kubeadm", "https://dl.k8s.io/release/{v}/bin/linux/{a}/kubeadm", "/opt/bin/kubeadm"),
    kubernetes("kubelet", "https://dl.k8s.io/release/{v}/bin/linux/{a}/kubelet", "/opt/bin/kubelet"),
    kubernetes("kubectl", "https://dl.k8s.io/release/{v}/bin/linux/{a}/kubectl", "/opt/bin/kubectl"),
    Publication {
        name: "cni-plugins",
        url: "https://github.com/containernetworking/plugins/releases/download/{v}/cni-plugins-linux-{a}-{v}.tgz",
        checksum: ".sha256",
        from: "",
        to: "/opt/cni/bin/",
        signed: Signed::Nothing,
    },
    Publication {
        name: "containerd",
        url: "https://github.com/containerd/containerd/releases/download/{v}/containerd-{n}-linux-{a}.tar.gz",
        checksum: ".sha256sum",
        from: "bin/",
        to: "/opt/bin/",
        // https://github.com/containerd/containerd/pull/11049, which came to 2.0 in the middle.
        signed: Signed::Attested(Attested {
            url: "https://github.com/containerd/containerd/releases/download/{v}/containerd-{n}-attestation.intoto.jsonl",
            workflow: "https://github.com/containerd/containerd/.github/workflows/release.yml@refs/tags/{v}",
            since: (2, 1),
        }),
    },
    Publication {
        name: "crictl",
        url: "https://github.com/kubernetes-sigs/cri-tools/releases/download/{v}/crictl-{v}-linux-{a}.tar.gz",
        checksum: ".sha256",
        from: "crictl",
        to: "/opt/bin/crictl",
        signed: Signed::Nothing,
    },
    Publication {
        name: "runc",
        url: "https://github.com/opencontainers/runc/releases/download/{v}/runc.{a}",
        checksum: "https://github.com/opencontainers/runc/releases/download/{v}/runc.sha256sum",
        from: "",
        to: "/opt/bin/runc",
        signed: Signed::OpenPgp,
    },
];

const fn kubernetes(name: &'static str, url: &'static str, to: &'static str) -> Publication {
    Publication { name, url, checksum: ".sha256", from: "", to, signed: Signed::Cosign(KUBERNETES) }
}
