set -e
green=$(printf '\033[32mhello, Ada\033[0m')
[ "$(./greet.sh --name Ada)" = "hello, Ada" ]
[ "$(./greet.sh --color --name Ada)" = "$green" ]
[ -z "$(./greet.sh --color 2>&1 >/dev/null)" ]
[ "$(./greet.sh --colour --name Ada 2>/dev/null)" = "$green" ]
[ "$(./greet.sh --colour 2>&1 >/dev/null)" = "greet.sh: --colour is now --color" ]
if ./greet.sh --paint 2>/dev/null; then exit 1; fi
grep -q -e --color README.md
