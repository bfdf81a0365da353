#!/usr/bin/env bash
# leftovers.sh list|kill NAME=VALUE [TMP]: finds the processes that inherited the environment variable, or run a program
# from the temporary folder, and the files left in that folder. list fails when there are any.
set -euo pipefail
what=$1 mark=$2 tmp=${3:-}
unset "${mark%%=*}" # what is started from here is not meant, and neither is this process
found=0
for proc in /proc/[0-9]*; do
  pid=${proc#/proc/}
  [[ $pid != "$$" ]] || continue
  exe=$(readlink "$proc/exe" 2>/dev/null) || continue # a kernel thread, a zombie, or gone
  if [[ -z $tmp || $exe != "$tmp"/* ]]; then
    tr '\0' '\n' 2>/dev/null <"$proc/environ" | grep -qFx -- "$mark" || continue
  fi
  found=1
  printf 'left running: %s %s\n' "$pid" "$(tr '\0' ' ' 2>/dev/null <"$proc/cmdline" || true)"
  [[ $what != kill ]] || kill -KILL "$pid" 2>/dev/null || true
done
if [[ -n $tmp ]]; then
  for f in "$tmp"/* "$tmp"/.[!.]*; do
    [[ -e $f || -L $f ]] || continue
    if [[ -d $f && ${f##*/} =~ ^skalds-[0-9a-z]+$ ]]; then # the run folder of a killed host: its next start would remove it
      echo "of a killed host: $f"
      continue
    fi
    found=1
    echo "left behind: $f"
  done
fi
if [[ $what == kill ]]; then # folders of control groups that killed hosts have left: the next start of those hosts would remove them
  find /sys/fs/cgroup -depth -type d -path '*/skalds-*' -exec rmdir {} + 2>/dev/null || true
fi
exit $found
