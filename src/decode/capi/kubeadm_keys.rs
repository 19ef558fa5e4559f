// SPDX-License-Identifier: Apache-2.0
//! The keys of kubeadm's own configuration, of all versions together with those that Cluster API has in their place
//! ([v1beta4](https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/),
//! [v1beta3](https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta3/)).

use super::schema::Type::{Any, Args, Bool, Form, Int, List, Map, Text};
use super::schema::{Keys, TEXTS, Type};
use crate::decode::kubeadm::credentials;

const ENVS: Type = List(&Any);
const VOLUMES: Type = List(&Map(&[
    ("hostPath", Text),
    ("mountPath", Text),
    ("name", Text),
    ("pathType", Text),
    ("readOnly", Bool),
]));

const NODE: Type = Map(&[
    ("criSocket", Text),
    ("ignorePreflightErrors", TEXTS),
    ("imagePullPolicy", Text),
    ("imagePullSerial", Bool),
    ("kubeletExtraArgs", Args),
    ("name", Text),
    ("taints", List(&Any)),
]);

const ENDPOINT: Type = Map(&[("advertiseAddress", Text), ("bindPort", Int)]);
const PATCHES: Type = Map(&[("directory", Text)]);

const COMPONENT: Keys = &[("extraArgs", Args), ("extraEnvs", ENVS), ("extraVolumes", VOLUMES)];

/// ClusterConfiguration.
pub const CLUSTER: Type = Map(&[
    (
        "apiServer",
        Map(&[
            ("certSANs", TEXTS),
            ("extraArgs", Args),
            ("extraEnvs", ENVS),
            ("extraVolumes", VOLUMES),
            ("timeoutForControlPlane", Text),
        ]),
    ),
    ("apiVersion", Text),
    ("caCertificateValidityPeriod", Text),
    ("caCertificateValidityPeriodDays", Int),
    ("certificateValidityPeriod", Text),
    ("certificateValidityPeriodDays", Int),
    ("certificatesDir", Text),
    ("clusterName", Text),
    ("controlPlaneEndpoint", Text),
    ("controllerManager", Map(COMPONENT)),
    ("dns", Map(&[("disabled", Bool), ("imageRepository", Text), ("imageTag", Text), ("type", Text)])),
    ("encryptionAlgorithm", Text),
    (
        "etcd",
        Map(&[
            (
                "external",
                Map(&[("caFile", Text), ("certFile", Text), ("endpoints", TEXTS), ("keyFile", Text)]),
            ),
            (
                "local",
                Map(&[
                    ("dataDir", Text),
                    ("extraArgs", Args),
                    ("extraEnvs", ENVS),
                    ("imageRepository", Text),
                    ("imageTag", Text),
                    ("peerCertSANs", TEXTS),
                    ("serverCertSANs", TEXTS),
                ]),
            ),
        ]),
    ),
    ("featureGates", Any),
    ("imageRepository", Text),
    ("kind", Text),
    ("kubernetesVersion", Text),
    ("networking", Map(&[("dnsDomain", Text), ("podSubnet", Text), ("serviceSubnet", Text)])),
    ("proxy", Map(&[("disabled", Bool)])),
    ("scheduler", Map(COMPONENT)),
    ("useHyperKubeImage", Bool),
]);

/// A token that `init` makes.
static BOOTSTRAP_TOKEN: Type = Map(&[
    ("description", Text),
    ("expires", Any),
    ("groups", TEXTS),
    ("token", Form(credentials::token)),
    ("ttl", Text),
    ("usages", TEXTS),
]);

/// InitConfiguration.
pub const INIT: Type = Map(&[
    ("apiVersion", Text),
    ("bootstrapTokens", List(&BOOTSTRAP_TOKEN)),
    ("certificateKey", Text),
    ("dryRun", Bool),
    ("kind", Text),
    ("localAPIEndpoint", ENDPOINT),
    ("nodeRegistration", NODE),
    ("patches", PATCHES),
    ("skipPhases", TEXTS),
    ("timeouts", Any),
]);

/// JoinConfiguration.
pub const JOIN: Type = Map(&[
    ("apiVersion", Text),
    ("caCertPath", Text),
    ("controlPlane", Map(&[("certificateKey", Text), ("localAPIEndpoint", ENDPOINT)])),
    (
        "discovery",
        Map(&[
            (
                "bootstrapToken",
                Map(&[
                    ("apiServerEndpoint", Form(credentials::endpoint)),
                    ("caCertHashes", List(&Form(credentials::pin))),
                    ("token", Form(credentials::token)),
                    ("unsafeSkipCAVerification", Bool),
                ]),
            ),
            ("file", Map(&[("kubeConfig", Any), ("kubeConfigPath", Text)])),
            ("timeout", Text),
            ("tlsBootstrapToken", Form(credentials::token)),
        ]),
    ),
    ("dryRun", Bool),
    ("kind", Text),
    ("nodeRegistration", NODE),
    ("patches", PATCHES),
    ("skipPhases", TEXTS),
    ("timeouts", Any),
]);
