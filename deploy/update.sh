#!/bin/sh
# An update with a way back: deploy/update.sh NEW_FOLDER [SECONDS]. To be run as root, from anywhere. See docs/deploy.md.
#
# NEW_FOLDER holds the release that is to run, beside the one that does. It is tried on the configuration, a backup is
# made, the link is changed and the gateway restarted. What was well before has to be so again within SECONDS (60),
# else the link is changed back. Exit codes: 0 the new release runs, 1 the old one runs again, else nothing was changed.
#
# Of other places: SERIALGW_LINK, SERIALGW_CONFIG, SERIALGW_DATA_DIR, SERIALGW_USER ("" for the one who calls this), and
# SERIALGW_RESTART, the command by which the gateway is restarted.
set -eu

[ $# -ge 1 ] || { echo "usage: $0 NEW_FOLDER [SECONDS]" >&2; exit 2; }
link=${SERIALGW_LINK:-/opt/serialgw}
config=${SERIALGW_CONFIG:-/etc/serialgw/tb_gateway.json}
data=${SERIALGW_DATA_DIR:-/var/lib/serialgw}
user=${SERIALGW_USER-serialgw}
restart=${SERIALGW_RESTART:-systemctl restart serialgw}
seconds=${2:-60}
[ -x "$1/.venv/bin/serialgw" ] || { echo "$1 has no .venv/bin/serialgw: give \`make venv\` there first" >&2; exit 2; }
[ -L "$link" ] || { echo "$link is no link to a release: see docs/deploy.md, or set SERIALGW_LINK" >&2; exit 2; }
new=$(readlink -f "$1")
old=$(readlink -f "$link")
[ "$new" != "$old" ] || { echo "$new is what $link leads to already" >&2; exit 2; }

as_user() {
  if [ -n "$user" ] && [ "$(id -un)" != "$user" ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

# 0: all is served; 1: not all; else nobody answers.
how() {
  code=0
  "$link/.venv/bin/serialgw" status --data-dir "$data" >/dev/null 2>&1 || code=$?
  echo "$code"
}

# The names of the devices that are served, a line each, as JSON.
served() {
  "$link/.venv/bin/serialgw" status --json --data-dir "$data" 2>/dev/null |
    grep -o '"name":"[^"\\]*\(\\.[^"\\]*\)*","port":"[^"\\]*\(\\.[^"\\]*\)*","state":"[a-z_]*","is_served":true' |
    sed 's/,"port":.*//' || true
}

# What was served before and is not now, a line each.
lost() {
  now_served=$(served)
  printf '%s\n' "$served_before" | while IFS= read -r one; do
    [ -z "$one" ] || printf '%s\n' "$now_served" | grep -Fxq -e "$one" || printf '%s\n' "$one"
  done
}

switch_to() {
  ln -s "$1" "$link.$$"
  mv -T "$link.$$" "$link"
  sh -c "$restart" || echo "restarting failed: $restart" >&2
}

"$new/.venv/bin/serialgw" check "$config"
kept="$data/before-$(basename "$new").tar.gz"
as_user "$link/.venv/bin/serialgw" backup "$kept" --data-dir "$data"
before=$(how)
served_before=$(served)

switch_to "$new"
deadline=$(($(date +%s) + seconds))
while [ "$(date +%s)" -lt "$deadline" ]; do
  now=$(how)
  # A device that was away before the update is no reason to go back; one that is lost by it is, whatever else was away.
  if [ "$now" -le "$before" ] && [ "$now" -le 1 ] && { [ "$now" -eq 0 ] || [ -z "$(lost)" ]; }; then
    echo "$link leads to $new, and all that was served before is served; the backup is $kept"
    exit 0
  fi
  sleep 1
done

echo "not well within $seconds s; back to $old" >&2
"$link/.venv/bin/serialgw" status --data-dir "$data" >&2 || true
switch_to "$old"
echo "$old runs again; what waits in the journals is kept, and the backup is $kept" >&2
exit 1
