#!/usr/bin/env bash
# Fails when the contracts break callers of what has landed on main. On a commit of main itself the
# one before it is the measure.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/.venv/bin
base=origin/main
git rev-parse --verify --quiet "$base" >/dev/null || base=HEAD~1
if [ "$(git rev-parse HEAD)" = "$(git rev-parse --quiet --verify "$base" || true)" ]; then base=HEAD~1; fi
if ! git rev-parse --verify --quiet "$base:protos/aimass" >/dev/null; then
  echo "buf breaking: nothing to compare with yet"
  exit 0
fi
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$base" protos | tar -x -C "$before"
"$bin/python" "$before/protos/generate.py" "$before/image.binpb" 2>/dev/null
"$bin/buf" breaking build/image.binpb --against "$before/image.binpb" --config protos/buf.yaml --path aimass
