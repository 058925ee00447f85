#!/usr/bin/env bash
# The two secrets of a cluster, made once on your machine: bash deploy/secrets.sh
# Whoever has Ray's token may run code on the cluster; MLflow's password guards what it shows.
set -euo pipefail
umask 077
mkdir -p ~/.ray
[ -s ~/.ray/auth_token ] || openssl rand -hex 32 > ~/.ray/auth_token
[ -s ~/.ray/mlflow_credentials ] || printf '%s\n' '[mlflow]' 'mlflow_tracking_username = gauntlet' \
  "mlflow_tracking_password = $(openssl rand -hex 16)" > ~/.ray/mlflow_credentials
chmod 600 ~/.ray/auth_token ~/.ray/mlflow_credentials
ls ~/.ray/auth_token ~/.ray/mlflow_credentials
