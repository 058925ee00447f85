#!/usr/bin/env bash
# A sweep inside one Slurm allocation: sbatch deploy/slurm.sh quickstart seeds=10
# Run it from a checkout with `uv sync --extra cluster` done; the folders are shared by all nodes.
#SBATCH --job-name=gauntlet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --time=12:00:00
set -euo pipefail
export GAUNTLET_STORAGE=${GAUNTLET_STORAGE:-$PWD/gauntlet-runs} RAY_AUTH_MODE=token
export GAUNTLET_WEIGHTS=${GAUNTLET_WEIGHTS:-$PWD/gauntlet-weights}
export GAUNTLET_DATA=${GAUNTLET_DATA:-$PWD/gauntlet-data}
export PATH=$PWD/.venv/bin:$PATH
[ -s ~/.ray/auth_token ] || (umask 077; mkdir -p ~/.ray; openssl rand -hex 32 > ~/.ray/auth_token)
chmod 600 ~/.ray/auth_token

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000)) # others may run a Ray on this node
use=(--num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" --disable-usage-stats --block)

srun --overlap --nodes=1 --ntasks=1 -w "$head" ray start --head --node-ip-address="$address" \
  --port="$port" --include-dashboard=false "${use[@]}" &
sleep 20
for node in "${nodes[@]:1}"; do
  srun --overlap --nodes=1 --ntasks=1 -w "$node" ray start --address="$address:$port" "${use[@]}" &
done
gauntlet run "$@" --address "$address:$port" # the end of the allocation ends Ray
