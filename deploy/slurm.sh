#!/usr/bin/env bash
# Trains on several nodes of a Slurm cluster, all of which see this folder, the data and the model directory by the same
# paths. Arguments are those of train.py; options of sbatch replace those below:
#
#   sbatch deploy/slurm.sh --config configs/coco.yaml --model-dir runs/coco
#   sbatch --nodes=4 --time=12:00:00 deploy/slurm.sh --config configs/coco.yaml --model-dir runs/coco
#
# NOT TRIED ON A CLUSTER: tests/deploy runs it with stand-ins for srun and scontrol.
#
#SBATCH --job-name=fcis
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=24:00:00
# Two minutes before the time is over, and when the job is pre-empted, train.py is told to save and to exit with 138. The
# job then goes back into the queue, and from its checkpoint on when it runs again; so it does when a node fails. After
# 20 times it ends for good (MAX_REQUEUES=100 sbatch ... allows more); so it does when it is cancelled or a task fails.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

PREEMPTED=138

# Jobs that share a node have different ports.
port=$((20000 + SLURM_JOB_ID % 10000))
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
workers=$(sed "s/.*/\"&:$port\"/" <<< "$hosts" | paste --serial --delimiters=,)
export CLUSTER="{\"worker\": [$workers]}"
# Of sbatch's options this one is not passed on to srun.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
# Where each task leaves its exit status: of srun there is only the highest, and 138 is higher than a mistake's 2.
export STATUSES="$PWD/.slurm-$SLURM_JOB_ID"
trap 'rm -rf "$STATUSES"' EXIT
rm -rf "$STATUSES"
mkdir "$STATUSES"

# One task a node, with all of its GPUs. When one ends, the others have five minutes to save and to end as well. SIGTERM
# goes to train.py and to its shell, which has to outlive it.
status=0
# shellcheck disable=SC2016
srun --ntasks-per-node=1 --kill-on-bad-exit=0 --wait=300 bash -c '
  export TF_CONFIG="{\"cluster\": $CLUSTER, \"task\": {\"type\": \"worker\", \"index\": $SLURM_NODEID}}"
  trap : TERM
  status=0
  "$@" || status=$?
  echo "$status" > "$STATUSES/$SLURM_NODEID"
  exit "$status"
' task "${PYTHON:-.venv/bin/python}" train.py "$@" || status=$?

if [ "$status" -ne "$PREEMPTED" ]; then
  exit "$status"
fi

# A worker that fails takes the others with it, which end as if they were pre-empted: the job would only fail again.
for node in $(seq 0 $(($(wc --lines <<< "$hosts") - 1))); do
  # Without a status its shell was killed as well, as where memory is short.
  task=$(cat "$STATUSES/$node" 2> /dev/null || echo 137)
  if [ "$task" -ne 0 ] && [ "$task" -ne "$PREEMPTED" ]; then
    echo "not queued again: task $node ended with status $task" >&2
    exit "$task"
  fi
done

# scancel sends SIGTERM too.
if [[ $(scontrol show job "$SLURM_JOB_ID") != *JobState=RUNNING* ]]; then
  echo "not queued again: the job is no longer to run" >&2
elif [ "${SLURM_RESTART_COUNT:-0}" -ge "${MAX_REQUEUES:-20}" ]; then
  echo "not queued again: it was ${SLURM_RESTART_COUNT:-0} times (MAX_REQUEUES)" >&2
else
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$PREEMPTED"
