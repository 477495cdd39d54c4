"""Renders the overlays and validates them: `python -m deploy.kubernetes.render [FOLDER]`."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

OVERLAYS = Path(__file__).parent / "overlays"
# The oldest release whose probes, policies and pod security the manifests rely on as stable.
VERSIONS = ("1.30", "1.37")

Manifest = dict[str, Any]


def overlays() -> list[str]:
    """Returns the names of the overlays."""
    return sorted(path.parent.name for path in OVERLAYS.glob("*/kustomization.yaml"))


def render(overlay: str) -> list[Manifest]:
    """Returns what `kubectl apply -k` would send.

    Args:
        overlay: Name of an overlay.

    Raises:
        CalledProcessError: kustomize refuses it; standard error says why.
    """
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or "kubectl"
    command = [kubectl, "kustomize", str(OVERLAYS / overlay)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return list(yaml.safe_load_all(text))


def validate(manifest: Manifest) -> None:
    """Checks a manifest against the published schemas; a field that they lack is an error.

    Raises:
        ValidationError: It does not fit one of `VERSIONS`.
    """
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def main(folder: Path) -> None:
    """Writes each overlay, rendered and checked, into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for overlay in overlays():
        manifests = render(overlay)
        for manifest in manifests:
            validate(manifest)
        path = folder / f"{overlay}.yaml"
        path.write_text(yaml.safe_dump_all(manifests, sort_keys=False))
        print(f"{path}: {len(manifests)} objects, valid for {' and '.join(VERSIONS)}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/manifests"))
