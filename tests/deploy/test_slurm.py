"""deploy/slurm.sh with stand-ins for Slurm's programs and for Python."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fcis_tf.preemption import EXIT_STATUS

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm.sh"
# Runs the command for every node, as srun does at the same time, and returns the highest exit status.
SRUN = """
while [[ $1 == --* ]]; do shift; done
highest=0
for node in 0 1 2; do
  status=0
  SLURM_NODEID=$node SLURM_PROCID=$node "$@" || status=$?
  highest=$((status > highest ? status : highest))
done
exit $highest"""
SCONTROL = """
case "$1 $2" in
  "show hostnames") [[ $3 == "gpu[07-08],big-1" ]] && printf '%s\\n' gpu07 gpu08 big-1 ;;
  "show job") [[ $3 == 1234567 ]] && printf 'JobId=%s JobName=fcis\\n   JobState=%s Reason=None\\n' $3 $JOB_STATE ;;
  *) echo "$@" >> {folder}/scontrol ;;
esac"""
# "killed" is a task whose shell does not live to tell; a TERM that Slurm sends reaches both.
PYTHON = """
printf '%s\\n' "$TF_CONFIG" >> {folder}/tf_config
printf '%s\\n' "$@" > {folder}/arguments
statuses=($EXITS)
case ${{statuses[SLURM_NODEID]}} in
  killed) kill -KILL $PPID ;;
  signalled) trap 'exit 138' TERM; kill -TERM $PPID $$ ;;
  *) exit ${{statuses[SLURM_NODEID]}} ;;
esac"""

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


@pytest.fixture
def submit(tmp_path):
    """Runs the script as a job of three nodes, whose tasks exit with what is given, and returns the job's status."""
    for name, script in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/usr/bin/env bash\n" + script.format(folder=tmp_path))
        path.chmod(0o755)

    def run(*arguments, exits="0 0 0", job_state="RUNNING", **variables):
        environment = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHON": "python",
            "SLURM_JOB_ID": "1234567",
            "SLURM_JOB_NODELIST": "gpu[07-08],big-1",
            "SLURM_CPUS_PER_TASK": "32",
            "EXITS": exits,
            "JOB_STATE": job_state,
            **variables,
        }
        status = subprocess.run(["bash", SCRIPT, *arguments], env=environment, cwd=tmp_path).returncode
        assert not list(tmp_path.glob(".slurm*"))
        return status

    return run


@pytest.fixture
def requeued(tmp_path):
    """Returns whether the job was queued again."""

    def requeued():
        calls = tmp_path / "scontrol"
        if not calls.exists():
            return False
        assert calls.read_text() == "requeue 1234567\n"
        return True

    return requeued


def test_every_node_learns_of_all_of_them_and_which_it_is(submit, requeued, tmp_path):
    assert submit("--config", "a b.yaml", "--override", "training.learning_rate.values=[0.1, 0.2]") == 0
    found = [json.loads(line) for line in (tmp_path / "tf_config").read_text().splitlines()]
    cluster = {"worker": ["gpu07:24567", "gpu08:24567", "big-1:24567"]}
    assert found == [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(3)]
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "train.py",
        "--config",
        "a b.yaml",
        "--override",
        "training.learning_rate.values=[0.1, 0.2]",
    ]
    assert not requeued()


@pytest.mark.parametrize("exits", ["138 138 138", "0 138 0", "138 signalled 138"])
def test_the_job_is_queued_again_when_it_was_preempted(submit, requeued, exits):
    assert submit("--config", "a.yaml", exits=exits) == EXIT_STATUS
    assert requeued()


@pytest.mark.parametrize(
    "exits, status",
    [
        ("0 1 0", 1),
        ("2 2 2", 2),
        # The others of a worker that is lost end with 138.
        ("138 2 138", 2),
        ("138 138 1", 1),
        ("137 138 138", 137),
        ("138 killed 138", 128 + signal.SIGKILL),
        ("138 139 138", 139),
    ],
)
def test_the_job_is_not_queued_again_when_a_task_failed(submit, requeued, exits, status):
    assert submit("--config", "a.yaml", exits=exits) == status
    assert not requeued()


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED"])
def test_the_job_is_not_queued_again_when_it_was_cancelled(submit, requeued, state):
    assert submit("--config", "a.yaml", exits="138 138 138", job_state=state) == EXIT_STATUS
    assert not requeued()


@pytest.mark.parametrize(
    "variables, again",
    [
        ({"SLURM_RESTART_COUNT": "19"}, True),
        ({"SLURM_RESTART_COUNT": "20"}, False),
        ({"SLURM_RESTART_COUNT": "20", "MAX_REQUEUES": "21"}, True),
        ({"MAX_REQUEUES": "0"}, False),
    ],
)
def test_the_job_is_not_queued_again_forever(submit, requeued, variables, again):
    assert submit("--config", "a.yaml", exits="138 138 138", **variables) == EXIT_STATUS
    assert requeued() == again


def test_slurm_is_asked_for_a_warning_and_for_nodes_with_one_task():
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", SCRIPT.read_text(), re.MULTILINE))
    assert options["signal"].startswith("TERM@") and "requeue" in options and options["open-mode"] == "append"
    assert options["ntasks-per-node"] == "1" and int(options["nodes"]) > 1
