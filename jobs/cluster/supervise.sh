#!/usr/bin/env bash
# supervise.sh PYTHON RUN-FOLDER: run the controller of a run, and restart it if it was killed or failed
# (exit status 75). This shell survives when the system kills the controller for lack of memory.
WIDTHLAW_JOB_BEGAN=$(date +%s) # the walltime counts from here, also after a restart
export WIDTHLAW_JOB_BEGAN
signalled=
trap 'signalled=1; kill -TERM "$child" 2>/dev/null' TERM INT
while :; do
  "$1" -m jobs.cluster.controller "$2" &
  child=$!
  while :; do # a signal to this shell ends `wait`, but not the controller
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  if { [ "$code" -le 128 ] && [ "$code" -ne 75 ]; } || [ -n "$signalled" ]; then exit "$code"; fi
  echo "controller ended with exit status $code: started again" >&2
  sleep 2
done
