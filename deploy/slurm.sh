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
# job then goes back into the queue, and from its checkpoint on when it runs again; so it does when a node fails.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

PREEMPTED=138

# Jobs that share a node have different ports.
port=$((20000 + SLURM_JOB_ID % 10000))
workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$port\"/" | paste --serial --delimiters=,)
export CLUSTER="{\"worker\": [$workers]}"
# Of sbatch's options this one is not passed on to srun.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# One task a node, with all of its GPUs. When one ends, the others have five minutes to save and to end as well.
status=0
# shellcheck disable=SC2016
srun --ntasks-per-node=1 --kill-on-bad-exit=0 --wait=300 bash -c '
  export TF_CONFIG="{\"cluster\": $CLUSTER, \"task\": {\"type\": \"worker\", \"index\": $SLURM_NODEID}}"
  exec "$@"
' task "${PYTHON:-.venv/bin/python}" train.py "$@" || status=$?

if [ "$status" -eq "$PREEMPTED" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
