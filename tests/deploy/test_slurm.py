"""deploy/slurm.sh with stand-ins for Slurm's programs and for Python."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fcis_tf.preemption import EXIT_STATUS

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm.sh"
# Runs the command for every node, as srun does at the same time, and returns the highest exit status.
SRUN = """
echo "$@" > {folder}/srun
while [[ $1 == --* ]]; do shift; done
highest=0
for node in 0 1 2; do
  SLURM_NODEID=$node SLURM_PROCID=$node "$@" || status=$?
  highest=$((${{status:-0}} > highest ? ${{status:-0}} : highest))
done
exit $highest"""
SCONTROL = """
case "$1 $2" in
  "show hostnames") [[ $3 == "gpu[07-08],big-1" ]] && printf '%s\\n' gpu07 gpu08 big-1 ;;
  *) echo "$@" >> {folder}/scontrol ;;
esac"""
PYTHON = """
printf '%s\\n' "$TF_CONFIG" >> {folder}/tf_config
printf '%s\\n' "$@" > {folder}/arguments
exit $((SLURM_NODEID == 1 ? EXIT_OF_ONE : 0))"""

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


@pytest.fixture
def submit(tmp_path):
    """Runs the script as a job of three nodes, one of whose tasks exits with a status, and returns the job's status."""
    for name, script in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/usr/bin/env bash\n" + script.format(folder=tmp_path))
        path.chmod(0o755)

    def run(*arguments, exit_of_one=0):
        environment = {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHON": "python",
            "SLURM_JOB_ID": "1234567",
            "SLURM_JOB_NODELIST": "gpu[07-08],big-1",
            "SLURM_CPUS_PER_TASK": "32",
            "EXIT_OF_ONE": str(exit_of_one),
        }
        return subprocess.run(["bash", SCRIPT, *arguments], env=environment, cwd=tmp_path).returncode

    return run


def test_every_node_learns_of_all_of_them_and_which_it_is(submit, tmp_path):
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
    assert not (tmp_path / "scontrol").exists()


@pytest.mark.parametrize("status, requeued", [(EXIT_STATUS, True), (2, False), (1, False)])
def test_the_job_is_queued_again_when_it_was_preempted_only(submit, tmp_path, status, requeued):
    assert submit("--config", "a.yaml", exit_of_one=status) == status
    calls = tmp_path / "scontrol"
    assert (calls.read_text() if calls.exists() else "") == ("requeue 1234567\n" if requeued else "")


def test_slurm_is_asked_for_a_warning_and_for_nodes_with_one_task(tmp_path):
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", SCRIPT.read_text(), re.MULTILINE))
    assert options["signal"].startswith("TERM@") and "requeue" in options and options["open-mode"] == "append"
    assert options["ntasks-per-node"] == "1" and int(options["nodes"]) > 1
