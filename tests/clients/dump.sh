#!/usr/bin/env bash
# elasticdump through searchgate, with a key that may use `dump-*` only: an index goes out and comes back under another name, whole.
# $1 is its program.
set -euo pipefail
export NODE_EXTRA_CA_CERTS=$SEARCHGATE_CA
authorization="Authorization: ApiKey $SEARCHGATE_LIMITED_KEY"
ask() { curl -sS --fail --cacert "$SEARCHGATE_CA" -H "$authorization" -H 'Content-Type: application/x-ndjson' "$@"; }
dump() { "$1" --headers="{\"Authorization\":\"ApiKey $SEARCHGATE_LIMITED_KEY\"}" --limit=100 --quiet "${@:2}"; }

from="$SEARCHGATE_URL/dump-from-$$" to="$SEARCHGATE_URL/dump-to-$$" file=$(mktemp)
trap 'rm -f "$file"; ask -X DELETE "$from" >/dev/null; ask -X DELETE "$to" >/dev/null' EXIT
for number in $(seq 250); do printf '{"index":{"_id":"%s"}}\n{"number":%s}\n' "$number" "$number"; done |
  ask -X POST "$from/_bulk?refresh=true" --data-binary @- >/dev/null

dump "$1" --input="$from" --output="$file" --overwrite
[ "$(wc -l <"$file")" = 250 ] || { echo "$(wc -l <"$file") documents in the file"; exit 1; }
dump "$1" --input="$file" --output="$to"
ask -X POST "$to/_refresh" >/dev/null
ask "$to/_count" | grep -q '"count":250' || { ask "$to/_count"; exit 1; }
