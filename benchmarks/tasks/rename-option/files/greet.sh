#!/bin/sh
# Greets somebody, in colour if wanted.
colour=no
name=world
while [ $# -gt 0 ]; do
  case "$1" in
    --colour) colour=yes ;;
    --name) shift; name=$1 ;;
    *) echo "greet.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
if [ "$colour" = yes ]; then
  printf '\033[32mhello, %s\033[0m\n' "$name"
else
  printf 'hello, %s\n' "$name"
fi
