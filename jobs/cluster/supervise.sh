#!/usr/bin/env bash
# supervise.sh PYTHON RUN-FOLDER: the controller of a run, started again where it was killed or had a fault
# (75), and not where it came to an end. A shell outlives what the system kills for its memory.
WIDTHLAW_JOB_BEGAN=$(date +%s) # the walltime counts from here, whichever start it is
export WIDTHLAW_JOB_BEGAN
told=
trap 'told=1; kill -TERM "$child" 2>/dev/null' TERM INT
while :; do
  "$1" -m jobs.cluster.controller "$2" &
  child=$!
  while :; do # a signal to this shell ends `wait`, and not the controller
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  if { [ "$code" -le 128 ] && [ "$code" -ne 75 ]; } || [ -n "$told" ]; then exit "$code"; fi
  echo "controller ended with exit status $code: started again" >&2
  sleep 2
done
