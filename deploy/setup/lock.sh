#!/usr/bin/env bash
# Writes the lock files: exact versions and digests, no registry addresses.
# torch and its CUDA libraries stand apart, without digests: where pip finds a CPU build of the same
# version, that is taken, and its digest differs.
set -euo pipefail
cd "$(dirname "$0")/../.."
compile=(uv pip compile pyproject.toml --all-extras --universal --python-version 3.11
  --no-header --no-annotate --quiet)
stack='(torch|triton|(cuda|nvidia)-[a-z0-9-]+)=='
mapfile -t torch_stack < <("${compile[@]}" | sed -nE "s/^$stack.*/\1/p")
"${compile[@]}" --generate-hashes "${torch_stack[@]/#/--no-emit-package=}" -o requirements.lock
"${compile[@]}" | grep -E "^$stack" > deploy/setup/torch.lock
