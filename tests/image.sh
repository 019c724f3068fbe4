#!/usr/bin/env bash
# Builds the image as deploy/Dockerfile says, on a fresh Debian instead of the base from a registry, and runs every
# service's command in it. As root; needs buildah, debootstrap and mosquitto; takes about five minutes. What pip needs
# (its own files, certificates) is taken along.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${IMAGE_WORK:-$(mktemp -d)}
export BUILDAH_ISOLATION=chroot
store=(--root "$work/store" --runroot "$work/run" --storage-driver vfs)
container=
finish() {
  [ -z "$container" ] || { buildah "${store[@]}" umount "$container"; buildah "${store[@]}" rm "$container"; } >/dev/null
  [ -n "${IMAGE_WORK:-}" ] || rm -rf "$work"
}
trap finish EXIT

if [ ! -d "$work/debian/usr" ]; then
  echo "== a Debian to build on"
  debootstrap --variant=minbase --include=python3,python3-venv "${DEBIAN:-bookworm}" "$work/debian" >/dev/null
fi
base=$(buildah "${store[@]}" from scratch)
buildah "${store[@]}" add --quiet "$base" "$work/debian" / >/dev/null
buildah "${store[@]}" commit --quiet "$base" localhost/base:latest >/dev/null
buildah "${store[@]}" rm "$base" >/dev/null

echo "== the image"
pip=()
for path in /etc/pip.conf "${PIP_CERT:-}" "${PIP_FIND_LINKS:-}"; do
  [ -z "$path" ] || [ ! -e "$path" ] || pip+=(--volume "$path:$path:ro")
done
[ -z "${PIP_CERT:-}" ] || pip+=(--env "PIP_CERT=$PIP_CERT")
buildah "${store[@]}" bud --quiet --format docker --pull-never "${pip[@]}" \
  --build-arg BASE=localhost/base:latest --file deploy/Dockerfile --tag serialgw . >/dev/null
buildah "${store[@]}" images

echo "== its file system"
container=$(buildah "${store[@]}" from --pull-never localhost/serialgw:latest)
IMAGE_ROOT=$(buildah "${store[@]}" mount "$container")
export IMAGE_ROOT
mkdir -p "$IMAGE_ROOT/config" "$IMAGE_ROOT/run/secrets"
.venv/bin/python -m pytest -q tests/e2e/test_image.py
