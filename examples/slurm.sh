#!/bin/bash
# One run as a Slurm array: each task makes its share of the clips into one folder that all nodes see.
#
#   sbatch --array=0-7 examples/slurm.sh benchmarks/table1.toml /shared/runs
#
# A task that is stopped, or whose node is lost, goes on where it was when it is queued again. What is measured over
# whole sets (FID, KID, JEDi), and what no task made, is for one more run without a share, after all of them:
#
#   sbatch --dependency=afterany:JOB examples/slurm.sh benchmarks/table1.toml /shared/runs
#
#SBATCH --job-name=ivgbench
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
SPEC=${1:?a spec, e.g. benchmarks/table1.toml}
RUNS=${2:?a folder of runs that all nodes see}

share=()
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then # shares count from 0, wherever the array begins
  share=(--shard "$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))/$SLURM_ARRAY_TASK_COUNT")
fi
# Without "exec" the signal that Slurm sends would end this script and not the run.
exec ivgbench run --spec "$SPEC" --runs "$RUNS" "${share[@]}"
