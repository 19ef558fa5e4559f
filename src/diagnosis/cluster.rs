// SPDX-License-Identifier: Apache-2.0
//! Causes that lie between this machine and its cluster.

use super::causes::{Cause, Says, cause};

/// Causes of the node's name, joining, certificates and the endpoint.
pub(super) const CLUSTER: &[Cause] = &[
    cause(
        "node/webhook",
        &["failed calling webhook", "denied the request: "],
        "an admission webhook of the cluster refuses this node, or does not answer",
        "look at the cluster's webhooks: `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`",
    ),
    Cause {
        beside: &["node with name"],
        ..cause(
            "node/name-taken",
            &["already exists in the cluster"],
            "the cluster has a node of this name already",
            "delete the Node of the machine that had this name, or give this one another name",
        )
    },
    cause(
        "node/not-permitted",
        &["is not allowed to", "is forbidden: user \"system:node"],
        "the API server does not let this node register under its name",
        "see that the node's name is the one in its certificate: hostname, and nodeRegistration.name",
    ),
    Cause {
        beside: &["unauthorized", "is expired:"],
        ..cause(
            "kubelet/certificate-refused",
            &[
                "error uploading crisocket",
                "error writing crisocket for this node",
                "unable to register node",
                "existing bootstrap client certificate",
            ],
            "the API server does not take the kubelet's own certificate, or it has expired",
            "seal the image that this node was made from: it must not have /etc/kubernetes/kubelet.conf and /var/lib/kubelet/pki; and compare the clock: `timedatectl`",
        )
    },
    Cause {
        // What came of a question to the API server says more.
        when: |line| !line.contains("/api/v1/"),
        ..cause(
            "node/not-registered",
            &[
                "error uploading crisocket",
                "error writing crisocket",
                "crisocket information",
                "timed out waiting for the node",
                "control-plane label and taints",
                "mark-control-plane: timed out waiting", // it waits for nothing else
                "mark-control-plane: nodes \"",
                "failed to get corresponding node",
            ],
            "the kubelet's node does not appear in the cluster",
            "look at `journalctl -u kubelet`: it does not run or can't register, often for its name or its cloud provider",
        )
    },
    cause(
        "join/ca-hash-mismatch",
        &["cluster ca found in cluster-info configmap is invalid", "none of the public keys"],
        "the cluster's CA does not have the expected hash",
        "discovery.bootstrapToken.caCertHashes is of another cluster",
    ),
    cause(
        "join/token-of-another-cluster",
        &["failed to verify jws signature"],
        "the cluster signed its information with another bootstrap token",
        "the token's secret in the join configuration is not the cluster's, or the endpoint leads to another cluster",
    ),
    cause(
        "join/token-expired",
        &["could not find a jws signature in the cluster-info", "token id \""],
        "the bootstrap token has expired or was removed",
        "Cluster API makes a new token for a new machine: delete this one's Machine",
    ),
    cause(
        "join/no-cluster-info",
        &[
            "configmaps \"cluster-info\" not found",
            "configmaps \"cluster-info\" is forbidden",
            "configmaps \"kubeadm-config\" not found",
            "set up for token bootstrapping",
        ],
        "the API server has no information for nodes that join (cluster-info, kubeadm-config)",
        "see that the first control plane's kubeadm came to its end",
    ),
    cause(
        "join/certificates-expired",
        &[
            "secret \"kubeadm-certs\" was not found",
            "secrets \"kubeadm-certs\" not found",
            "secrets \"kubeadm-certs\" is forbidden",
        ],
        "the control plane's certificates are not there for others: nobody uploaded them, or their secret's two hours are over",
        "upload them on a control plane, and give the join the new certificateKey: `kubeadm init phase upload-certs --upload-certs`",
    ),
    cause(
        "join/certificates-incomplete",
        &["the secret does not include the required certificate"],
        "the secret with the control plane's certificates lacks one of them",
        "upload them again with the configuration that the cluster has now: `kubeadm init phase upload-certs --upload-certs`",
    ),
    cause(
        "join/certificate-key-wrong",
        &[
            "error decoding secret data with provided key",
            "error decoding certificate key",
            "cipher: message authentication failed",
            "invalid certificate key",
        ],
        "the certificate key does not open the control plane's certificates",
        "certificateKey in the join configuration is not the one that they were uploaded with",
    ),
    Cause {
        // The name of another version's ConfigMap, which the cluster does not have.
        when: |line| !line.contains("kubelet-config-1."),
        ..cause(
            "join/not-permitted",
            &[
                "is forbidden: user \"system:bootstrap",
                "is forbidden: user \"system:anonymous",
                "is forbidden: user \"kubernetes-admin\"",
            ],
            "the cluster does not let kubeadm read what joining needs",
            "see that the first control plane's kubeadm came to its end (it makes the ClusterRoleBinding kubeadm:cluster-admins), and that the token's group is system:bootstrappers:kubeadm:default-node-token",
        )
    },
    Cause {
        beside: &[
            "phase addon",
            "phase upload-",
            "phase bootstrap-token",
            "phase mark-",
            "phase control-plane-join",
        ],
        ..cause(
            "certificate/admin-refused",
            &["unauthorized", "asked for the client to provide credentials"],
            "the API server does not take the certificate of /etc/kubernetes/admin.conf",
            "seal the image that this node was made from: admin.conf and /etc/kubernetes/pki must be of one cluster; and compare the clock: `timedatectl`",
        )
    },
    cause(
        "join/token-refused",
        &["unauthorized", "asked for the client to provide credentials"],
        "the API server does not take the bootstrap token any more",
        "the token expired or was removed meanwhile: delete this machine's Machine, Cluster API makes a new token",
    ),
    cause(
        "join/not-a-control-plane",
        &[
            "unable to add a new control plane instance",
            "please ensure that: * the cluster has a stable controlplaneendpoint",
        ],
        "the cluster takes no further control plane: it has no common endpoint",
        "set controlPlaneEndpoint before the first control plane is made",
    ),
    Cause {
        beside: &[" is after 2", "the certificate has expired"],
        ..cause(
            "certificate/expired",
            &["certificate has expired"],
            "a certificate has expired, or this machine's clock is ahead",
            "compare `timedatectl` with the certificate's dates, then renew it: `kubeadm certs renew` on a control plane",
        )
    },
    Cause {
        beside: &[" is before 2", "certificate is not valid yet"],
        ..cause(
            "certificate/not-yet-valid",
            &["not yet valid", "is not valid yet"],
            "a certificate is not valid yet: this machine's clock is behind",
            "compare `timedatectl` with the certificate's dates; the `ntp` key sets time servers",
        )
    },
    cause(
        "certificate/not-valid-now",
        &["certificate has expired or is not yet valid"],
        "a certificate is outside its validity: the clock may be wrong",
        "compare `timedatectl` with the certificate's dates; the `ntp` key sets time servers",
    ),
    cause(
        "certificate/of-another-machine",
        &[" is invalid: x509: "],
        "a certificate in /etc/kubernetes/pki is for other names or addresses than this machine's",
        "remove it from the data or the image, so that kubeadm makes it, or write one for this machine's name and address",
    ),
    cause(
        "certificate/of-another-name",
        &[
            "x509: certificate is valid for",
            "x509: certificate is not valid for any names",
            "doesn't contain any ip sans",
            "cannot validate certificate for",
            "relies on legacy common name",
        ],
        "the API server's certificate is not for the endpoint's name or address",
        "add the endpoint to apiServer.certSANs, or use a name that is in the certificate",
    ),
    cause(
        "certificate/of-another-ca",
        &["not signed by ca certificate", "is not signed by the ca", "is not signed by corresponding ca"],
        "a certificate of this machine is not signed by the CA beside it",
        "see that all files in /etc/kubernetes/pki come from one cluster",
    ),
    cause(
        "certificate/not-read",
        &[
            "does not contain any valid rsa or ecdsa",
            "failed to find any pem data",
            "failed to parse certificate",
        ],
        "a file of the cluster's certificates does not hold a certificate or a key",
        "the data writes /etc/kubernetes/pki: compare its files with those of a control plane that runs",
    ),
    Cause {
        // kubeadm takes an authority without its key for one that is elsewhere.
        when: |line| !line.contains("incomplete external ca"),
        ..cause(
            "certificate/missing",
            &["couldn't load the certificate file", ".crt: no such file"],
            "a certificate of the cluster is not on this machine",
            "the data writes /etc/kubernetes/pki: see that it writes ca.crt and ca.key",
        )
    },
    cause(
        "certificate/unknown-authority",
        &["x509: certificate signed by unknown authority"],
        "the API server's certificate is not signed by the cluster's CA",
        "the endpoint in the join configuration leads to another cluster, or its CA was replaced",
    ),
    Cause {
        beside: &["certs", "certificate", "pki"],
        ..cause(
            "certificate/key-missing",
            &[
                "private key does not exist",
                "key is missing",
                "failed to load key",
                "couldn't load",
                "incomplete external ca",
            ],
            "a certificate is there without its key",
            "the data writes /etc/kubernetes/pki/*.crt: see that it writes the .key beside it",
        )
    },
    cause(
        "certificate/key-mismatch",
        &[
            "does not match the private key",
            "private key does not match",
            "private keys do not match",
            "privatekey doesn't match",
        ],
        "a certificate and its key do not belong together",
        "see that both files in /etc/kubernetes/pki come from one pair",
    ),
    cause(
        "endpoint/proxy",
        &[
            "proxyconnect",
            "proxy error",
            "[error httpproxy", // and that of networks, HTTPProxyCIDR: an address that is none
            "proxy authentication required",
            "\": forbidden",
            "\": bad gateway",
            "\": service unavailable",
            "\": gateway timeout",
            "\": bad request",
            "\": method not allowed",
            "\": not implemented",
        ],
        "the proxy between this machine and the API server does not work",
        "add the endpoint to no_proxy, or mend https_proxy",
    ),
    cause(
        "endpoint/not-tls",
        &["does not look like a tls handshake", "gave http response to https client"],
        "what listens at the endpoint does not speak TLS",
        "the endpoint leads to something that is not an API server: compare its host and port",
    ),
    cause(
        "endpoint/not-ready",
        &[
            "currently unable to handle the request",
            "server was unable to return a response",
            "has asked us to try again later",
            "an error on the server (\"",
        ],
        "what listens at the endpoint says that no API server is ready",
        "see that a healthy control plane stands behind the load balancer",
    ),
    cause(
        "endpoint/not-an-api-server",
        &["could not find the requested resource", "malformed http response"],
        "what listens at the endpoint is not an API server",
        "compare the endpoint's host and port with the cluster's controlPlaneEndpoint",
    ),
    cause(
        "endpoint/no-default-route",
        &[
            "no default routes found",
            "unable to select an ip from",
            "cannot use \"0.0.0.0\" as the bind address",
        ],
        "this machine has no default route, so kubeadm does not know its address",
        "look at `ip route` and at the gateway in the network metadata, or set localAPIEndpoint.advertiseAddress",
    ),
    Cause {
        when: |line| {
            let name = line.split("lookup ").nth(1).and_then(|l| l.split([' ', ':']).next());
            name.is_some_and(|name| !name.trim_end_matches('.').contains('.'))
        },
        ..cause(
            "endpoint/search-domain",
            &["no such host"],
            "the API server's name has no dot, and no search domain completes it",
            "write the whole name into the endpoint, or give the network metadata the search domain (nameservers.search)",
        )
    },
    Cause {
        beside: &["server misbehaving", "i/o timeout", ":53: ", "temporary failure", "try again"],
        when: |line| !line.contains("no such host"),
        ..cause(
            "endpoint/no-name-server",
            &["lookup "],
            "no name server answers, so the API server's name can't be resolved",
            "look at `resolvectl status`, at nameservers in the network metadata, and at the route to them",
        )
    },
    cause(
        "endpoint/name-not-resolved",
        &["no such host", "dial tcp: lookup "],
        "the API server's name can't be resolved",
        "look at `resolvectl status` and at nameservers in the network metadata",
    ),
    cause(
        "endpoint/no-route",
        &[
            "no route to host",
            "network is unreachable",
            "network is down",
            "host is down",
            "connect: cannot assign requested address",
            "connect: invalid argument",
        ],
        "the API server can't be reached: no route to it",
        "look at `ip route` and at the gateway in the network metadata",
    ),
    cause(
        "endpoint/refused",
        &["connection refused"],
        "the API server can't be reached: its port is closed",
        "see that the control plane's endpoint (kube-vip, the load balancer) is up",
    ),
    Cause {
        beside: &["get ", "post ", "put ", "patch ", "dial tcp", "read tcp", "identity of the api server"],
        ..cause(
            "endpoint/cut-off",
            &[
                ": eof",
                "unexpected eof",
                "connection reset by peer",
                "broken pipe",
                "client connection lost",
                "server sent goaway",
                "remote error: tls",
            ],
            "what listens at the endpoint closes the connection",
            "see that a healthy control plane stands behind the load balancer, and that the API server does not restart",
        )
    },
    Cause {
        beside: &[
            "get ",
            "dial tcp",
            "post ",
            "put ",
            "patch ",
            "identity of the api server",
            "configmap",
            "timeout: request did not complete",
            "reading response body",
            "client rate limiter",
        ],
        ..cause(
            "endpoint/no-answer",
            &[
                "i/o timeout",
                "client.timeout exceeded",
                "client.timeout or context cancellation",
                "context deadline exceeded",
                "would exceed context deadline",
                "request did not complete within",
                // A firewall that says that it forbids.
                "connect: permission denied",
                "connect: operation not permitted",
                "tls handshake timeout",
                "connection timed out",
            ],
            "the API server can't be reached: it does not answer",
            "see that the control plane's endpoint is up and that no firewall stands between",
        )
    },
    Cause {
        says: Says::Little,
        ..cause(
            "endpoint/not-identified",
            &["couldn't validate the identity of the api server"],
            "the API server can't be reached or is not the one that was expected",
            "see that the control plane's endpoint is up and that the token and the CA hash are this cluster's",
        )
    },
];
