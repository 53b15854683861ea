#!/usr/bin/env bash
# Stage 1 or 2 on several nodes under Slurm: one torchrun a node, one process for each of its GPUs. From the repository:
#   sbatch --nodes 4 --gpus-per-node 8 scripts/slurm/train.sh pretrain/run.py --objective mae --data SHARDS
#   sbatch --nodes 1 --gpus-per-node 8 scripts/slurm/train.sh midtrain/run.py --target-lang it --data PREPARED \
#       --init runs/pretrain/mae-SHARDS
# The command to run follows the script's name. Five minutes before the time limit the run is told to save itself, the
# job is queued again, and the run resumes; the same happens after a preemption. (torchrun gives its processes 30 s to
# end: a longer validation is cut, and the run resumes from the last checkpoint.) If Slurm does not know the number of
# GPUs of a node, GPUS_PER_NODE sets its number of processes.
#SBATCH --job-name=mmpt-train
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

nodes="${SLURM_NNODES:?this script runs under Slurm: sbatch scripts/slurm/train.sh pretrain/run.py ...}"
processes="${GPUS_PER_NODE:-${SLURM_GPUS_ON_NODE:-1}}"
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
port=$((20000 + SLURM_JOB_ID % 20000))
[ -f .venv/bin/activate ] && . .venv/bin/activate

again=""
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then again=--resume-if-there; fi
# Slurm 22.05 to 23.02 gives a step one core, unless srun asks for the job's, too.
srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-64}" \
    torchrun --nnodes "$nodes" --nproc-per-node "$processes" --rdzv-backend c10d \
    --rdzv-endpoint "$head:$port" --rdzv-id "$SLURM_JOB_ID" "$@" $again &
run=$!

stop() {
    scancel --signal=TERM "$SLURM_JOB_ID" || true  # to the processes of srun, not to this script
    wait "$run" || true
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap stop USR1
wait "$run"
