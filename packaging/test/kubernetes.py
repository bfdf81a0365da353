"""Checks that the Kubernetes files fit each other: what one names, another one has. Schemas know nothing of that.

    kubernetes.py FILE...   needs PyYAML
"""

import sys
from urllib.parse import urlsplit

import yaml

faults = []
documents = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        documents += [(path, d) for d in yaml.safe_load_all(file) if d]


def fault(path, what):
    faults.append(f"{path}: {what}")


def named(kind, name):
    """The document of that kind and name, or None."""
    return next((d for _, d in documents if d["kind"] == kind and d["metadata"]["name"] == name), None)


def need(path, kind, name, key=None):
    d = named(kind, name)
    if d is None:
        fault(path, f"names the {kind} {name}, which no file has")
    elif key is not None and key not in {**d.get("data", {}), **d.get("stringData", {})}:
        fault(path, f"names {key} of the {kind} {name}, which has none")
    return d


def pod_template(document):
    return document.get("spec", {}).get("template") if document["kind"] in ("Deployment", "StatefulSet", "Job") else None


def check_pod(path, document, template):
    spec = template["spec"]
    if "serviceAccountName" in spec:
        need(path, "ServiceAccount", spec["serviceAccountName"])
    labels = template["metadata"]["labels"]
    wanted = document["spec"].get("selector", {}).get("matchLabels", {})
    if not wanted.items() <= labels.items():
        fault(path, f"{document['metadata']['name']} selects {wanted}, its pods are {labels}")
    volumes = {v["name"] for v in spec.get("volumes", [])} | {c["metadata"]["name"] for c in document["spec"].get("volumeClaimTemplates", [])}
    for v in spec.get("volumes", []):
        if "configMap" in v:
            need(path, "ConfigMap", v["configMap"]["name"])
    for c in spec.get("initContainers", []) + spec["containers"]:
        for source in c.get("envFrom", []):
            if "configMapRef" in source:
                need(path, "ConfigMap", source["configMapRef"]["name"])
            if "secretRef" in source:
                need(path, "Secret", source["secretRef"]["name"])
        for m in c.get("volumeMounts", []):
            if m["name"] not in volumes:
                fault(path, f"the container {c['name']} mounts {m['name']}, which is no volume")
        ports = {p["name"] for p in c.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in c and c[probe]["httpGet"]["port"] not in ports:
                fault(path, f"the {probe} of {c['name']} asks a port that it does not have")


def selects_pods(path, document):
    """What a Service or a PodDisruptionBudget selects is there."""
    selector = document["spec"]["selector"]
    selector = selector.get("matchLabels", selector)
    if not any(selector.items() <= (pod_template(d) or {"metadata": {"labels": {}}})["metadata"]["labels"].items() for _, d in documents):
        fault(path, f"the {document['kind']} {document['metadata']['name']} selects no pods: {selector}")


def check_scaling(path, document):
    """KEDA's ScaledObject: its target, its login, and the controller that it asks are there."""
    spec = document["spec"]
    target = spec["scaleTargetRef"]
    need(path, target["kind"], target["name"])
    if not 0 < spec["minReplicaCount"] <= spec["maxReplicaCount"]:
        fault(path, f"scales between {spec['minReplicaCount']} and {spec['maxReplicaCount']}")
    for trigger in spec["triggers"]:
        if trigger["type"] != "metrics-api":
            fault(path, f"the trigger {trigger['type']} is not checked here")
            continue
        asked = urlsplit(trigger["metadata"]["url"])
        service = need(path, "Service", asked.hostname.split(".")[0])
        if service and asked.port not in [p["port"] for p in service["spec"]["ports"]]:
            fault(path, f"asks port {asked.port}, which the service does not have")
        if asked.path != "/api/system/analytics/task-distribution" or trigger["metadata"]["valueLocation"] != 'distribution.#(status=="Created").count':
            fault(path, f"asks {asked.path} for {trigger['metadata']['valueLocation']}: the number of waiting tasks is elsewhere")
        float(trigger["metadata"]["targetValue"])
        login = need(path, "TriggerAuthentication", trigger["authenticationRef"]["name"])
        if login and trigger["metadata"].get("authMode") == "bearer":
            refs = {r["parameter"]: r for r in login["spec"]["secretTargetRef"]}
            if "token" not in refs:
                fault(path, "authMode bearer without a token")
            else:
                need(path, "Secret", refs["token"]["name"], refs["token"]["key"])


modes = set()
for path, document in documents:
    template = pod_template(document)
    if template:
        check_pod(path, document, template)
        for c in template["spec"]["containers"]:
            args = c.get("args", [])
            modes.add(args[args.index("--mode") + 1] if "--mode" in args else args[0])
    elif document["kind"] in ("Service", "PodDisruptionBudget"):
        selects_pods(path, document)
    elif document["kind"] == "ScaledObject":
        check_scaling(path, document)
missing = {"controller", "node", "single_process"} - modes
if missing:
    fault("all files", f"no example runs {', '.join(sorted(missing))}")
for line in faults:
    print(line, file=sys.stderr)
sys.exit(1 if faults else 0)
