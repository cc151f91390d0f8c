#!/usr/bin/env bash
LIMIT=3
export NAME="x"
readonly OTHER=1
helper() {
  local n="$1"
  echo "$n ${LIMIT}" | sort
}
function main {
  helper "$@" && other_tool --flag
}
main "$@"
